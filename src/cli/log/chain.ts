/** A log as lines of JSON, each with the hash of the one before it. */
import { createHash } from "node:crypto"
import { isPlain } from "../../base/plain.js"
import { canonicalize } from "../../identity/canonical-json.js"
import { readFileLines } from "../input/file-lines.js"
import type { LogMessage } from "./log-query.js"

/** What the first line of a chain says besides the number of messages. */
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
      JSON.stringify(message, (_, value) => (typeof value === "string" ? value.toWellFormed() : value)),
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
  /** What is wrong, by the number of the line in the file; at most {@link maxFaults}. */
  readonly faults: readonly string[]
  /** Messages in the file. */
  readonly count: number
  /** Hash of the last line. */
  readonly hash: string
}

const maxFaults = 20

/** Checks a chain of any length. @throws {ChatError} NOT_FOUND, FILE_FAILED */
export function checkChain(path: string): ChainReport {
  const faults: string[] = []
  const report = (fault: string): void => {
    if (faults.length < maxFaults) faults.push(fault)
  }
  let [next, count, promised]: [number, number, number | undefined] = [0, 0, undefined]
  let before: ChainLine | undefined
  for (const { number, text = "", isWhole } of readFileLines(path)) {
    const line = parseLine(text)
    if (line === undefined || !isWhole) {
      report(`line ${number} ${isWhole ? "is not a line of a chain" : "is cut off"}`)
      before = undefined
      if (isWhole) next++
      continue
    }
    const { n, prev, hash, ...others } = line
    const isIntact = isUnaltered(line)
    if (!isIntact) report(`line ${number} was altered`)
    if (n > next) report(missing(next, n - 1, number))
    if (n < next) report(`line ${number} is out of order: it has number ${n}`)
    else if (isIntact && before?.n === n - 1 && before.hash !== prev)
      report(`line ${number} does not follow the line before it: one of them was altered`)
    if (n === 0) promised = countIn(others)
    else count++
    before = isIntact ? line : undefined
    next = Math.max(next, n + 1)
  }
  if (promised === undefined) report("the first line is missing: it says how many messages there are")
  else if (next <= promised) report(`the end is missing: ${promised - next + 1} of ${promised} messages`)
  else if (count > promised) report(`there are ${count} messages; the first line says ${promised}`)
  return { faults, count, hash: before?.hash ?? "" }
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

function countIn(others: Readonly<Record<string, unknown>>): number | undefined {
  const { count } = others
  return Number.isSafeInteger(count) ? (count as number) : undefined
}
