/**
 * The `asyncRewake` door of Claude Code: a hook that runs in the background of an idle session, takes a ring and ends with
 * a status that starts a turn. That turn runs no hook of a prompt, so its first other hook returns the number of the ring.
 */
import { randomBytes } from "node:crypto"
import { rmSync } from "node:fs"
import type { Clock } from "../../base/clock.js"
import { readIfExists } from "../../base/files.js"
import { isNumber } from "../../base/plain.js"
import type { RootPaths } from "../../daemon/files/paths.js"
import { describeProcess, parseProcessRecord, processState } from "../../daemon/files/process-record.js"
import { readStateFile, writeStateFile } from "../../daemon/files/state-file.js"
import { ringNonceIn } from "../../daemon/wake/echo.js"
import type { WakeDoor } from "../../daemon/wake/session-doors.js"
import { rungFile, type SessionRecord, sessionFile } from "../sessions.js"
import { ringFile, ringFileDoor } from "./ring-file.js"

type Root = Pick<RootPaths, "sessions">

/** Milliseconds after an event of a session, or a ring, in which the next background hook begins. */
const gapMs = 60_000
/** Lines of a ring that are remembered: more than a digest shows. */
const maxLines = 100

/** The output of a background hook for a session. */
export interface Rung {
  /** Number of the ring. */
  readonly nonce: string
  /** Numbers of the inbox lines that were shown, and the newest one that was counted. */
  readonly seqs: readonly number[]
  readonly newest: number
}

function turnFile(root: Root, session: string): string {
  return sessionFile(root, session).replace(/json$/, "rewake")
}

/** The background hook of a session: the newest one that has begun. */
export class RewakeTurn {
  readonly #root: Root
  readonly #session: string
  readonly #id = randomBytes(16).toString("hex")

  /** @throws {ChatError} FILE_FAILED */
  constructor(root: Root, session: string, pid: number) {
    this.#root = root
    this.#session = session
    const failure = writeStateFile(this.#path, { id: this.#id, process: describeProcess(pid) })
    if (failure !== undefined) throw failure
  }

  get #path(): string {
    return turnFile(this.#root, this.#session)
  }

  /** False once a newer one has begun. */
  get isNewest(): boolean {
    return readStateFile(this.#path)["id"] === this.#id
  }

  /** Takes the ring that has come; undefined if there is none. */
  takeRing(): string | undefined {
    const path = ringFile(this.#root, this.#session)
    const text = readIfExists(path)
    if (text !== undefined) rmSync(path, { force: true })
    return text
  }

  /** Records what was printed, until a hook of the session proves that it was read. @throws {ChatError} FILE_FAILED */
  recordRung(rung: Rung, nowMs: number): void {
    const seqs = rung.seqs.slice(0, maxLines)
    const failure = writeStateFile(rungFile(this.#root, this.#session), { ...rung, seqs, ts: nowMs })
    if (failure !== undefined) throw failure
  }

  /** Ends the door: no background hook waits. */
  close(): void {
    if (this.isNewest) rmSync(this.#path, { force: true })
  }
}

/** Kinds of events that happen in a turn. Of a session that was idle, they prove that the ring has started it. */
const turnKinds: ReadonlySet<string> = new Set(["before-tool", "after-tool", "stop", "needs-user"])
/** Kinds that say nothing about the ring. */
const otherKinds: ReadonlySet<string> = new Set(["notification", "other"])

/**
 * Returns what an event proves that the session has been shown by its background hook. After a prompt of its user nothing
 * is known: the lines stay unread, and are shown again.
 */
export function takeRung(
  root: Root,
  session: string,
  { kind, prompt }: { readonly kind: string; readonly prompt: string },
): Rung | undefined {
  if (otherKinds.has(kind)) return undefined
  const path = rungFile(root, session)
  const { nonce, seqs, newest } = readStateFile(path)
  if (nonce === undefined) return undefined
  rmSync(path, { force: true })
  if (typeof nonce !== "string" || !isNumber(newest) || !Array.isArray(seqs) || !seqs.every(isNumber)) {
    return undefined
  }
  return turnKinds.has(kind) || ringNonceIn(prompt) === nonce ? { nonce, seqs, newest } : undefined
}

/** Returns the door while a background hook waits; a closed one while the next is about to begin. */
export function claudeRewakeDoor(root: Root, record: SessionRecord, clock: Clock): WakeDoor | undefined {
  const { session, state, event_at } = record
  const process = parseProcessRecord(readStateFile(turnFile(root, session))["process"])
  if (process === undefined) return undefined
  const isClosed = processState(process) !== "alive"
  const { ts } = readStateFile(rungFile(root, session))
  const sinceMs = clock.now() - Math.max(event_at, isNumber(ts) ? ts : 0)
  if (isClosed && state !== "working" && sinceMs > gapMs) return undefined
  const options = { clock, method: "async-rewake", taker: "claude: the background hook" }
  return { ...ringFileDoor(root, session, options), isClosed }
}
