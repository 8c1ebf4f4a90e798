import type { InboxLimits } from "./limits.js"

/** How full the file is. */
export interface Fill {
  readonly lines: number
  readonly bytes: number
}

/**
 * What the time says about rotation.
 *
 *     none     nothing is due
 *     watch    due at the next quiet moment; look again at `atMs`
 *     hold     due now: append nothing more until `atMs`, so that readers catch up
 *     rotate   due, and every reader has had its time
 */
export type Verdict =
  | { readonly act: "none" }
  | { readonly act: "watch" | "hold"; readonly atMs: number }
  | { readonly act: "rotate" }

const none = { act: "none" } as const

/**
 * When the file may be emptied, and how fast it may grow afterwards. `tail -f` learns of a truncation
 * only by finding the file smaller than what it has read, and it may look no more than once a second.
 * So it gets `graceMs` to read the last line before, and `graceMs` to see the small file after.
 * All times are monotonic milliseconds.
 */
export class RotationPolicy {
  readonly #limits: InboxLimits
  #lastWriteMs: number
  #fullSinceMs: number | undefined
  #notBeforeMs = 0
  #isRequired = false
  #ceilingBytes = Number.POSITIVE_INFINITY
  #ceilingUntilMs = 0

  constructor(limits: InboxLimits, nowMs: number) {
    this.#limits = limits
    this.#lastWriteMs = nowMs
  }

  /** Whether the file must not be appended to before it is rotated. */
  get isRequired(): boolean {
    return this.#isRequired
  }

  /** Lines were appended. */
  wrote(nowMs: number): void {
    this.#lastWriteMs = nowMs
  }

  /** The file must not be appended to before it is rotated. */
  require(): void {
    this.#isRequired = true
  }

  /** A rotation failed: while the file may grow, it is tried again only later. */
  postpone(nowMs: number): void {
    this.#notBeforeMs = nowMs + this.#limits.retryRotationMs
  }

  /** The file was emptied; it had `formerBytes`. */
  emptied(formerBytes: number, nowMs: number): void {
    this.#fullSinceMs = undefined
    this.#isRequired = false
    this.#notBeforeMs = 0
    this.#ceilingBytes = formerBytes
    this.#ceilingUntilMs = nowMs + this.#limits.graceMs
  }

  /** When the file may grow to `bytes`; a time that is over means now. */
  mayReachAt(bytes: number): number {
    return bytes < this.#ceilingBytes ? 0 : this.#ceilingUntilMs
  }

  /** Whether a file of that size must not grow before it is rotated. */
  mustRotate({ lines, bytes }: Fill): boolean {
    return this.#isRequired || lines >= this.#limits.hardLines || bytes >= this.#limits.hardBytes
  }

  verdict(fill: Fill, nowMs: number): Verdict {
    const { lines, graceMs, busyMs } = this.#limits
    const mustStop = this.mustRotate(fill)
    if (!mustStop && fill.lines < lines) {
      this.#fullSinceMs = undefined
      return none
    }
    this.#fullSinceMs ??= nowMs
    const quietAtMs = this.#lastWriteMs + graceMs
    const patienceEndsMs = this.#fullSinceMs + busyMs
    if (nowMs < this.#notBeforeMs && !mustStop) return { act: "watch", atMs: this.#notBeforeMs }
    if (nowMs >= quietAtMs) return { act: "rotate" }
    if (mustStop || nowMs >= patienceEndsMs) return { act: "hold", atMs: quietAtMs }
    return { act: "watch", atMs: Math.min(quietAtMs, patienceEndsMs) }
  }
}
