import { appendFileSync, renameSync, statSync } from "node:fs"
import type { Clock } from "../../base/clock.js"
import { formatForTerminal } from "../../base/visible-text.js"

/** Bytes after which the log starts anew; one older log is kept beside it. */
const rotateBytes = 1024 * 1024

/** What happened to one daemon, one line per event. Holds no message content and no secret. */
export class DaemonLog {
  readonly #path: string
  readonly #clock: Clock
  #bytes: number

  constructor(path: string, clock: Clock) {
    this.#path = path
    this.#clock = clock
    this.#bytes = statSync(path, { throwIfNoEntry: false })?.size ?? 0
  }

  /** Appends one line. A full disk costs the line, never the daemon: status.json tells of the disk. */
  write(text: string): void {
    const line = `${new Date(this.#clock.now()).toISOString()} ${formatForTerminal(text)}\n`
    try {
      if (this.#bytes > rotateBytes) {
        renameSync(this.#path, `${this.#path}.1`)
        this.#bytes = 0
      }
      appendFileSync(this.#path, line, { mode: 0o600 })
      this.#bytes += line.length
    } catch {
      this.#bytes = statSync(this.#path, { throwIfNoEntry: false })?.size ?? 0
    }
  }
}
