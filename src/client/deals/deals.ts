import type { EventEmitter } from "node:events"
import type { Clock, Timer } from "../../base/clock.js"
import type { Identity } from "../../identity/identity-file.js"
import type { DealEvent } from "../../proposals/deal-event.js"
import { ChatError } from "../../protocol/errors.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Draft } from "../../protocol/statements.js"
import { type Verb, verbs } from "../../protocol/verbs.js"
import { EventBuffer } from "../event-buffer.js"
import type { DealCalls } from "./deal-calls.js"
import type { DealRelay } from "./deal-engine.js"

/** Messages kept while the engine is not loaded. */
const maxUnread = 1_000

export interface DealsOptions {
  readonly clock: Clock
  readonly relay: DealRelay
  /** Emits an event for each statement of the other party. */
  readonly emitter: EventEmitter
  /** @throws {ChatError} IDENTITY_REQUIRED, UNREACHABLE */
  readonly identity: () => Identity
  /** Reports an error that no call waits for. */
  readonly report: (error: ChatError) => void
  /** Acknowledges a statement, so that the relay need not send it again. */
  readonly confirm: (messageId: string) => void
}

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
 * The deals of a client. The modules that sign and verify are loaded when there is a listener for a statement or when
 * the first method is called; until then messages are kept unread and unacknowledged.
 */
export class Deals {
  readonly #options: DealsOptions
  readonly #events = new EventBuffer<DealEvent>((event) => this.#emit(event))
  #calls: DealCalls | undefined
  #isNeeded = false
  #unread: Arrival[] = []
  #isReading = false
  readonly #waiters = new Set<Waiter>()
  #generation = 0
  #arrived = 0

  constructor(options: DealsOptions) {
    this.#options = options
    const names = new Set<string>(verbs.map(eventName))
    options.emitter.on("newListener", (name: string) => {
      if (!names.has(name)) return
      // `newListener` is emitted before the listener is added.
      queueMicrotask(() => {
        this.#start()
        this.#events.release()
      })
    })
  }

  /** Takes a statement that the relay sent. */
  push(message: ServerMessage<Verb>): void {
    this.#unread.push({ message, aud: this.#options.relay.serverId() })
    if (this.#isNeeded) void this.#readAll()
    else if (this.#unread.length > maxUnread) this.#unread.shift()
  }

  /** Runs a call. @throws {ChatError} IDENTITY_REQUIRED, UNREACHABLE; as the method of {@link DealCalls} */
  async call<T>(run: (calls: DealCalls) => Promise<T>): Promise<T> {
    const calls = await this.#load()
    this.#start()
    return run(calls)
  }

  /** Like {@link DealCalls.send}, but completes a pending proposal of your own only once it is answered. */
  async send<V extends Verb>(draft: Draft & Draft<V>, key?: string): Promise<DealEvent<V>> {
    return this.call(async (calls) => {
      const content: Draft = draft
      if (content.type === "COMPLETE") await this.#untilAnswered(calls, content.proposal_id)
      return calls.send(draft, key)
    })
  }

  /** Handles the end of the session, which is not reopened. Calls that wait reject with `error`. */
  end(error: ChatError): void {
    this.#generation++
    this.#unread = []
    this.#calls?.reset()
    for (const { timer, reject } of this.#waiters) {
      timer.cancel()
      reject(error)
    }
    this.#waiters.clear()
  }

  #start(): void {
    this.#isNeeded = true
    void this.#readAll()
  }

  async #readAll(): Promise<void> {
    if (this.#isReading) return
    this.#isReading = true
    try {
      for (let arrival = this.#unread.shift(); arrival !== undefined; arrival = this.#unread.shift()) {
        const generation = this.#generation
        const calls = await this.#load()
        if (this.#generation === generation) calls.receive(arrival.message, arrival.aud)
      }
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#options.report(error)
    } finally {
      this.#isReading = false
    }
  }

  /** Returns the deals of the current identity: the file may contain another one in the next session. */
  async #load(): Promise<DealCalls> {
    const identity = this.#options.identity()
    const { DealCalls } = await import("./deal-calls.js")
    if (this.#calls?.did !== identity.did) {
      const { clock, relay } = this.#options
      this.#calls = new DealCalls(
        { identity, clock, relay },
        {
          onValid: (message, event) => this.#onValid(message, event),
          onInvalid: ({ type, msg_id }, error) => {
            this.#options.confirm(msg_id)
            const text = `server: sent an invalid ${type}: ${error.message}`
            this.#options.report(new ChatError(error.code, text, { cause: error }))
          },
          onDeferred: (_message, error) => this.#options.report(error),
        },
      )
    }
    return this.#calls
  }

  #onValid({ msg_id: id }: ServerMessage<Verb>, event: DealEvent | undefined): void {
    this.#wakeWaiters()
    if (event === undefined || this.#events.hasDelivered(event.msg_id)) this.#options.confirm(id)
    else this.#events.push(event)
  }

  #emit(event: DealEvent): boolean {
    const { emitter, confirm } = this.#options
    try {
      if (!emitter.emit(eventName(event.type), event)) return false
      confirm(event.msg_id)
    } catch (error) {
      // An error of a listener must not stop the next statements.
      queueMicrotask(() => {
        throw error
      })
    }
    return true
  }

  async #untilAnswered(calls: DealCalls, id: string): Promise<void> {
    if ((await calls.answerableUntil(id)) === undefined) return
    let isFresh = true
    for (;;) {
      const arrived = this.#arrived
      const untilTs = await calls.answerableUntil(id, isFresh)
      if (untilTs === undefined) return
      const leftMs = untilTs - this.#options.clock.now()
      if (leftMs < 0 && isFresh) {
        throw new ChatError("PROPOSAL_EXPIRED", "COMPLETE: the proposal expired before it was accepted")
      }
      // At the deadline the relay is asked once more: the answer may be on its way.
      isFresh = leftMs < 0 || (arrived === this.#arrived && !(await this.#change(leftMs + 1)))
    }
  }

  /** @returns whether a statement arrived in that time */
  #change(withinMs: number): Promise<boolean> {
    return new Promise((resolve, reject) => {
      const end = (isChanged: boolean) => {
        this.#waiters.delete(waiter)
        resolve(isChanged)
      }
      const timer = this.#options.clock.setTimer(() => end(false), withinMs)
      const waiter = { timer, resolve: () => end(true), reject }
      this.#waiters.add(waiter)
    })
  }

  #wakeWaiters(): void {
    this.#arrived++
    for (const { timer, resolve } of [...this.#waiters]) {
      timer.cancel()
      resolve()
    }
  }
}

function eventName(verb: Verb): string {
  return verb.toLowerCase()
}
