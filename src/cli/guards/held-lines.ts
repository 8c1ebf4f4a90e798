/** Outbox lines that a guard has stopped. They are held in rejected.jsonl until they are released or dropped. */
import { join } from "node:path"
import { appendPlain, readIfExists } from "../../base/files.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { ChatError } from "../../protocol/errors.js"
import type { GuardFacts } from "../../protocol/guard-facts.js"

const maxFileBytes = 256 * 1024 * 1024

/** A held line. */
export interface HeldLine {
  /** Position in the outbox. Unlike `id`, it is unique. */
  readonly at: string
  readonly id: string
  readonly reason: string
  readonly ts: number
  readonly guard: GuardFacts
  /** The line itself; a large line is in `file` instead, a path in the daemon's directory. */
  readonly line?: string
  readonly file?: string
}

/**
 * Returns the held lines of a daemon, in the order in which they were first stopped. A line that was released and
 * stopped again keeps its position.
 */
export function readHeldLines(paths: DaemonPaths): HeldLine[] {
  const done = new Set(readLines(paths.released).flatMap(({ at }) => (typeof at === "string" ? [at] : [])))
  const positions = new Map<string, number>()
  const held = readLines(paths.rejected).flatMap((entry) => {
    if (!isHeld(entry)) return []
    if (!positions.has(entry.id)) positions.set(entry.id, positions.size)
    return done.has(entry.at) ? [] : [entry]
  })
  return held.sort((a, b) => (positions.get(a.id) ?? 0) - (positions.get(b.id) ?? 0))
}

function isHeld(entry: unknown): entry is HeldLine {
  const { code, at, id, guard } = entry as Readonly<Record<string, unknown>>
  const isNamed = typeof at === "string" && typeof id === "string"
  return code === "GUARDED" && isNamed && typeof guard === "object" && guard !== null
}

/** Records that a line is no longer held. @throws {ChatError} FILE_FAILED */
export function noteReleased(
  paths: DaemonPaths,
  { at, id }: HeldLine,
  state: "released" | "dropped",
  ts: number,
): void {
  try {
    appendPlain(paths.released, `${JSON.stringify({ at, id, state, ts })}\n`)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new ChatError("FILE_FAILED", `${paths.released}: cannot be written (${String(code)})`, {
      cause: error,
    })
  }
}

/** Returns the message of a held line. @throws {ChatError} NOT_FOUND if its file is gone */
export function frameOf(
  paths: DaemonPaths,
  { line, file = "", id }: HeldLine,
): Readonly<Record<string, unknown>> {
  try {
    return JSON.parse(line ?? readIfExists(join(paths.dir, file)) ?? "") as Record<string, unknown>
  } catch (error) {
    throw new ChatError("NOT_FOUND", `${id}: the line cannot be read again`, { cause: error })
  }
}

function readLines(path: string): Readonly<Record<string, unknown>>[] {
  return (readIfExists(path, maxFileBytes) ?? "").split("\n").flatMap((text) => {
    try {
      const value: unknown = text === "" ? undefined : JSON.parse(text)
      return typeof value === "object" && value !== null ? [{ ...value }] : []
    } catch {
      return []
    }
  })
}
