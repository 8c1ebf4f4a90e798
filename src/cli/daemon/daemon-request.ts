/**
 * Sends a request through a running daemon, as a shell script would: appends a line to its outbox and reads the outcome
 * from acks.jsonl or rejected.jsonl.
 */
import { randomBytes } from "node:crypto"
import { closeSync, constants, existsSync, fstatSync, readSync } from "node:fs"
import { join } from "node:path"
import type { Clock } from "../../base/clock.js"
import { openPlain, writeAll, writeFileAtomic } from "../../base/files.js"
import { FileTail, watchDirectory } from "../../daemon/files/file-tail.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { mayOvertake } from "../../daemon/outbox/limits.js"
import { readStatus } from "../../daemon/status.js"
import type { ClientFrame } from "../../protocol/client-messages.js"
import { ChatError, isErrorCode } from "../../protocol/errors.js"
import type { GuardFacts } from "../../protocol/guard-facts.js"
import { defaultLimits } from "../../protocol/limits.js"
import { formatCommandId } from "../../protocol/message-id.js"
import type { Draft } from "../../protocol/statements.js"
import type { System } from "../context.js"

/** Milliseconds between two reads of the files, in case the system reports no changes. */
const pollMs = 25
const newline = 0x0a

type Members = Readonly<Record<string, unknown>>

/** A line in a daemon's outbox, and the lines of acks.jsonl and rejected.jsonl about it. */
export class OutboxRequest {
  readonly #paths: DaemonPaths
  readonly #clock: Clock
  readonly #id: string
  readonly #tails: readonly FileTail[]

  /**
   * Appends the frame to the outbox.
   * @param id - the id of the line; a line that is sent again keeps its id, so that the relay stores it once
   * @throws {ChatError} INVALID_MSG if it is too large; FILE_FAILED
   */
  constructor(paths: DaemonPaths, frame: ClientFrame | Draft, clock: Clock, id: string) {
    this.#id = id
    this.#paths = paths
    this.#clock = clock
    this.#tails = [paths.acks, paths.rejected].map((path) => new FileTail(path))
    const line = `${outboxLine(frame, id)}\n`
    checkSize(line)
    if (mayOvertake(frame) && existsSync(paths.outboxDrop)) dropFile(paths.outboxDrop, this.#id, line)
    else appendLine(paths.outbox, line)
  }

  /**
   * Returns the lines of acks.jsonl added since the last call, with the members of `evidence` moved to the top level.
   * @throws {ChatError} the reason if the line was rejected
   */
  read(): Members[] {
    return this.#tails.flatMap((tail) => tail.read()).flatMap((line) => readOutcome(line, this.#id))
  }

  /**
   * Calls `look` after each change of the daemon's directory until it returns a value or the time is over.
   * @returns the value; undefined when the time is over
   */
  async waitFor<T>(timeoutMs: number, look: () => T | undefined): Promise<T | undefined> {
    const deadline = this.#clock.monotonic() + timeoutMs
    let wake = () => {}
    const unwatch = watchDirectory(this.#paths.dir, () => wake())
    try {
      for (;;) {
        const found = look()
        if (found !== undefined || this.#clock.monotonic() >= deadline) return found
        await new Promise<void>((resolve) => {
          const timer = this.#clock.setTimer(resolve, pollMs)
          wake = () => {
            timer.cancel()
            resolve()
          }
        })
      }
    } finally {
      unwatch()
    }
  }

  /** Returns the TIMEOUT error for a line that is still in the outbox. */
  async timeoutError(timeoutMs: number): Promise<ChatError> {
    const { status: path, name } = this.#paths
    const status = readStatus(path)
    const { describeWait, waitsOf } = await import("./daemon-state.js")
    const waits = status === undefined ? [] : waitsOf(status)
    const nowMs = this.#clock.now()
    const why = waits.map((wait) => describeWait(wait, nowMs)).join(", ") || status?.reason?.message
    const reason = why === undefined ? "" : `: ${why}`
    const message = `queued, and not accepted within ${timeoutMs / 1000} s${reason}`
    return new ChatError("TIMEOUT", message, {
      hint: `do not send it again: the daemon will; see: agentchat status --name ${name}`,
    })
  }

  close(): void {
    for (const tail of this.#tails) tail.close()
  }
}

/**
 * Sends a frame through a daemon and waits until the relay accepts it.
 * @returns the line of acks.jsonl, with the members of `evidence` moved to the top level
 * @throws {ChatError} the reason if it was rejected; TIMEOUT if it is still in the outbox, where it stays;
 * INVALID_MSG if it is too large; FILE_FAILED
 */
export async function requestThroughDaemon(
  paths: DaemonPaths,
  frame: ClientFrame | Draft,
  { clock, timeoutMs, id }: { clock: Clock; timeoutMs: number; id: string },
): Promise<Members> {
  const request = new OutboxRequest(paths, frame, clock, id)
  try {
    const answer = await request.waitFor(timeoutMs, () =>
      request.read().find(({ state }) => state === "accepted"),
    )
    if (answer === undefined) throw await request.timeoutError(timeoutMs)
    return answer
  } finally {
    request.close()
  }
}

/** Returns the line, without its newline, that puts a frame into an outbox. */
export function outboxLine(frame: ClientFrame | Draft, id: string): string {
  return JSON.stringify({ ...frame, id })
}

/** Returns a new id for an outbox line that this command writes. */
export function newLineId({ pid }: Pick<System, "pid">): string {
  return formatCommandId(pid, randomBytes(9).toString("base64url"))
}

/** @throws {ChatError} if the line rejects the request */
function readOutcome(text: string, id: string): Members[] {
  if (!text.includes(id)) return []
  const line = JSON.parse(text) as Members
  if (line["id"] !== id) return []
  if (typeof line["code"] === "string") throw rejection(line["code"], line)
  // The evidence of a deal has a `state` too; the state of the line wins.
  return [{ ...line, ...(line["evidence"] as Members | undefined), state: line["state"] }]
}

function checkSize(line: string): void {
  const bytes = Buffer.byteLength(line)
  if (bytes <= defaultLimits.frameBytes) return
  throw new ChatError(
    "INVALID_MSG",
    `text: the line has ${bytes} bytes; a relay accepts ${defaultLimits.frameBytes}`,
    { hint: "put it into a file both can read, and send its path" },
  )
}

/** Appends a line. If the one before it has no newline, it gets one, so that both stay apart. */
function appendLine(path: string, line: string): void {
  attempt(path, () => {
    const fd = openPlain(path, constants.O_RDWR | constants.O_APPEND | constants.O_CREAT)
    try {
      writeAll(fd, Buffer.from(endsWithNewline(fd) ? line : `\n${line}`))
    } finally {
      closeSync(fd)
    }
  })
}

function endsWithNewline(fd: number): boolean {
  const { size } = fstatSync(fd)
  const last = Buffer.alloc(1)
  return size === 0 || readSync(fd, last, 0, 1, size - 1) === 0 || last[0] === newline
}

/** Puts a request into outbox.d, where it does not queue behind the messages of outbox.jsonl. */
function dropFile(directory: string, id: string, line: string): void {
  const path = join(directory, `${id}.json`)
  attempt(path, () => writeFileAtomic(path, line))
}

function attempt(path: string, write: () => void): void {
  try {
    write()
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new ChatError("FILE_FAILED", `${path}: cannot be written (${String(code)})`, { cause: error })
  }
}

function rejection(code: string, line: Members): ChatError {
  const { reason, hint, candidates, retry_after_ms: retryAfterMs, guard } = line
  return new ChatError(isErrorCode(code) ? code : "UNSUPPORTED", typeof reason === "string" ? reason : code, {
    ...(typeof hint === "string" ? { hint } : {}),
    ...(typeof retryAfterMs === "number" ? { retryAfterMs } : {}),
    ...(typeof guard === "object" && guard !== null ? { guard: guard as GuardFacts } : {}),
    ...(Array.isArray(candidates) ? { candidates: candidates.map(String) } : {}),
  })
}
