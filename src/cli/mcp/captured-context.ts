/** Runs a command for a caller that wants its output as values. */
import { PassThrough, Readable } from "node:stream"
import type { Command, Input, Options, Positionals } from "../command.js"
import type { Context, Io } from "../context.js"
import { expectedFailure, reportFailure } from "../exit-status.js"

/** The output of a command. */
export interface Output {
  readonly status: number
  /** Lines of standard output. */
  readonly lines: readonly string[]
  /** The JSON document, that of an error too; empty if the command printed none. */
  readonly document: Readonly<Record<string, unknown>>
  /** Remarks on standard error. */
  readonly notes: readonly string[]
}

export interface CaptureOptions {
  /** True to ask for a JSON document. */
  readonly json: boolean
  /** Standard input. */
  readonly input?: string | undefined
  /** Aborted to interrupt the command. */
  readonly signal: AbortSignal
  /** Delivers what was printed so far. A command calls it before it records that its output was read. */
  readonly flush?: (output: Output) => Promise<void>
}

/** Runs a function in a context of its own. @returns its output; an expected failure is part of it */
export async function capture(
  context: Context,
  { json, input = "", signal, flush }: CaptureOptions,
  run: (own: Context) => Promise<number>,
): Promise<Output> {
  const lines: string[] = []
  const notes: string[] = []
  let document: Output["document"] = {}
  const outputOf = (status: number): Output => ({ status, lines, document, notes })
  const io: Io = {
    out: (line) => void lines.push(line),
    json: (value) => void (document = value as Output["document"]),
    err: (line) => void notes.push(line),
    note: (line) => void notes.push(line),
    outliveOutput: () => {},
    flush: () => flush?.(outputOf(0)) ?? Promise.resolve(),
    input: Readable.from(input === "" ? [] : [Buffer.from(input)]),
    output: new PassThrough(),
    isOutputTerminal: false,
    columns: undefined,
    isInputTerminal: false,
    hasColor: false,
  }
  const config = { ...context.config, json, quiet: false }
  const system = Object.create(context.system, { interruption: { value: () => signal } }) as Context["system"]
  try {
    return outputOf(await run({ ...context, io, config, system }))
  } catch (error) {
    const failure = expectedFailure(error)
    if (failure === undefined) throw error
    return outputOf(reportFailure({ io, config: { ...config, json: true } }, failure))
  }
}

/** Returns a function that runs a command with options that are absent unless they are given. */
export function runner<P extends Positionals, O extends Options>(
  command: Command<P, O>,
  args: Input<P, O>["args"],
  given: Partial<Input<P, O>["options"]>,
): (context: Context) => Promise<number> {
  const values = Object.entries(command.options).map(([key, option]) => [
    key,
    key in given ? given[key] : option.read(undefined, key),
  ])
  const options = Object.fromEntries(values) as Input<P, O>["options"]
  return (context) => command.run(context, { args, options, url: undefined })
}
