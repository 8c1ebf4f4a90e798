/** A log as lines of JSON, each with the hash of the one before it. */
import { createHash } from "node:crypto"
import { isPlain } from "../../base/plain.js"
import { canonicalize } from "../../identity/canonical-json.js"
import { readFileLines } from "../input/file-lines.js"
import type { LogMessage } from "./log-query.js"

/** The facts of a chain in its first line, besides the number of messages. */
export interface ChainHead {
  /** Milliseconds since the Unix epoch. */
  readonly created: number
  /** Number of messages in which something was redacted. */
  readonly redacted: number
  readonly [field: string]: unknown
}

/** Yields the lines of a chain. The head has number 0, and says how many messages follow. */
export function* chainLines(head: ChainHead, messages: readonly LogMessage[]): Generator<ChainLine> {
  let prev = ""
  const line = (n: number, fields: object): ChainLine => {
    const unsigned = { v: 1, n, prev, ...fields }
    prev = hashOf(unsigned)
    return { ...unsigned, hash: prev }
  }
  yield line(0, { type: "LOG_EXPORT", count: messages.length, ...head })
  for (const [index, message] of messages.entries()) {
    // As JSON writes it, without undefined members and lone surrogates.
    const written = JSON.parse(
      JSON.stringify(message, (_, value: unknown) =>
        typeof value === "string" ? value.toWellFormed() : value,
      ),
    ) as object
    yield line(index + 1, { message: written })
  }
}

/** A line of a chain. `prev` is the `hash` of the line before it, "" for the first. */
export interface ChainLine {
  readonly n: number
  readonly prev: string
  readonly hash: string
}

/** Returns the SHA-256 of a line without its `hash`, as canonical JSON (RFC 8785), in base64url. */
function hashOf(line: object): string {
  return createHash("sha256").update(canonicalize(line)).digest("base64url")
}

/** The result of a check. */
export interface ChainReport {
  /** The faults, by the number of the line in the file; at most {@link maxFaults}. */
  readonly faults: readonly string[]
  /** Messages in the file. */
  readonly count: number
  /** Hash of the last line. */
  readonly hash: string
}

const maxFaults = 20

/** Checks a chain of any length. @throws {ChatError} NOT_FOUND, FILE_FAILED */
export function checkChain(path: string): ChainReport {
  const check = new ChainCheck()
  for (const { number, text = "", isWhole } of readFileLines(path)) {
    check.take(number, isWhole ? parseLine(text) : undefined, isWhole)
  }
  return check.end()
}

/** Reads the lines of a chain in the order of the file. */
class ChainCheck {
  readonly #faults: string[] = []
  /** Number that the next line should have. */
  #next = 0
  #count = 0
  /** Messages that the first line promises. */
  #promised: number | undefined
  #before: ChainLine | undefined

  take(number: number, line: ChainLine | undefined, isWhole: boolean): void {
    if (line === undefined) this.#skip(number, isWhole)
    else this.#check(number, line)
  }

  #skip(number: number, isWhole: boolean): void {
    this.#report(`line ${number} ${isWhole ? "is not a line of a chain" : "is cut off"}`)
    this.#before = undefined
    if (isWhole) this.#next++
  }

  #check(number: number, line: ChainLine): void {
    const { n } = line
    const isIntact = isUnaltered(line)
    if (!isIntact) this.#report(`line ${number} was altered`)
    if (n > this.#next) this.#report(missing(this.#next, n - 1, number))
    if (n < this.#next) this.#report(`line ${number} is out of order: it has number ${n}`)
    else if (isIntact && this.#before?.n === n - 1 && this.#before.hash !== line.prev)
      this.#report(`line ${number} does not follow the line before it: one of them was altered`)
    if (n === 0) this.#promised = countIn(line)
    else this.#count++
    this.#before = isIntact ? line : undefined
    this.#next = Math.max(this.#next, n + 1)
  }

  end(): ChainReport {
    const [promised, next, count] = [this.#promised, this.#next, this.#count]
    if (promised === undefined) this.#report("the first line is missing: it says how many messages there are")
    else if (next <= promised)
      this.#report(`the end is missing: ${promised - next + 1} of ${promised} messages`)
    else if (count > promised) this.#report(`there are ${count} messages; the first line says ${promised}`)
    return { faults: this.#faults, count, hash: this.#before?.hash ?? "" }
  }

  #report(fault: string): void {
    if (this.#faults.length < maxFaults) this.#faults.push(fault)
  }
}

function missing(first: number, last: number, line: number): string {
  const what = first === last ? `message ${first} is` : `messages ${first} to ${last} are`
  return `${what} missing before line ${line}`
}

function isUnaltered({ hash, ...others }: ChainLine): boolean {
  try {
    return hashOf(others) === hash
  } catch {
    return false
  }
}

function parseLine(text: string): ChainLine | undefined {
  try {
    const value: unknown = JSON.parse(text)
    const isLine =
      isPlain(value) &&
      Number.isSafeInteger(value["n"]) &&
      typeof value["prev"] === "string" &&
      typeof value["hash"] === "string"
    return isLine ? (value as unknown as ChainLine) : undefined
  } catch {
    return undefined
  }
}

function countIn(line: object): number | undefined {
  const { count } = line as { readonly count?: unknown }
  return Number.isSafeInteger(count) ? (count as number) : undefined
}
