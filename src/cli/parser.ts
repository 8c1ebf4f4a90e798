/** Builds commander parsers from command values. Loaded by `require`: importing CommonJS is slow to start. */
import { createRequire } from "node:module"
import type { Help, Command as Parser } from "commander"
import { ChatError } from "../protocol/errors.js"
import type { Command, Option, Positional } from "./command.js"
import { commandNames, commandTable, groups } from "./command-table.js"

const commander = createRequire(import.meta.url)("commander") as typeof import("commander")

/** Flags of every command, and of the program itself. */
const globalOptions = {
  json: { flags: "--json", summary: "print one JSON document instead of text" },
  home: { flags: "--home <DIR>", summary: "use DIR instead of ./.agentchat" },
} as const

const urlSummary = "ws:// or wss:// address of a relay; also --server"
/** Columns of help, on a terminal that has as many. */
const mostColumns = 100

/** Asked only when help is printed. */
export type Columns = () => number | undefined

/** The program itself: global flags, and every command as a name with its summary. */
export function buildProgram(): Parser {
  const program = bare("agentchat")
    .description("messaging for agents whose only tool is a shell")
    .usage("COMMAND [ARGUMENTS] [OPTIONS]")
    .enablePositionalOptions()
    .helpCommand(false)
    .configureHelp({
      subcommandTerm: (command) => command.name(),
      formatHelp: withoutGaps,
    })
  for (const { flags, summary } of Object.values(globalOptions)) program.option(flags, summary)
  program.option("-V, --version", "print the version").helpOption("-h, --help", "print this help")
  for (const name of commandNames) {
    const { group, summary } = commandTable[name]
    program.addCommand(bare(name).description(summary).helpGroup(`${groups[group]}:`))
  }
  return program.addHelpText("after", "\nMore of one command, with examples: agentchat help COMMAND")
}

/** The parser of one command. Its positional arguments are checked by {@link readPositionals}. */
export function buildParser(name: string, command: Command, summary: string): Parser {
  const parser = bare(`agentchat ${name}`)
    .description([summary, (command.notes ?? []).join(" ")].join("\n").trimEnd())
    .usage(usageOf(command))
    .argument("[args...]")
    .helpOption("-h, --help", "print this help")
    .configureHelp({ visibleArguments: () => describeArguments(command) })
  for (const [key, option] of Object.entries(command.options)) {
    const flags = new commander.Option(flagsOf(key, option), option.summary)
    parser.addOption(option.kind === "repeated" ? flags.argParser(collect) : flags)
  }
  for (const { flags, summary: text } of Object.values(globalOptions)) parser.option(flags, text)
  const examples = command.examples.map((example) => `  ${example}`)
  return parser.addHelpText("after", ["", "Examples:", ...examples].join("\n"))
}

/**
 * Parses, and gives back what commander would print instead of ending.
 * @param columns - of the terminal, when there is one
 * @returns the text of the help when that was asked for
 * @throws {ChatError} USAGE
 */
export function parse(
  parser: Parser,
  argv: readonly string[],
  columns: Columns,
): { help: string | undefined } {
  let printed = ""
  parser.configureOutput({
    writeOut: (text) => (printed += text),
    writeErr: () => {},
    getOutHelpWidth: () => Math.min(columns() ?? mostColumns, mostColumns),
  })
  try {
    parser.parse(argv, { from: "user" })
  } catch (error) {
    if (!(error instanceof commander.CommanderError)) throw error
    if (error.exitCode === 0) return { help: printed }
    throw usageError(parser, error.message)
  }
  return { help: undefined }
}

/** `[URL] TARGET TEXT`, as the usage line has it. */
export function usageOf(command: Command): string {
  const words = Object.entries(command.args).map(([name, positional]) => wordOf(name, positional))
  return [...(command.takesUrl ? ["[URL]"] : []), ...words, "[OPTIONS]"].join(" ")
}

function wordOf(name: string, { kind }: Positional<unknown>): string {
  const word = name.toUpperCase()
  if (kind === "required") return word
  return kind === "optional" ? `[${word}]` : `[${word}...]`
}

function flagsOf(key: string, { kind, placeholder }: Option<unknown>): string {
  if (kind === "flag") return `--${key}`
  if (kind === "flagOr") return `--${key} [${placeholder}]`
  return kind === "list" ? `--${key} <${placeholder}...>` : `--${key} <${placeholder}>`
}

/** The overview fits a screen: its headings stand out without a blank line before each. */
function withoutGaps(parser: Parser, helper: Help): string {
  return commander.Help.prototype.formatHelp.call(helper, parser, helper).replaceAll(/\n\n(?=\S.*:\n)/g, "\n")
}

function collect(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text]
}

function describeArguments(command: Command) {
  const rows = Object.entries(command.args).map(
    ([name, { summary }]) => [name.toUpperCase(), summary] as const,
  )
  const all = command.takesUrl ? [["URL", urlSummary] as const, ...rows] : rows
  return all.map(([name, summary]) => new commander.Argument(name, summary))
}

function bare(name: string): Parser {
  return new commander.Command(name).exitOverride().configureOutput({ writeErr: () => {} })
}

/** Commander's `error: what (Did you mean this?)` in our words. */
function usageError(parser: Parser, text: string): ChatError {
  const [message = text, suggestion] = text.replace(/^error: /, "").split("\n")
  const meant = /^\(Did you mean (?:one of )?(.*)\?\)$/.exec(suggestion ?? "")?.[1]
  const hint = meant === undefined ? `see: ${parser.name()} --help` : `did you mean ${meant}?`
  return new ChatError("USAGE", message.replaceAll("'", '"'), { hint })
}
