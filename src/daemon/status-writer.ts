import type { Clock } from "../base/clock.js"
import { writeFileAtomic } from "../base/files.js"
import { omitUndefined } from "../base/plain.js"
import { formatJsonDocument } from "../base/visible-text.js"
import type { ChatError } from "../protocol/errors.js"
import type { EventLog } from "./files/append-log.js"
import type { DaemonStatus, Problem } from "./status.js"

/** The members of status.json that the daemon knows; {@link StatusWriter} adds the others. */
export type DaemonFacts = Omit<DaemonStatus, "v" | "reason" | "started" | "updated" | "since" | "problems">

/** Writes status.json whenever its content changes, never because time passed. */
export class StatusWriter {
  readonly #path: string
  readonly #clock: Clock
  readonly #log: EventLog
  readonly #started: number
  readonly #problems = new Map<string, Problem>()
  #facts: DaemonFacts | undefined
  #reason: ChatError | undefined
  #since: number
  #written = ""
  #changedMs: number
  #isClosed = false

  constructor(path: string, clock: Clock, log: EventLog) {
    this.#path = path
    this.#clock = clock
    this.#log = log
    this.#started = clock.now()
    this.#since = this.#started
    this.#changedMs = clock.monotonic()
  }

  /** Milliseconds since the content changed; 0 while there is a problem. */
  get unchangedMs(): number {
    return this.#problems.size > 0 ? 0 : this.#clock.monotonic() - this.#changedMs
  }

  /** Why the session is waiting or stopped. */
  get reason(): ChatError | undefined {
    return this.#reason
  }

  /** Returns the problem of one part. */
  problemOf(where: string): Problem | undefined {
    return this.#problems.get(where)
  }

  /** Replaces the daemon's facts and writes the file if they changed. */
  publish(facts: DaemonFacts): void {
    if (facts.state !== this.#facts?.state) this.#since = this.#clock.now()
    this.#facts = facts
    this.flush()
  }

  /** Sets why the session is waiting or stopped; undefined while it is online. */
  setReason(reason: ChatError | undefined): void {
    this.#reason = reason
  }

  /** Sets the problem of one part, or removes it. Logs the change. */
  setProblem(where: string, error: ChatError | undefined): void {
    const known = this.#problems.get(where)
    if (error === undefined) {
      if (this.#problems.delete(where)) this.#log.write(`fixed: ${where}`)
    } else if (known?.message !== error.message) {
      const { code, message, hint } = error
      this.#log.write(`problem: ${where}: ${code} ${message}`)
      this.#problems.set(where, {
        where,
        code,
        message,
        ...(hint === undefined ? {} : { hint }),
        since: known?.since ?? this.#clock.now(),
      })
    }
    this.flush()
  }

  /** Returns {@link setProblem} bound to one part. */
  reporter(where: string): (error: ChatError | undefined) => void {
    return (error) => this.setProblem(where, error)
  }

  /** Writes nothing from now on. */
  close(): void {
    this.#isClosed = true
  }

  /** Writes the file if its content changed. After a failed write the next call tries again. */
  flush(): void {
    if (this.#facts === undefined || this.#isClosed) return
    const { code, message, hint } = this.#reason ?? {}
    const reason =
      code === undefined || message === undefined ? null : { code, message, ...omitUndefined({ hint }) }
    const body = { ...this.#facts, reason, since: this.#since, problems: [...this.#problems.values()] }
    const text = JSON.stringify(body)
    if (text === this.#written) return
    this.#changedMs = this.#clock.monotonic()
    const status: DaemonStatus = { v: 1, started: this.#started, updated: this.#clock.now(), ...body }
    try {
      writeFileAtomic(this.#path, `${formatJsonDocument(status)}\n`)
      this.#written = text
    } catch {
      this.#written = ""
    }
  }
}
