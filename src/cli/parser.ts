/**
 * Parses a command line: builds a commander parser from the declaration of a command, and reads typed values from what
 * it finds. Commander is loaded by `require`, because importing CommonJS takes longer.
 */
import { createRequire } from "node:module"
import type { Help, Command as Parser } from "commander"
import { closestNames } from "../base/closest-names.js"
import { ChatError } from "../protocol/errors.js"
import { type Command, globalOptions, type Input, type Option, type Positional } from "./command.js"
import { aliases, type CommandEntry, commandTable, findCommand, spellOut } from "./command-table.js"
import type { GlobalFlags } from "./config.js"

const commander = createRequire(import.meta.url)("commander") as typeof import("commander")

const urlSummary = "relay address, ws:// or wss:// (same as --server)"
/** Printed for a command line without a command. */
const shortHelp = `agentchat: messaging for agents whose only tool is a shell

  agentchat up                         start a relay and a daemon for this directory
  agentchat send '#general' 'hello'    say something
  agentchat inbox --reader me          read what is new
  agentchat reply 'yes'                answer the last direct message
  agentchat agents                     see who is there
  agentchat status                     see whether it works
  agentchat help                       list all commands
  agentchat help send                  arguments, options and examples of one
`
/** Widest help text, in columns. */
const maxHelpColumns = 80

/** Returns the width of the terminal. Called only when help is printed. */
export type Columns = () => number | undefined

export type Request =
  | {
      readonly kind: "help"
      readonly text: string
      /** The same for programs. */
      readonly document: Readonly<Record<string, unknown>>
    }
  | { readonly kind: "version"; readonly flags: GlobalFlags }
  | {
      readonly kind: "run"
      readonly name: string
      readonly command: Command
      readonly input: Input<Command["args"], Command["options"]>
      readonly flags: GlobalFlags
    }

const noFlags: GlobalFlags = { json: false, quiet: false, home: undefined }

/**
 * Parses the arguments after the program's name.
 * @throws {ChatError} USAGE or INVALID_NAME, naming the argument and suggesting a fix
 */
export async function parseCommandLine(argv: readonly string[], columns: Columns): Promise<Request> {
  const [first = "", second = "", ...others] = argv
  const entry = findCommand(first)
  if (entry !== undefined)
    return parseCommand(entry, [...spellOut(first).slice(1), ...argv.slice(1)], noFlags, columns)
  const topic = first === "help" ? findCommand(second) : undefined
  if (topic !== undefined) return parseCommand(topic, ["--help", ...others], noFlags, columns)
  return parseProgram(argv, columns)
}

/** Parses a command line that begins with an option of the program, or names no command. */
async function parseProgram(argv: readonly string[], columns: Columns): Promise<Request> {
  const program = buildProgram()
  const { operands, unknown } = program.parseOptions(argv.map((word) => (word === "-V" ? "-v" : word)))
  const { version, ...flags } = program.opts<Partial<GlobalFlags> & { version?: true }>()
  if (version === true) return { kind: "version", flags: { ...noFlags, ...flags } }
  const [name, topic = "--help"] = operands
  if (name === undefined && unknown.length === 0)
    return { kind: "help", text: shortHelp, document: listHelp() }
  const later = findCommand(name ?? "")
  if (later !== undefined) {
    const words = [...spellOut(name ?? "").slice(1), ...unknown]
    return parseCommand(later, words, { ...noFlags, ...flags }, columns)
  }
  return helpOnCommands(program, name === undefined ? argv : [name === "help" ? topic : name], columns)
}

/** @throws {ChatError} USAGE for an unknown command or option */
function helpOnCommands(program: Parser, words: readonly string[], columns: Columns): Request {
  const { help } = runParser(program, words, columns)
  if (help !== undefined) return { kind: "help", text: help, document: listHelp() }
  throw new ChatError("USAGE", `unknown command "${words.join(" ")}"`, { hint: "see: agentchat --help" })
}

function listHelp(): Readonly<Record<string, unknown>> {
  const commands = Array.from(commandTable.values(), ({ name, heading, summary }) => ({
    name,
    group: heading,
    summary,
  }))
  return { commands, aliases: Object.fromEntries(aliases) }
}

function commandHelp(name: string, summary: string, command: Command): Readonly<Record<string, unknown>> {
  const { args, options, examples, notes = [] } = command
  return {
    name,
    summary,
    usage: `agentchat ${name} ${usageOf(command)}`,
    arguments: Object.entries(args).map(([key, { kind, summary: text }]) => ({
      name: key,
      kind,
      summary: text,
    })),
    options: [
      ...Object.entries(options).map(([key, option]) => ({
        flags: flagsOf(key, option),
        summary: option.summary,
      })),
      ...Object.values(globalOptions),
    ],
    notes: notes.join(" "),
    examples,
  }
}

/** @param before - options that were given before the name of the command */
async function parseCommand(
  { name, summary, load }: CommandEntry,
  argv: readonly string[],
  before: GlobalFlags,
  columns: Columns,
): Promise<Request> {
  const command = await load()
  const parser = buildParser(name, command, summary)
  const { help } = runParser(parser, argv, columns)
  if (help !== undefined) return { kind: "help", text: help, document: commandHelp(name, summary, command) }
  const given = givenOptions(
    parser.options.map((option) => option.attributeName()),
    parser.opts(),
  )
  const early = takeVerb(command, parser.args, given)
  const { url, operands: rest } = takeUrl(command, early, given)
  const operands = early === parser.args ? takeVerb(command, rest, given) : rest
  return {
    kind: "run",
    name,
    command,
    input: { args: readPositionals(name, command, operands), options: readOptions(command, given), url },
    flags: {
      json: before.json || given.has("json"),
      quiet: before.quiet || given.has("quiet"),
      home: given.get("home")?.[0] ?? before.home,
    },
  }
}

/** Returns the texts given for each option, by its name without dashes. An absent option has no entry. */
function givenOptions(
  keys: readonly string[],
  values: Record<string, true | string | string[]>,
): Map<string, string[]> {
  const given = new Map<string, string[]>()
  for (const key of keys) {
    const value = values[key]
    if (value === undefined) continue
    const name = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    given.set(name, value === true ? [] : [value].flat())
  }
  return given
}

/** Takes a first word that stands for an option, such as `stop` for `--stop`, and the value after it if it has one. */
function takeVerb(
  { verbs, options }: Command,
  operands: readonly string[],
  given: Map<string, string[]>,
): readonly string[] {
  const [word = "", second, ...others] = operands
  const key = verbs !== undefined && Object.hasOwn(verbs, word) ? verbs[word] : undefined
  if (key === undefined) return operands
  const hasValue = second !== undefined && options[key]?.kind !== "flag" && !isRelayUrl(second)
  given.set(key, hasValue ? [second] : (given.get(key) ?? []))
  return hasValue || second === undefined ? others : [second, ...others]
}

/**
 * Takes the relay address from the first argument, from `--server`, or from a list option: in
 * `--channels '#a' ws://host` commander takes the address for a channel.
 */
function takeUrl(command: Command, operands: readonly string[], given: Map<string, string[]>) {
  const server = given.get("server")?.at(-1)
  if (!command.takesUrl) return { url: server, operands }
  const [first = "", ...others] = operands
  const isFirst = isRelayUrl(first)
  const url = isFirst ? first : takeUrlFromList(command, given)
  if (url !== undefined && server !== undefined) {
    throw new ChatError("USAGE", "--server: the relay is named twice", { hint: "name it once" })
  }
  return { url: url ?? server, operands: isFirst ? others : operands }
}

/** @throws {ChatError} USAGE for a URL with another scheme */
function isRelayUrl(text: string): boolean {
  if (/^wss?:\/\//i.test(text)) return true
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return false
  throw new ChatError("USAGE", `URL: ${JSON.stringify(text.slice(0, 60))} is not the address of a relay`, {
    hint: "it starts with ws:// or wss://",
  })
}

function takeUrlFromList(command: Command, given: Map<string, string[]>): string | undefined {
  for (const [key, { kind }] of Object.entries(command.options)) {
    const texts = kind === "list" ? (given.get(key) ?? []) : []
    const url = texts.find(isRelayUrl)
    if (url === undefined) continue
    given.set(
      key,
      texts.filter((text) => text !== url),
    )
    return url
  }
  return undefined
}

function readOptions(command: Command, given: ReadonlyMap<string, string[]>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(command.options).map(([key, option]) => [key, option.read(given.get(key), `--${key}`)]),
  )
}

function readPositionals(name: string, command: Command, operands: readonly string[]) {
  const values: Record<string, unknown> = {}
  const left = [...operands]
  const entries = Object.entries(command.args)
  for (const [index, [key, positional]] of entries.entries()) {
    const label = key.toUpperCase()
    // An optional argument gets a word only if enough are left for the required ones after it.
    const needed = entries.slice(index + 1).filter(([, { kind }]) => kind === "required").length
    const most = positional.kind === "required" ? 1 : Math.max(0, left.length - needed)
    if (positional.kind === "required" && left.length === 0) throw missing(name, command, label)
    const taken = left.splice(0, positional.kind === "rest" ? most : Math.min(1, most))
    values[key] = positional.read(taken, label)
  }
  const [surplus] = left
  if (surplus === undefined) return values
  throw new ChatError("USAGE", `${name}: one argument too many: ${JSON.stringify(surplus.slice(0, 60))}`, {
    hint: hintForSurplus(name, command, surplus),
  })
}

/** Arguments that are prose, of which a shell makes several words if it is not quoted. */
const proseArguments = new Set(["text", "task", "activity"])

function hintForSurplus(name: string, command: Command, surplus: string): string {
  const { args, options, verbs = {} } = command
  const words = Object.keys(args).length === 0 ? closestNames(surplus, Object.keys(verbs)) : []
  if (words.length > 0) return `did you mean ${words.join(" or ")}?`
  if (Object.keys(args).some((key) => proseArguments.has(key))) {
    return `quote text that has spaces; usage: agentchat ${name} ${usageOf(command)}`
  }
  if (/^\d+$/.test(surplus) && "port" in options) return `did you mean --port ${surplus}?`
  if (options["name"]?.completion === "daemon" && instancePattern.test(surplus)) {
    return `did you mean --name ${surplus}? usage: agentchat ${name} ${usageOf(command)}`
  }
  return `usage: agentchat ${name} ${usageOf(command)}`
}

/** The form of a daemon's name. */
const instancePattern = /^[A-Za-z0-9][\w.-]{0,63}$/

function missing(name: string, command: Command, label: string): ChatError {
  const names = Object.keys(command.args)
  const isName = ["target", "channel", "seq|msg_id"].some((key) => names.includes(key))
  const quoting = isName
    ? "; quote a word that begins with # ('#general'), else the shell reads it as a comment"
    : ""
  return new ChatError("USAGE", `${name}: ${label} is missing`, {
    hint: `usage: agentchat ${name} ${usageOf(command)}${quoting}`,
  })
}

/** Builds the parser of the program itself: the global options, and each command as a name with its summary. */
function buildProgram(): Parser {
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
  program.option("-v, --version", "print the version").helpOption("-h, --help", "print this help")
  for (const { name, heading, summary } of commandTable.values()) {
    program.addCommand(bare(name).description(summary).helpGroup(`${heading}:`))
  }
  return program.addHelpText("after", "\nOptions and examples of one command: agentchat help COMMAND")
}

/** Builds the parser of one command. Positional arguments are checked by {@link readPositionals} instead. */
function buildParser(name: string, command: Command, summary: string): Parser {
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
 * Runs a parser that neither prints nor exits.
 * @returns the help text if help was requested
 * @throws {ChatError} USAGE
 */
function runParser(parser: Parser, argv: readonly string[], columns: Columns): { help: string | undefined } {
  let printed = ""
  parser.configureOutput({
    writeOut: (text) => (printed += text),
    writeErr: () => {},
    getOutHelpWidth: () => Math.min(columns() ?? maxHelpColumns, maxHelpColumns),
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

/** Returns the arguments for the usage line, such as `[URL] TARGET TEXT [OPTIONS]`. */
function usageOf(command: Command): string {
  const words = Object.entries(command.args).map(([name, positional]) => wordOf(name, positional))
  const verbs = command.verbs === undefined ? [] : ["[VERB]"]
  return [...(command.takesUrl ? ["[URL]"] : []), ...verbs, ...words, "[OPTIONS]"].join(" ")
}

function wordOf(name: string, { kind }: Positional<unknown>): string {
  const word = name.toUpperCase()
  if (kind === "required") return word
  return kind === "optional" ? `[${word}]` : `[${word}...]`
}

/** Letters of options that many commands have. */
const shortFlags: ReadonlyMap<string, string> = new Map([
  ["name", "n"],
  ["server", "s"],
  ["follow", "f"],
])

function flagsOf(key: string, { kind, placeholder }: Option<unknown>): string {
  const short = shortFlags.get(key)
  const long = short === undefined ? `--${key}` : `-${short}, --${key}`
  if (kind === "flag") return long
  if (kind === "flagOr") return `${long} [${placeholder}]`
  return kind === "list" ? `${long} <${placeholder}...>` : `${long} <${placeholder}>`
}

/** Removes the blank line before each heading, so that the list of commands fits one screen. */
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
  const { takesUrl, verbs } = command
  const all = [
    ...(takesUrl ? [["URL", urlSummary] as const] : []),
    ...(verbs === undefined ? [] : [["VERB", `${Object.keys(verbs).join(", ")}: as the option`] as const]),
    ...rows,
  ]
  return all.map(([name, summary]) => new commander.Argument(name, summary))
}

function bare(name: string): Parser {
  return new commander.Command(name).exitOverride().configureOutput({ writeErr: () => {} })
}

/** Turns commander's `error: MESSAGE (Did you mean WORD?)` into a USAGE error with a hint. */
function usageError(parser: Parser, text: string): ChatError {
  const [message = text, suggestion] = text.replace(/^error: /, "").split("\n")
  const meant = /^\(Did you mean (?:one of )?(.*)\?\)$/.exec(suggestion ?? "")?.[1]
  const hint =
    nameHint(parser, message) ??
    (meant === undefined ? `see: ${parser.name()} --help` : `did you mean ${meant}?`)
  return new ChatError("USAGE", message.replaceAll("'", '"'), { hint })
}

/** Returns the hint for `--name` at a command that is not about one daemon: no option of similar spelling is meant. */
function nameHint({ options }: Parser, message: string): string | undefined {
  if (!/option '(?:--name|-n)'/.test(message)) return undefined
  const takesNick = options.some(({ long }) => long === "--nick")
  return takesNick
    ? "did you mean --nick?"
    : "start one more daemon: agentchat daemon --background --name NAME"
}

/** Signs of the targets that the words of other programs mean. */
const signs: Readonly<Record<string, string>> = {
  msg: "#",
  dm: "@",
  ask: "+",
  anycast: "+",
  "--channel": "#",
}

/**
 * Rewrites how other programs say whom a message goes to: `dm bob hi`, `anycast reviewer hi`, and `send` followed by `msg
 * general hi`, `dm bob hi`, `ask reviewer hi` or `--channel general hi`. Everything else stays as it is.
 */
export function respell(argv: readonly string[]): readonly string[] {
  const [first = "", second = "", third = ""] = argv
  if (first === "send" && Object.hasOwn(signs, second)) return withTarget(argv, signs[second], third, 3)
  if (first === "watch" && argv.includes("--plain")) {
    return ["listen", "--format", "text", ...argv.slice(1).filter((word) => word !== "--plain")]
  }
  if (first === "dm" || first === "anycast") return withTarget(argv, signs[first], second, 2)
  return argv
}

function withTarget(
  argv: readonly string[],
  sign: string | undefined,
  name: string,
  used: number,
): readonly string[] {
  if (sign === undefined || name === "" || name.startsWith("-") || argv.length <= used) return argv
  const isOther = /^[#@+]/.test(name) && !name.startsWith(sign)
  const target = isOther && sign === "@" ? name : `${sign}${name.replace(/^[#@+]/, "")}`
  return ["send", target, ...argv.slice(used)]
}
