import type { Clock } from "../base/clock.js"
import type { ChatError } from "../protocol/errors.js"
import type { DaemonLog } from "./files/daemon-log.js"
import { type Problem, writeStatus } from "./status.js"
import type { DaemonFacts } from "./status-facts.js"

/** Keeps status.json true: written when something changed, never because time passed. */
export class StatusWriter {
  readonly #path: string
  readonly #clock: Clock
  readonly #log: DaemonLog
  readonly #started: number
  readonly #problems = new Map<string, Problem>()
  #facts: DaemonFacts | undefined
  #reason: ChatError | undefined
  #since: number
  #written = ""

  constructor(path: string, clock: Clock, log: DaemonLog) {
    this.#path = path
    this.#clock = clock
    this.#log = log
    this.#started = clock.now()
    this.#since = this.#started
  }

  /** Takes the daemon's present facts; they reach the file at once when they differ from the last ones. */
  publish(facts: DaemonFacts): void {
    if (facts.state !== this.#facts?.state) this.#since = this.#clock.now()
    this.#facts = facts
    this.flush()
  }

  /** Why the session waits or stopped; undefined while it is well. */
  setReason(reason: ChatError | undefined): void {
    this.#reason = reason
  }

  /** Records or clears what keeps one part from its work. */
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

  /** {@link setProblem} for one part. */
  reporter(where: string): (error: ChatError | undefined) => void {
    return (error) => this.setProblem(where, error)
  }

  /** Writes what differs from the file. A disk that refuses is tried again at the next call. */
  flush(): void {
    if (this.#facts === undefined) return
    const reason =
      this.#reason === undefined ? null : { code: this.#reason.code, message: this.#reason.message }
    const body = { ...this.#facts, reason, since: this.#since, problems: [...this.#problems.values()] }
    const text = JSON.stringify(body)
    if (text === this.#written) return
    try {
      writeStatus(this.#path, { v: 1, started: this.#started, updated: this.#clock.now(), ...body })
      this.#written = text
    } catch {
      this.#written = ""
    }
  }
}
