import { ChatError } from "../protocol/errors.js"
import type { Completion } from "./completion/outline.js"
import type { Context } from "./context.js"

/**
 * Parses a text of the command line.
 * @param label - the option or argument it was given for, such as `--last` or `TARGET`
 * @throws {ChatError} USAGE or INVALID_NAME, naming the label
 */
export type Parse<T> = (text: string, label: string) => T

export interface Option<T> {
  readonly kind: "flag" | "value" | "flagOr" | "list" | "repeated"
  readonly placeholder: string
  readonly summary: string
  readonly completion: Completion
  /** @param texts - the texts given for it; undefined if the option is absent */
  read(texts: readonly string[] | undefined, label: string): T
}

export interface Positional<T> {
  readonly kind: "required" | "optional" | "rest"
  readonly summary: string
  readonly completion: Completion
  read(texts: readonly string[], label: string): T
}

export type Options = Readonly<Record<string, Option<unknown>>>
export type Positionals = Readonly<Record<string, Positional<unknown>>>

type ValuesOf<Specs> = {
  readonly [K in keyof Specs]: Specs[K] extends { read(texts: never, label: string): infer T } ? T : never
}

/** The parsed values that a command runs with. */
export interface Input<P extends Positionals, O extends Options> {
  readonly args: ValuesOf<P>
  readonly options: ValuesOf<O>
  /** The relay named by the first argument or by `--server`. */
  readonly url: string | undefined
}

/** A command: its arguments and options, its help, and its function. */
export interface Command<P extends Positionals = Positionals, O extends Options = Options> {
  /** In order. The key is the name in the usage line. */
  readonly args: P
  /** By name without dashes. */
  readonly options: O
  /** Words that may come first in place of an option, such as `stop` for `--stop`: the option's name by word. */
  readonly verbs?: Readonly<Record<string, string>>
  /** True if the first argument may be a ws:// or wss:// address. */
  readonly takesUrl: boolean
  readonly examples: readonly string[]
  /** A few sentences printed below the summary. */
  readonly notes?: readonly string[]
  /** @returns the exit status */
  run(context: Context, input: Input<P, O>): Promise<number>
}

export const globalOptions = {
  json: { flags: "--json", summary: "print one JSON document instead of text" },
  quiet: { flags: "-q, --quiet", summary: "print no confirmations and no remarks" },
  home: { flags: "--home <DIR>", summary: "directory for all files (default ./.agentchat)" },
} as const

/** Returns the command, with the types of its arguments inferred. */
export function defineCommand<P extends Positionals, O extends Options>(
  command: Command<P, O>,
): Command<P, O> {
  return command
}

/** An option without a value. */
export function flag(summary: string): Option<boolean> {
  return {
    kind: "flag",
    placeholder: "",
    summary,
    completion: "nothing",
    read: (texts) => texts !== undefined,
  }
}

/** An option with one value; undefined if absent. If it is repeated, the last value counts. */
export function value<T>(
  placeholder: string,
  summary: string,
  parse: Parse<T>,
  completion: Completion = "nothing",
): Option<T | undefined> {
  return {
    kind: "value",
    placeholder,
    summary,
    completion,
    read(texts, label) {
      const text = texts?.at(-1)
      return text === undefined ? undefined : parse(text, label)
    },
  }
}

/** An option with an optional value: `bare` without one, undefined if the option is absent. */
export function flagOr<T>(
  placeholder: string,
  summary: string,
  bare: T,
  parse: Parse<T>,
): Option<T | undefined> {
  return {
    kind: "flagOr",
    placeholder,
    summary,
    completion: "nothing",
    read(texts, label) {
      const text = texts?.at(-1)
      if (text !== undefined) return parse(text, label)
      return texts === undefined ? undefined : bare
    },
  }
}

/** An option with one or more values, separated by spaces or commas; undefined if absent. */
export function list<T>(
  placeholder: string,
  summary: string,
  parse: Parse<T>,
): Option<readonly T[] | undefined> {
  return {
    kind: "list",
    placeholder,
    summary,
    completion: "nothing",
    read(texts, label) {
      // Its only value was the relay address, which the parser takes out of lists.
      if (texts?.length === 0) throw new ChatError("USAGE", `${label}: ${placeholder} is missing`)
      return texts?.flatMap((text) => text.split(",").map((part) => parse(part, label)))
    },
  }
}

/** An option that can be repeated, with one value each; undefined if absent. */
export function repeated<T>(
  placeholder: string,
  summary: string,
  parse: Parse<T>,
): Option<readonly T[] | undefined> {
  return {
    kind: "repeated",
    placeholder,
    summary,
    completion: "nothing",
    read: (texts, label) => texts?.map((text) => parse(text, label)),
  }
}

export function required<T>(
  summary: string,
  parse: Parse<T>,
  completion: Completion = "nothing",
): Positional<T> {
  return { kind: "required", summary, completion, read: ([text = ""], label) => parse(text, label) }
}

export function optional<T>(
  summary: string,
  parse: Parse<T>,
  completion: Completion = "nothing",
): Positional<T | undefined> {
  return {
    kind: "optional",
    summary,
    completion,
    read: ([text], label) => (text === undefined ? undefined : parse(text, label)),
  }
}

/** All remaining arguments. */
export function rest<T>(summary: string, parse: Parse<T>): Positional<readonly T[]> {
  return {
    kind: "rest",
    summary,
    completion: "nothing",
    read: (texts, label) => texts.map((text) => parse(text, label)),
  }
}
