import { ChatError } from "../protocol/errors.js"
import type { Offer } from "./completion/outline.js"
import type { Context } from "./context.js"

/**
 * Turns a text of the command line into a value.
 * @param label - what the user wrote it for, such as `--last` or `TARGET`
 * @throws {ChatError} USAGE or INVALID_NAME, naming the label
 */
export type Parse<T> = (text: string, label: string) => T

/** One option, and the type of its value. */
export interface Option<T> {
  readonly kind: "flag" | "value" | "flagOr" | "list" | "repeated"
  readonly placeholder: string
  readonly summary: string
  readonly offer: Offer
  /** The value made of what was written; `texts` is undefined when the option was not. */
  read(texts: readonly string[] | undefined, label: string): T
}

/** One argument by position, and the type of its value. */
export interface Positional<T> {
  readonly kind: "required" | "optional" | "rest"
  readonly summary: string
  readonly offer: Offer
  read(texts: readonly string[], label: string): T
}

export type Options = Readonly<Record<string, Option<unknown>>>
export type Positionals = Readonly<Record<string, Positional<unknown>>>

type ValuesOf<Specs> = {
  readonly [K in keyof Specs]: Specs[K] extends { read(texts: never, label: string): infer T } ? T : never
}

/** What a command is called with. */
export interface Input<P extends Positionals, O extends Options> {
  readonly args: ValuesOf<P>
  readonly options: ValuesOf<O>
  /** The relay named by the first argument or by `--server`. */
  readonly url: string | undefined
}

/** A command: what it takes, how it is explained, what it does. */
export interface Command<P extends Positionals = Positionals, O extends Options = Options> {
  /** In order; the key is the name in the usage line. */
  readonly args: P
  /** By flag without its dashes. */
  readonly options: O
  /** Whether a ws:// or wss:// address may stand first. */
  readonly takesUrl: boolean
  /** Lines of shell. */
  readonly examples: readonly string[]
  /** A sentence or two below the summary. */
  readonly notes?: readonly string[]
  /** @returns the exit status */
  run(context: Context, input: Input<P, O>): Promise<number>
}

/** Infers the types of a command's arguments. */
export function defineCommand<P extends Positionals, O extends Options>(
  command: Command<P, O>,
): Command<P, O> {
  return command
}

/** A flag: present or not. */
export function flag(summary: string): Option<boolean> {
  return {
    kind: "flag",
    placeholder: "",
    summary,
    offer: "nothing",
    read: (texts) => texts !== undefined,
  }
}

/** An option with one value; undefined when absent. The last one counts. */
export function value<T>(
  placeholder: string,
  summary: string,
  parse: Parse<T>,
  offer: Offer = "nothing",
): Option<T | undefined> {
  return {
    kind: "value",
    placeholder,
    summary,
    offer,
    read(texts, label) {
      const text = texts?.at(-1)
      return text === undefined ? undefined : parse(text, label)
    },
  }
}

/** A flag that may have a value: `absent` is what it means without one; undefined when it is not there. */
export function flagOr<T>(
  placeholder: string,
  summary: string,
  absent: T,
  parse: Parse<T>,
): Option<T | undefined> {
  return {
    kind: "flagOr",
    placeholder,
    summary,
    offer: "nothing",
    read(texts, label) {
      const text = texts?.at(-1)
      if (text !== undefined) return parse(text, label)
      return texts === undefined ? undefined : absent
    },
  }
}

/** An option with one or more values, apart or joined by commas; undefined when absent. */
export function list<T>(
  placeholder: string,
  summary: string,
  parse: Parse<T>,
): Option<readonly T[] | undefined> {
  return {
    kind: "list",
    placeholder,
    summary,
    offer: "nothing",
    read(texts, label) {
      // The only value was the relay's address, which is taken out of lists.
      if (texts?.length === 0) throw new ChatError("USAGE", `${label}: ${placeholder} is missing`)
      return texts?.flatMap((text) => text.split(",").map((part) => parse(part, label)))
    },
  }
}

/** An option that may stand several times, with one value each; undefined when absent. */
export function repeated<T>(
  placeholder: string,
  summary: string,
  parse: Parse<T>,
): Option<readonly T[] | undefined> {
  return {
    kind: "repeated",
    placeholder,
    summary,
    offer: "nothing",
    read: (texts, label) => texts?.map((text) => parse(text, label)),
  }
}

/** An argument that must be there. */
export function required<T>(summary: string, parse: Parse<T>, offer: Offer = "nothing"): Positional<T> {
  return { kind: "required", summary, offer, read: ([text = ""], label) => parse(text, label) }
}

/** An argument that may be left out. */
export function optional<T>(
  summary: string,
  parse: Parse<T>,
  offer: Offer = "nothing",
): Positional<T | undefined> {
  return {
    kind: "optional",
    summary,
    offer,
    read: ([text], label) => (text === undefined ? undefined : parse(text, label)),
  }
}

/** All further arguments. */
export function rest<T>(summary: string, parse: Parse<T>): Positional<readonly T[]> {
  return {
    kind: "rest",
    summary,
    offer: "nothing",
    read: (texts, label) => texts.map((text) => parse(text, label)),
  }
}
