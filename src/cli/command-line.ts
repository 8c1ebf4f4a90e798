import { ChatError } from "../protocol/errors.js"
import type { Command, Input } from "./command.js"
import { type CommandName, commandTable, isCommandName } from "./command-table.js"
import type { GlobalFlags } from "./config.js"
import { buildParser, buildProgram, type Columns, parse, usageOf } from "./parser.js"

/** What the command line asks for. */
export type Request =
  | { readonly kind: "help"; readonly text: string }
  | { readonly kind: "version"; readonly flags: GlobalFlags }
  | {
      readonly kind: "run"
      readonly command: Command
      readonly input: Input<Command["args"], Command["options"]>
      readonly flags: GlobalFlags
    }

const noFlags: GlobalFlags = { json: false, home: undefined }

/**
 * Reads the arguments after the program's name.
 * @param columns - of the terminal, which help is to fit
 * @throws {ChatError} USAGE or INVALID_NAME, naming what is wrong and what may have been meant
 */
export async function readCommandLine(argv: readonly string[], columns: Columns): Promise<Request> {
  const [first = "", ...others] = argv
  if (isCommandName(first)) return readCommand(first, others, noFlags, columns)
  if (first === "help" && others.length > 0) return readHelp(others, columns)
  const program = buildProgram()
  const { operands, unknown } = program.parseOptions([...argv])
  const { version, ...flags } = program.opts<Partial<GlobalFlags> & { version?: true }>()
  if (version === true) return { kind: "version", flags: { ...noFlags, ...flags } }
  const [name = ""] = operands
  if (isCommandName(name)) return readCommand(name, unknown, { ...noFlags, ...flags }, columns)
  const isEmpty = operands.length === 0 && unknown.length === 0
  const { help } = isEmpty ? {} : parse(program, first === "help" ? ["--help"] : argv, columns)
  if (help !== undefined) return { kind: "help", text: help }
  throw new ChatError("USAGE", "no command is given", { hint: "see: agentchat --help" })
}

async function readHelp([name = ""]: readonly string[], columns: Columns): Promise<Request> {
  if (isCommandName(name)) return readCommand(name, ["--help"], noFlags, columns)
  parse(buildProgram(), [name], columns)
  throw new ChatError("USAGE", `unknown command "${name}"`, { hint: "see: agentchat --help" })
}

async function readCommand(
  name: CommandName,
  argv: readonly string[],
  before: GlobalFlags,
  columns: Columns,
): Promise<Request> {
  const { load, summary } = commandTable[name]
  const command: Command = await load()
  const parser = buildParser(name, command, summary)
  const { help } = parse(parser, argv, columns)
  if (help !== undefined) return { kind: "help", text: help }
  const written = writtenOptions(
    parser.options.map((option) => option.attributeName()),
    parser.opts(),
  )
  const { url, operands } = takeUrl(command, parser.args, written)
  return {
    kind: "run",
    command,
    input: {
      args: readPositionals(name, command, operands),
      options: readOptions(command, written),
      url,
    },
    flags: {
      json: before.json || written.has("json"),
      home: written.get("home")?.[0] ?? before.home,
    },
  }
}

/** What was written for each option, by the flag's name; an absent option has no entry. */
function writtenOptions(
  keys: readonly string[],
  values: Record<string, true | string | string[]>,
): Map<string, string[]> {
  const written = new Map<string, string[]>()
  for (const key of keys) {
    const value = values[key]
    if (value === undefined) continue
    const flag = key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)
    written.set(flag, value === true ? [] : [value].flat())
  }
  return written
}

/** The relay's address: the first argument, `--server`, or what a list option such as `--channels` swallowed. */
function takeUrl(command: Command, operands: readonly string[], written: Map<string, string[]>) {
  const server = written.get("server")?.at(-1)
  if (!command.takesUrl) return { url: server, operands }
  const [first = "", ...others] = operands
  const isFirst = isRelayUrl(first)
  const url = isFirst ? first : takeSwallowedUrl(command, written)
  if (url !== undefined && server !== undefined) {
    throw new ChatError("USAGE", "--server: the relay is named twice", { hint: "name it once" })
  }
  return { url: url ?? server, operands: isFirst ? others : operands }
}

/** @throws {ChatError} USAGE for an address of another kind */
function isRelayUrl(text: string): boolean {
  if (/^wss?:\/\//i.test(text)) return true
  if (!/^[a-z][a-z0-9+.-]*:\/\//i.test(text)) return false
  throw new ChatError("USAGE", `URL: ${JSON.stringify(text.slice(0, 60))} is not the address of a relay`, {
    hint: "it starts with ws:// or wss://",
  })
}

function takeSwallowedUrl(command: Command, written: Map<string, string[]>): string | undefined {
  for (const [key, { kind }] of Object.entries(command.options)) {
    const texts = kind === "list" ? (written.get(key) ?? []) : []
    const url = texts.find(isRelayUrl)
    if (url === undefined) continue
    written.set(
      key,
      texts.filter((text) => text !== url),
    )
    return url
  }
  return undefined
}

function readOptions(command: Command, written: ReadonlyMap<string, string[]>): Record<string, unknown> {
  return Object.fromEntries(
    Object.entries(command.options).map(([key, option]) => [key, option.read(written.get(key), `--${key}`)]),
  )
}

function readPositionals(name: CommandName, command: Command, operands: readonly string[]) {
  const values: Record<string, unknown> = {}
  const left = [...operands]
  for (const [key, positional] of Object.entries(command.args)) {
    const label = key.toUpperCase()
    if (positional.kind === "required" && left.length === 0) throw missing(name, command, label)
    const taken = positional.kind === "rest" ? left.splice(0) : left.splice(0, 1)
    values[key] = positional.read(taken, label)
  }
  const [surplus] = left
  if (surplus === undefined) return values
  throw new ChatError("USAGE", `${name}: one argument too many: ${JSON.stringify(surplus.slice(0, 60))}`, {
    hint: `put quotes around text with spaces; usage: agentchat ${name} ${usageOf(command)}`,
  })
}

function missing(name: CommandName, command: Command, label: string): ChatError {
  const names = Object.keys(command.args)
  const isName = names.includes("target") || names.includes("channel")
  const quoting = isName ? '; quote a channel, "#general": the shell takes # for a comment' : ""
  return new ChatError("USAGE", `${name}: ${label} is missing`, {
    hint: `usage: agentchat ${name} ${usageOf(command)}${quoting}`,
  })
}
