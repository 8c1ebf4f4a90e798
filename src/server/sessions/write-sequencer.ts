import type { Clock } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"

/** Milliseconds without an answer of the store after which the next message waits for it. */
const stallMs = 250
/** Milliseconds after a failure for which what was on its way behind the failed message is refused too. */
const refuseMs = 500
/** Milliseconds after which what was refused may be sent again: surely after the others were refused. */
const againMs = 1_000

/** A message that waits for the one before it. */
interface Held {
  start(): void
  refuse(error: ChatError): void
}

/**
 * Keeps the order of what one sender has a store keep. Messages go out without waiting for each other as long as
 * the store answers; when it stalls the next ones wait, and when one fails those behind it fail as well,
 * in order. Otherwise a later message could be kept while an earlier one is sent again behind it.
 */
export class WriteSequencer {
  readonly #clock: Clock
  /** When each message on its way to the store went out, oldest first. */
  readonly #inFlight = new Set<{ readonly startedMs: number }>()
  #held: Held[] = []
  #refusedUntilMs = -Infinity

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Has something kept in its turn. @throws {ChatError} UNAVAILABLE when something before it was not */
  run<T>(keep: () => Promise<T>): Promise<T> {
    // Who waits is answered before who comes after.
    if (this.#held.length > 0 || this.#isStalled()) return this.#hold(keep)
    if (this.#clock.monotonic() < this.#refusedUntilMs) return Promise.reject(outOfTurn())
    return new Promise((resolve, reject) => this.#start(keep, resolve, reject))
  }

  #isStalled(): boolean {
    const [oldest] = this.#inFlight
    return oldest !== undefined && this.#clock.monotonic() - oldest.startedMs > stallMs
  }

  #hold<T>(keep: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#held.push({ start: () => this.#start(keep, resolve, reject), refuse: reject })
    })
  }

  /** Answers after as many steps whether the message was held or not, so that answers are in order too. */
  #start<T>(keep: () => Promise<T>, resolve: (kept: T) => void, reject: (error: unknown) => void): void {
    const flight = { startedMs: this.#clock.monotonic() }
    this.#inFlight.add(flight)
    keep().then(
      (kept) => {
        this.#inFlight.delete(flight)
        resolve(kept)
        if (!this.#isStalled()) this.#startHeld()
      },
      (error: unknown) => {
        this.#inFlight.delete(flight)
        reject(error)
        if (error instanceof ChatError && error.code === "UNAVAILABLE") this.#refuseHeld()
        else if (!this.#isStalled()) this.#startHeld()
      },
    )
  }

  #startHeld(): void {
    if (this.#clock.monotonic() < this.#refusedUntilMs) return
    const held = this.#held
    this.#held = []
    for (const message of held) message.start()
  }

  #refuseHeld(): void {
    this.#refusedUntilMs = this.#clock.monotonic() + refuseMs
    // Not before the failed one itself was answered.
    setImmediate(() => {
      const held = this.#held
      this.#held = []
      for (const message of held) message.refuse(outOfTurn())
    })
  }
}

function outOfTurn(): ChatError {
  return new ChatError("UNAVAILABLE", "a message before this one could not be kept; send both again", {
    retryAfterMs: againMs,
  })
}
