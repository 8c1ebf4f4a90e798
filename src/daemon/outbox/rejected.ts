import { isUtf8 } from "node:buffer"
import { existsSync, renameSync } from "node:fs"
import { basename, join } from "node:path"
import { writeFileAtomic } from "../../base/atomic-file.js"
import type { Clock } from "../../base/clock.js"
import { LruMap } from "../../base/lru-map.js"
import { formatJsonLine } from "../../base/visible-text.js"
import type { ChatError } from "../../protocol/errors.js"
import { LineLog } from "../files/line-log.js"
import type { DaemonPaths } from "../files/paths.js"
import { makeDirectory } from "./files/directory.js"

/** A line that will not be sent. */
export interface Rejection {
  readonly at: string
  readonly id: string
  readonly sha256: string
  readonly error: ChatError
  /** The line itself, or the path of a file that holds it and is to be kept. */
  readonly body: Buffer | string
}

/** Larger lines are kept as files, so that rejected.jsonl stays readable. */
const inlineBytes = 4 * 1024
const recallBytes = 8 * 1024 * 1024
/** More than a crash can make us reject again. */
const rememberedLines = 2048

/** rejected.jsonl and rejected.d/: each line that could not be sent, once, also over crashes. */
export class RejectedLog {
  readonly #paths: DaemonPaths
  readonly #clock: Clock
  readonly #log: LineLog
  #remembered: LruMap<string, true> | undefined

  constructor(paths: DaemonPaths, clock: Clock) {
    this.#paths = paths
    this.#clock = clock
    this.#log = new LineLog(paths.rejected)
  }

  /** Where a line of its own file is kept. */
  pathFor(at: string): string {
    return join(this.#paths.rejectedDir, `${at}.line`)
  }

  /**
   * Puts a line on record, unless it stands there from before a crash.
   * @throws what the file system refuses; then the call may be repeated
   */
  record(rejection: Rejection): void {
    this.#remembered ??= this.#recall()
    const { at, body } = rejection
    const isInline = typeof body !== "string" && body.length <= inlineBytes && isUtf8(body)
    const path = this.pathFor(at)
    if (!isInline) makeDirectory(this.#paths.rejectedDir)
    if (!isInline && typeof body !== "string") writeFileAtomic(path, body)
    if (!this.#remembered.has(at)) {
      const file = join(basename(this.#paths.rejectedDir), basename(path))
      this.#log.append(this.#format(rejection, isInline ? { line: body.toString() } : { file }))
      this.#remembered.set(at, true)
    }
    // Moved last: after a crash before this, the file is found where it was, and recognised.
    if (typeof body === "string" && existsSync(body)) renameSync(body, path)
  }

  #format({ at, id, sha256, error }: Rejection, kept: { line: string } | { file: string }): string {
    const entry = {
      id,
      at,
      line_sha256: sha256,
      ...kept,
      code: error.code,
      reason: error.message,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
      ...(error.candidates === undefined ? {} : { candidates: error.candidates }),
      ...(error.retryAfterMs === undefined ? {} : { retry_after_ms: error.retryAfterMs }),
      ...(error.guard === undefined ? {} : { guard: error.guard }),
      ts: this.#clock.now(),
    }
    return `${formatJsonLine(entry)}\n`
  }

  #recall(): LruMap<string, true> {
    const remembered = new LruMap<string, true>(rememberedLines)
    for (const at of this.#log.readNewest(recallBytes).slice(-rememberedLines).flatMap(readPlace))
      remembered.set(at, true)
    return remembered
  }
}

/** The place in a line of the file, which a user may have edited. */
function readPlace(line: string): string[] {
  try {
    const { at } = JSON.parse(line) as { at?: unknown }
    return typeof at === "string" ? [at] : []
  } catch {
    return []
  }
}
