/** Speaks through a running daemon as any shell could: a line into its outbox, the answer out of its files. */
import { randomBytes } from "node:crypto"
import { closeSync, openSync, writeSync } from "node:fs"
import type { Clock } from "../../base/clock.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { readStatus } from "../../daemon/status.js"
import type { ClientFrame } from "../../protocol/client-messages.js"
import { ChatError, isErrorCode } from "../../protocol/errors.js"
import type { GuardFacts } from "../../protocol/guard-facts.js"
import { defaultLimits } from "../../protocol/limits.js"
import { commandIdPrefix } from "../../protocol/message-id.js"
import type { Draft } from "../../protocol/statements.js"
import { watchDirectory } from "./directory-watch.js"
import { LineTail } from "./line-tail.js"

/** Milliseconds between two looks when the system does not tell of changes. */
const lookMs = 25

type Members = Readonly<Record<string, unknown>>

/** A line in a daemon's outbox, and what the daemon's files tell of it. */
export class DaemonMail {
  readonly #paths: DaemonPaths
  readonly #clock: Clock
  readonly #id: string
  readonly #tails: readonly LineTail[]

  /**
   * Puts `frame` into the outbox.
   * @param id - of its own, when it was said before: then it stays one message
   * @throws {ChatError} INVALID_MSG when it is too large; FILE_FAILED
   */
  constructor(paths: DaemonPaths, frame: ClientFrame | Draft, clock: Clock, id = newLineId()) {
    this.#id = id
    this.#paths = paths
    this.#clock = clock
    this.#tails = [paths.acks, paths.rejected].map((path) => new LineTail(path))
    appendLine(paths.outbox, `${JSON.stringify({ ...frame, id: this.#id })}\n`)
  }

  /**
   * What was told since the last look: lines of acks.jsonl, with their evidence as fields of their own.
   * @throws {ChatError} why it was refused
   */
  read(): Members[] {
    return this.#tails.flatMap((tail) => tail.read()).flatMap((line) => readRung(line, this.#id))
  }

  /** Calls `look` whenever there may be news, until it finds something or the time is over. */
  until<T>(timeoutMs: number, look: () => T | undefined): Promise<T | undefined> {
    return until(this.#paths.dir, this.#clock, timeoutMs, look)
  }

  /** The error of a line that waits still. */
  queued(timeoutMs: number): ChatError {
    return queued(this.#paths, timeoutMs)
  }

  close(): void {
    for (const tail of this.#tails) tail.close()
  }
}

/**
 * Puts `frame` into the daemon's outbox and waits until the relay has carried it out.
 * @returns the line of acks.jsonl, with its evidence as fields of their own
 * @throws {ChatError} why it was refused; TIMEOUT when it waits in the outbox still, where it stays;
 * INVALID_MSG when it is too large; FILE_FAILED
 */
export async function askDaemon(
  paths: DaemonPaths,
  frame: ClientFrame | Draft,
  { clock, timeoutMs, id }: { clock: Clock; timeoutMs: number; id?: string },
): Promise<Members> {
  const mail = new DaemonMail(paths, frame, clock, id)
  try {
    const answer = await mail.until(timeoutMs, () => mail.read().find(isAccepted))
    if (answer === undefined) throw mail.queued(timeoutMs)
    return answer
  } finally {
    mail.close()
  }
}

/** An id for a line that a command writes. */
export function newLineId(): string {
  return `${commandIdPrefix}${randomBytes(9).toString("base64url")}`
}

function isAccepted(line: Members): boolean {
  return line["state"] === "accepted"
}

/** @throws {ChatError} when the line says that ours was refused */
function readRung(text: string, id: string): Members[] {
  if (!text.includes(id)) return []
  const line = JSON.parse(text) as Members
  if (line["id"] !== id) return []
  if (typeof line["code"] === "string") throw refusal(line["code"], line)
  // A deal has a state too.
  return [{ ...line, ...(line["evidence"] as Members | undefined), state: line["state"] }]
}

function appendLine(path: string, line: string): void {
  const bytes = Buffer.from(line)
  if (bytes.length > defaultLimits.frameBytes) {
    throw new ChatError(
      "INVALID_MSG",
      `text: makes a line of ${bytes.length} bytes; a relay reads ${defaultLimits.frameBytes}`,
      {
        hint: "put it into a file both can read, and send its path",
      },
    )
  }
  try {
    const fd = openSync(path, "a", 0o600)
    try {
      for (let offset = 0; offset < bytes.length; ) offset += writeSync(fd, bytes, offset)
    } finally {
      closeSync(fd)
    }
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new ChatError("FILE_FAILED", `${path}: cannot be written (${String(code)})`, { cause: error })
  }
}

function refusal(code: string, line: Members): ChatError {
  const { reason, hint, candidates, retry_after_ms: retryAfterMs, guard } = line
  return new ChatError(isErrorCode(code) ? code : "UNSUPPORTED", typeof reason === "string" ? reason : code, {
    ...(typeof hint === "string" ? { hint: hint } : {}),
    ...(typeof retryAfterMs === "number" ? { retryAfterMs } : {}),
    ...(typeof guard === "object" && guard !== null ? { guard: guard as GuardFacts } : {}),
    ...(Array.isArray(candidates) ? { candidates: candidates.map(String) } : {}),
  })
}

function queued(paths: DaemonPaths, timeoutMs: number): ChatError {
  const status = readStatus(paths.status)
  const why = status?.reason ?? status?.problems.find(({ where }) => where === "relay")
  const reason = why === undefined ? "" : `: ${why.message}`
  const message = `queued, and not accepted within ${timeoutMs / 1000} s${reason}`
  return new ChatError("TIMEOUT", message, {
    hint: `do not send it again: the daemon will; see: agentchat status --name ${paths.name}`,
  })
}

/** Looks whenever the directory changes, until there is something or the time is over. */
async function until<T>(
  dir: string,
  clock: Clock,
  timeoutMs: number,
  look: () => T | undefined,
): Promise<T | undefined> {
  const deadline = clock.monotonic() + timeoutMs
  let wake = () => {}
  const unwatch = watchDirectory(dir, () => wake())
  try {
    for (;;) {
      const found = look()
      if (found !== undefined || clock.monotonic() >= deadline) return found
      await new Promise<void>((resolve) => {
        const timer = clock.setTimer(resolve, lookMs)
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
