import type { EventEmitter } from "node:events"
import { type Clock, delay, type Timer } from "../../base/clock.js"
import type { Identity } from "../../identity/identity-file.js"
import { ChatError, errorSpecs } from "../../protocol/errors.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import { type Verb, verbs } from "../../protocol/verbs.js"
import type { Commitments } from "./commitments.js"
import type { DealEvent } from "./deal-event.js"
import { DealHold } from "./deal-hold.js"
import type { DealRelay } from "./deal-relay.js"

/** Statements kept while nobody has asked for any. */
const maxUnread = 1_000
/** Milliseconds until the relay is asked again when it says that it was too often, and not when to. */
const rateMs = 1_000
/** Longest time a timer can measure, in milliseconds. */
const longestMs = 2 ** 31 - 1

/** The client around a {@link DealGate}. */
export interface DealHost extends Omit<DealRelay, "identity"> {
  readonly clock: Clock
  /** Whose listeners hear of deals. */
  readonly emitter: EventEmitter
  /** @throws {ChatError} IDENTITY_REQUIRED, UNREACHABLE */
  identity(): Identity
  /** A failure no call waits for. */
  report(error: ChatError): void
  /** Tells the relay that it need not send a statement again. */
  confirm(messageId: string): void
}

/** A statement as it came, and the relay it came from. */
interface Arrival {
  readonly message: ServerMessage<Verb>
  readonly aud: string
}

interface Waiter {
  readonly timer: Timer
  readonly resolve: () => void
  readonly reject: (error: ChatError) => void
}

/**
 * Between a client and its deals. What signs and verifies is loaded when somebody listens to a step of a deal, or takes
 * one. From then on statements are verified one after the other, and told in the order in which they came.
 */
export class DealGate {
  readonly #host: DealHost
  readonly #hold: DealHold
  #commitments: Commitments | undefined
  #isAwake = false
  #unread: Arrival[] = []
  /** Ends when all that came before is verified. Never rejects. */
  #reading = Promise.resolve()
  readonly #waiters = new Set<Waiter>()
  /** Rises with each end of a session. */
  #ends = 0
  /** Rises with each statement that was believed. */
  #heard = 0

  constructor(host: DealHost) {
    this.#host = host
    this.#hold = new DealHold((event) => this.#emit(event))
    const names = new Set<string>(verbs.map(eventName))
    host.emitter.on("newListener", (name: string) => {
      // The listener is added after this.
      if (names.has(name)) queueMicrotask(() => this.#listen())
    })
  }

  /** Takes a statement the relay passed on. */
  push(message: ServerMessage<Verb>): void {
    const arrival = { message, aud: this.#host.serverId() }
    if (this.#isAwake) this.#enqueue(arrival)
    else if (this.#unread.push(arrival) > maxUnread) this.#unread.shift()
  }

  /** Takes a step. @throws {ChatError} IDENTITY_REQUIRED, UNREACHABLE; as the method of {@link Commitments} */
  async act<T>(step: (commitments: Commitments) => Promise<T>): Promise<T> {
    const commitments = await this.#load()
    this.#wake()
    return step(commitments)
  }

  /** {@link Commitments.complete}; what oneself proposed, and nobody has answered yet, is waited for. */
  async complete(id: string, proof?: string): Promise<DealEvent<"COMPLETE">> {
    return this.act(async (commitments) => {
      await this.#untilAnswered(commitments, id)
      return commitments.complete(id, proof)
    })
  }

  /** The session is gone, for good as far as one can tell. */
  end(error: ChatError): void {
    this.#ends++
    this.#unread = []
    for (const { timer, reject } of this.#waiters) {
      timer.cancel()
      reject(error)
    }
    this.#waiters.clear()
  }

  #listen(): void {
    this.#wake()
    this.#hold.release()
  }

  #wake(): void {
    this.#isAwake = true
    for (const arrival of this.#unread.splice(0)) this.#enqueue(arrival)
  }

  /** One identity, one set of deals; the file may hold another one by the next session. */
  async #load(): Promise<Commitments> {
    const identity = this.#host.identity()
    const { Commitments } = await import("./commitments.js")
    const { clock } = this.#host
    if (this.#commitments?.did !== identity.did) {
      this.#commitments = new Commitments({
        identity,
        clock,
        serverId: () => this.#host.serverId(),
        request: (frame) => this.#host.request(frame),
      })
    }
    return this.#commitments
  }

  #enqueue(arrival: Arrival): void {
    const ends = this.#ends
    this.#reading = this.#reading
      .then(async () => {
        if (this.#ends === ends) await this.#read(arrival, ends)
      })
      .catch((error: unknown) => {
        // What a listener throws is nobody's to catch.
        queueMicrotask(() => {
          throw error
        })
      })
  }

  async #read(arrival: Arrival, ends: number): Promise<void> {
    const { message } = arrival
    let event: DealEvent | undefined
    try {
      event = await this.#verify(arrival)
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      if (this.#ends === ends) this.#refuse(message, error)
      return
    }
    if (this.#ends !== ends) return
    this.#wakeWaiters()
    if (event === undefined || this.#hold.hasDelivered(event.msg_id)) this.#host.confirm(message.msg_id)
    else this.#hold.push(event)
  }

  async #verify({ message, aud }: Arrival): Promise<DealEvent | undefined> {
    const commitments = await this.#load()
    for (;;) {
      try {
        return await commitments.hear(message, aud)
      } catch (error) {
        if (!(error instanceof ChatError) || error.code !== "RATE_LIMITED") throw error
        await delay(this.#host.clock, error.retryAfterMs ?? rateMs)
      }
    }
  }

  #refuse({ type, msg_id: id }: ServerMessage<Verb>, error: ChatError): void {
    // What could not be looked at comes again with the next session.
    if (errorSpecs[error.code].retry && error.code !== "STATEMENT_STALE") {
      this.#host.report(error)
      return
    }
    this.#host.confirm(id)
    const text = `server: passed on a ${type} that is not to be believed: ${error.message}`
    this.#host.report(new ChatError(error.code, text, { cause: error }))
  }

  #emit(event: DealEvent): boolean {
    if (!this.#host.emitter.emit(eventName(event.type), event)) return false
    this.#host.confirm(event.msg_id)
    return true
  }

  async #untilAnswered(commitments: Commitments, id: string): Promise<void> {
    if ((await commitments.answerableUntil(id)) === undefined) return
    let isFresh = true
    for (;;) {
      const heard = this.#heard
      const untilTs = await commitments.answerableUntil(id, isFresh)
      if (untilTs === undefined) return
      const leftMs = untilTs - this.#host.clock.now()
      if (leftMs < 0 && isFresh)
        throw new ChatError("PROPOSAL_EXPIRED", "COMPLETE: nobody accepted it in time")
      // What came too late to be heard of in time is asked for once more.
      isFresh =
        leftMs < 0 || (heard === this.#heard && !(await this.#change(Math.min(leftMs + 1, longestMs))))
    }
  }

  /** @returns whether a deal changed before that time was over */
  #change(withinMs: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const end = (isChanged: boolean) => {
        this.#waiters.delete(waiter)
        resolve(isChanged)
      }
      const timer = this.#host.clock.setTimer(() => end(false), withinMs)
      const waiter = { timer, resolve: () => end(true), reject }
      this.#waiters.add(waiter)
    })
  }

  #wakeWaiters(): void {
    this.#heard++
    for (const { timer, resolve } of [...this.#waiters]) {
      timer.cancel()
      resolve()
    }
  }
}

function eventName(verb: Verb): string {
  return verb.toLowerCase()
}
