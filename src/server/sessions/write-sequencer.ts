import type { Clock } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"

/** Milliseconds without an answer of the store after which later messages wait for it. */
const stallMs = 250
/** Milliseconds after a failure for which later messages are refused too. */
const refuseMs = 500
/** Milliseconds after which a refused message may be sent again: when all later ones were refused too. */
const againMs = 1_000

/** A message that waits for an earlier one. */
interface WaitingWrite {
  start(): void
  refuse(error: ChatError): void
}

/**
 * Keeps the messages of one sender in order while they are written to a store. As long as the store answers, messages
 * do not wait for each other. While it stalls, later ones wait. When one fails, all later ones fail too: otherwise a
 * later message could be stored while the earlier one is sent again after it.
 */
export class WriteSequencer {
  readonly #clock: Clock
  /** Writes the store has not answered, oldest first. */
  readonly #inFlight = new Set<{ readonly startedMs: number }>()
  #waiting: WaitingWrite[] = []
  #refusedUntilMs = -Infinity

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Writes a message in its turn. @throws {ChatError} UNAVAILABLE if an earlier one failed */
  run<T>(write: () => Promise<T>): Promise<T> {
    // Messages that wait are answered before later ones.
    if (this.#waiting.length > 0 || this.#isStalled()) return this.#wait(write)
    if (this.#clock.monotonic() < this.#refusedUntilMs) return Promise.reject(orderError())
    return new Promise((resolve, reject) => this.#start(write, resolve, reject))
  }

  #isStalled(): boolean {
    const [oldest] = this.#inFlight
    return oldest !== undefined && this.#clock.monotonic() - oldest.startedMs > stallMs
  }

  #wait<T>(write: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ start: () => this.#start(write, resolve, reject), refuse: reject })
    })
  }

  /** Settles after the same number of microtasks whether the message has waited or not, which keeps answers in order. */
  #start<T>(write: () => Promise<T>, resolve: (stored: T) => void, reject: (error: unknown) => void): void {
    const pending = { startedMs: this.#clock.monotonic() }
    this.#inFlight.add(pending)
    write().then(
      (stored) => {
        this.#inFlight.delete(pending)
        resolve(stored)
        if (!this.#isStalled()) this.#startWaiting()
      },
      (error: unknown) => {
        this.#inFlight.delete(pending)
        reject(error)
        if (error instanceof ChatError && error.code === "UNAVAILABLE") this.#refuseWaiting()
        else if (!this.#isStalled()) this.#startWaiting()
      },
    )
  }

  #startWaiting(): void {
    if (this.#clock.monotonic() < this.#refusedUntilMs) return
    const waiting = this.#waiting
    this.#waiting = []
    for (const write of waiting) write.start()
  }

  #refuseWaiting(): void {
    this.#refusedUntilMs = this.#clock.monotonic() + refuseMs
    // After the failed message itself was answered.
    setImmediate(() => {
      const waiting = this.#waiting
      this.#waiting = []
      for (const write of waiting) write.refuse(orderError())
    })
  }
}

function orderError(): ChatError {
  return new ChatError("UNAVAILABLE", "an earlier message could not be stored; send both again", {
    retryAfterMs: againMs,
  })
}
