import type { InboxLimits } from "./limits.js"

/** Lines and bytes in inbox.jsonl. */
export interface FileSize {
  readonly lines: number
  readonly bytes: number
}

/**
 * The next step of a rotation.
 *
 *     none     nothing is due
 *     watch    due at the next quiet moment; decide again at `atMs`
 *     hold     due now: append nothing until `atMs`, so that readers catch up
 *     rotate   due, and readers have had time to catch up
 */
export type RotationDecision =
  | { readonly act: "none" | "rotate" }
  | { readonly act: "watch" | "hold"; readonly atMs: number }

/**
 * Decides when inbox.jsonl is rotated, and how fast it may grow afterwards. `tail -f` notices a truncation only if it
 * finds the file smaller than what it has read, and it may look only once a second. So it gets `graceMs` to read the
 * last line before the file is emptied, and `graceMs` to see the small file after. All times are monotonic milliseconds.
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

  /** Reports whether {@link require} was called since the last rotation. */
  get isRequired(): boolean {
    return this.#isRequired
  }

  /** Forbids appending until the file is rotated. */
  require(): void {
    this.#isRequired = true
  }

  /** Records that lines were appended. */
  onWrite(nowMs: number): void {
    this.#lastWriteMs = nowMs
  }

  /** Records that a rotation failed. It is tried again after a pause, or at once if the file must not grow. */
  onFailure(nowMs: number): void {
    this.#notBeforeMs = nowMs + this.#limits.retryRotationMs
  }

  /** Records that the file was emptied. @param formerBytes - its size before; Infinity allows any growth */
  onEmptied(formerBytes: number, nowMs: number): void {
    this.#fullSinceMs = undefined
    this.#isRequired = false
    this.#notBeforeMs = 0
    this.#ceilingBytes = formerBytes
    this.#ceilingUntilMs = nowMs + this.#limits.graceMs
  }

  /** Returns when the file may grow to `bytes`; a time in the past means now. */
  mayGrowAt(bytes: number): number {
    return bytes < this.#ceilingBytes ? 0 : this.#ceilingUntilMs
  }

  /** Reports whether a file of that size must be rotated before anything is appended. */
  mustRotate({ lines, bytes }: FileSize): boolean {
    return this.#isRequired || lines >= this.#limits.hardLines || bytes >= this.#limits.hardBytes
  }

  decide(size: FileSize, nowMs: number): RotationDecision {
    const { lines, graceMs, busyMs } = this.#limits
    const mustRotate = this.mustRotate(size)
    if (!mustRotate && size.lines < lines) {
      this.#fullSinceMs = undefined
      return { act: "none" }
    }
    this.#fullSinceMs ??= nowMs
    const quietAtMs = this.#lastWriteMs + graceMs
    const busyUntilMs = this.#fullSinceMs + busyMs
    if (nowMs < this.#notBeforeMs && !mustRotate) return { act: "watch", atMs: this.#notBeforeMs }
    if (nowMs >= quietAtMs) return { act: "rotate" }
    if (mustRotate || nowMs >= busyUntilMs) return { act: "hold", atMs: quietAtMs }
    return { act: "watch", atMs: Math.min(quietAtMs, busyUntilMs) }
  }
}
