import { isUtf8 } from "node:buffer"
import { createHash, type Hash } from "node:crypto"
import { closeSync, existsSync, openSync, readSync, renameSync, rmSync, writeSync } from "node:fs"
import { basename, join } from "node:path"
import type { Clock } from "../../base/clock.js"
import { shellWord } from "../../base/command-hint.js"
import { writeFileAtomic } from "../../base/files.js"
import { LruMap } from "../../base/lru-map.js"
import { omitUndefined } from "../../base/plain.js"
import { formatJsonLine } from "../../base/visible-text.js"
import { ChatError } from "../../protocol/errors.js"
import { AppendLog } from "../files/append-log.js"
import type { FileProblems } from "../files/file-problems.js"
import { ensureDirectory } from "../files/home.js"
import type { DaemonPaths } from "../files/paths.js"
import type { QueuedLine } from "./line-queue.js"

/** A line that will not be sent. */
export interface Rejection {
  readonly at: string
  readonly id: string
  readonly sha256: string
  readonly error: ChatError
  /** The line itself, or the path of a file that holds it; the file is moved to rejected.d/. */
  readonly body: Buffer | string
}

/** Longer lines are kept as files, so that rejected.jsonl stays readable. */
const inlineBytes = 4 * 1024
const recallBytes = 8 * 1024 * 1024
/** More lines than the daemon can reject again after a crash. */
const rememberedLines = 2048
const copyBytes = 1024 * 1024

/** Copies a line too long for memory out of the file that holds it, a piece at a time. */
class LineCopy {
  readonly #from: number
  readonly #to: string
  readonly #end: number
  readonly #hash: Hash = createHash("sha256")
  readonly #piece: Buffer
  #at: number
  #fd: number | undefined

  /** @param from - open file that holds the line at `start`..`end` */
  constructor(from: number, start: number, end: number, to: string) {
    this.#from = from
    this.#at = start
    this.#end = end
    this.#to = to
    this.#piece = Buffer.allocUnsafeSlow(Math.min(copyBytes, end - start))
  }

  /**
   * Copies up to 1 MiB more.
   * @returns the SHA-256 of the line, in hex, once the copy is complete
   * @throws the system error; then {@link abort} this copy and start another
   */
  step(): string | undefined {
    this.#fd ??= this.#create()
    const piece = this.#piece.subarray(0, this.#end - this.#at)
    const read = readSync(this.#from, piece, 0, piece.length, this.#at)
    for (let written = 0; written < read; ) written += writeSync(this.#fd, piece, written, read - written)
    this.#hash.update(piece.subarray(0, read))
    this.#at += read
    // A read of 0 bytes: the file was truncated meanwhile.
    if (read > 0 && this.#at < this.#end) return undefined
    closeSync(this.#fd)
    this.#fd = undefined
    renameSync(`${this.#to}.tmp`, this.#to)
    return this.#hash.digest("hex")
  }

  /** Creates the file of the copy anew: an earlier process may have left one. */
  #create(): number {
    rmSync(`${this.#to}.tmp`, { force: true })
    return openSync(`${this.#to}.tmp`, "wx", 0o600)
  }

  /** Removes the partial copy. */
  abort(): void {
    if (this.#fd !== undefined) closeSync(this.#fd)
    this.#fd = undefined
    rmSync(`${this.#to}.tmp`, { force: true })
  }
}

/** A rejected line that is not in rejected.jsonl yet. */
interface Unrecorded {
  readonly line: QueuedLine
  readonly rejection: Rejection
  readonly isReported: boolean
}

/** A rejected line that is not in a file of rejected.d/ yet. */
interface Uncopied {
  readonly line: QueuedLine
  readonly error: ChatError
  readonly fd: number
}

/**
 * rejected.jsonl and rejected.d/: records each line that cannot be sent, once, even over a crash, and then settles it.
 * A write that the disk refuses is repeated by the next {@link flush}.
 */
export class RejectedLines {
  readonly #paths: DaemonPaths
  readonly #clock: Clock
  readonly #problems: FileProblems
  readonly #onRecorded: (rejection: Rejection) => void
  readonly #log: AppendLog
  /** Places of the newest lines in the file. */
  #recorded: LruMap<string, true> | undefined
  #unrecorded: Unrecorded[] = []
  readonly #uncopied: Uncopied[] = []
  #copy: LineCopy | undefined
  #turn: NodeJS.Immediate | undefined

  /** @param onRecorded - receives each line that was rejected before it was sent */
  constructor(
    paths: DaemonPaths,
    clock: Clock,
    problems: FileProblems,
    onRecorded: (rejection: Rejection) => void,
  ) {
    this.#paths = paths
    this.#clock = clock
    this.#problems = problems
    this.#onRecorded = onRecorded
    this.#log = new AppendLog(paths.rejected)
  }

  /** Rejects a line. @param options - `isReported: true` if the caller reports the rejection itself */
  add(line: QueuedLine, rejection: Rejection, { isReported = false } = {}): void {
    const error = locateOutbox(rejection.error, this.#paths)
    this.#unrecorded.push({ line, rejection: { ...rejection, error }, isReported })
  }

  /** Rejects a line too long for memory. @param fd - stays open until the line is settled */
  addOversize(line: QueuedLine, error: ChatError, fd: number): void {
    this.#uncopied.push({ line, error, fd })
  }

  /** Records the waiting lines. Long lines are copied in later turns of the event loop. */
  flush(): void {
    while (this.#unrecorded.length > 0) {
      const lines = this.#unrecorded
      this.#unrecorded = []
      const failed = lines.findIndex((next) => !this.#settle(next))
      if (failed < 0) continue
      this.#unrecorded = [...lines.slice(failed), ...this.#unrecorded]
      break
    }
    if (this.#uncopied.length > 0) this.#turn ??= setImmediate(() => this.#copyNext())
  }

  close(): void {
    clearImmediate(this.#turn)
    this.#copy?.abort()
  }

  #settle({ line, rejection, isReported }: Unrecorded): boolean {
    const isRecorded = this.#problems.attempt("rejected.jsonl", "written", () => this.#record(rejection))
    if (!isRecorded) return false
    if (!isReported) this.#onRecorded(rejection)
    line.settle()
    return true
  }

  /** @throws the system error; then the call may be repeated */
  #record(rejection: Rejection): void {
    this.#recorded ??= this.#recall()
    const { at, body } = rejection
    const isInline = typeof body !== "string" && body.length <= inlineBytes && isUtf8(body)
    const path = this.#pathFor(at)
    if (!isInline) ensureDirectory(this.#paths.rejectedDir)
    if (!isInline && typeof body !== "string") writeFileAtomic(path, body)
    if (!this.#recorded.has(at)) {
      const file = join(basename(this.#paths.rejectedDir), basename(path))
      const content = isInline ? { line: body.toString() } : { file }
      this.#log.append(`${formatJsonLine(entryOf(rejection, content, this.#clock.now()))}\n`)
      this.#recorded.set(at, true)
    }
    // Moved last, so that after a crash the file is found where it was and its line is recognized.
    if (typeof body === "string" && existsSync(body)) renameSync(body, path)
  }

  #recall(): LruMap<string, true> {
    const recorded = new LruMap<string, true>(rememberedLines)
    for (const at of this.#log.readNewest(recallBytes).slice(-rememberedLines).flatMap(parsePlace)) {
      recorded.set(at, true)
    }
    return recorded
  }

  #copyNext(): void {
    this.#turn = undefined
    const [next] = this.#uncopied
    if (next === undefined) return
    const { line, error, fd } = next
    const path = this.#pathFor(line.at)
    const copy = (this.#copy ??= new LineCopy(fd, line.start, line.end, path))
    let sha256: string | undefined
    const isWritten = this.#problems.attempt("rejected.d", "written", () => {
      ensureDirectory(this.#paths.rejectedDir)
      sha256 = copy.step()
    })
    if (isWritten && sha256 === undefined) {
      this.#turn = setImmediate(() => this.#copyNext())
      return
    }
    this.#copy = undefined
    if (sha256 === undefined) copy.abort()
    else {
      this.#uncopied.shift()
      this.add(line, { at: line.at, id: line.id, sha256, error, body: path })
      this.flush()
    }
  }

  /** Returns the path of a line that is kept in a file of its own. */
  #pathFor(at: string): string {
    return join(this.#paths.rejectedDir, `${at}.line`)
  }
}

/** Returns an error whose hint names the outbox by its path: whoever follows the hint may be in any directory. */
function locateOutbox(error: ChatError, { outbox }: DaemonPaths): ChatError {
  const { code, message, hint, candidates, retryAfterMs, guard } = error
  if (hint?.includes(">> outbox.jsonl") !== true) return error
  const located = hint.replaceAll(">> outbox.jsonl", () => `>> ${shellWord(outbox)}`)
  return new ChatError(code, message, omitUndefined({ hint: located, candidates, retryAfterMs, guard }))
}

/** Returns a line of rejected.jsonl; undefined fields are left out. */
function entryOf(
  { at, id, sha256, error }: Rejection,
  content: { line: string } | { file: string },
  ts: number,
): object {
  return {
    id,
    at,
    line_sha256: sha256,
    ...content,
    code: error.code,
    reason: error.message,
    hint: error.hint,
    candidates: error.candidates,
    retry_after_ms: error.retryAfterMs,
    guard: error.guard,
    ts,
  }
}

/** Returns `at` of a line of rejected.jsonl, which a user may have edited. */
function parsePlace(line: string): string[] {
  try {
    const { at } = JSON.parse(line) as { at?: unknown }
    return typeof at === "string" ? [at] : []
  } catch {
    return []
  }
}
