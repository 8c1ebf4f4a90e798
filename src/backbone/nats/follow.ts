import { createInbox, type Msg, nanos, type Subscription } from "@nats-io/transport-node"
import type { Timer } from "../../base/clock.js"
import { type NatsLink, toText } from "./connection.js"
import { type Delivery, toDelivery } from "./delivery.js"
import { addConsumer, isAtLeader, maxPlaces, startAt } from "./stream.js"

/** NATS says at least this often that there is nothing new. */
const heartbeatMs = 2_000
/** So much silence means that the consumer is gone. */
const silenceMs = 7_000
const retryMs = 500

/** What is followed, and who is told. */
export interface Followed {
  readonly stream: string
  readonly filter: string
  /**
   * Asked at each beginning, the first and those after a gap: the number to go on from, or undefined for the
   * newest message of each subject.
   */
  begin(): Promise<number | undefined>
  /** Told every message in order; after a new beginning possibly some that were told before. Must not throw. */
  tell(message: Delivery): void
  /** What stood in the stream at the beginning has been told. */
  caughtUp?(): void
}

/**
 * Tells the messages of a stream as they come, without a gap, whatever becomes of the connection and the server:
 * each delivery is numbered, and at a missing number, a silence or a new connection it begins anew.
 */
export class NatsFollow {
  readonly #link: NatsLink
  readonly #followed: Followed
  readonly #offReconnect: () => void
  #generation = 0
  #sub: Subscription | undefined
  #delivered = 0
  #target: number | undefined
  /** What comes before it is known whether the consumer is at the right place. */
  #held: Msg[] | undefined
  #lastHeardMs = 0
  #timer: Timer | undefined
  #isClosed = false

  constructor(link: NatsLink, followed: Followed) {
    this.#link = link
    this.#followed = followed
    this.#offReconnect = link.onReconnect(() => void this.#again())
  }

  /**
   * Resolves when every later message will be told; closed when that fails.
   * @throws {ChatError} UNAVAILABLE
   */
  async open(): Promise<void> {
    try {
      await this.#link.insist(this.#followed.stream, () => this.#begin())
    } catch (error) {
      this.close()
      throw error
    }
    this.#watch(heartbeatMs)
  }

  /** Nothing is told afterwards. */
  close(): void {
    this.#isClosed = true
    this.#generation++
    this.#offReconnect()
    this.#timer?.cancel()
    this.#sub?.unsubscribe()
  }

  /** Begins anew; at a failure again and again, until it succeeds or is closed. */
  async #again(): Promise<void> {
    if (this.#isClosed) return
    try {
      await this.#link.within(() => this.#begin())
      this.#watch(heartbeatMs)
    } catch (error) {
      if (this.#link.isReachable) {
        this.#link.log(`nats: ${this.#followed.stream} cannot be followed now (${toText(error)})`)
      }
      this.#watch(retryMs)
    }
  }

  #watch(delayMs: number): void {
    this.#timer?.cancel()
    if (this.#isClosed) return
    this.#timer = this.#link.clock.setTimer(() => this.#look(), delayMs, { unref: true })
  }

  #look(): void {
    const isSilent = this.#link.clock.monotonic() - this.#lastHeardMs > silenceMs
    if (this.#sub === undefined || isSilent) void this.#again()
    else this.#watch(heartbeatMs)
  }

  async #begin(place = 1): Promise<void> {
    const generation = ++this.#generation
    this.#sub?.unsubscribe()
    this.#sub = undefined
    const from = await this.#followed.begin()
    if (generation !== this.#generation) return
    this.#delivered = 0
    this.#target = undefined
    this.#held = []
    const inbox = createInbox()
    const sub = this.#link.nc.subscribe(inbox, {
      callback: (error, message) => {
        if (generation !== this.#generation) return
        if (error !== null) this.#gap()
        else if (this.#held === undefined) this.#take(message)
        else this.#held.push(message)
      },
    })
    this.#sub = sub
    try {
      const isWellPlaced = await this.#create(generation, inbox, from, place)
      if (!isWellPlaced && generation === this.#generation) await this.#begin(place + 1)
    } catch (error) {
      sub.unsubscribe()
      if (generation === this.#generation) this.#sub = undefined
      throw error
    }
  }

  /** @returns false when the consumer should be at another place, and may be tried again */
  async #create(
    generation: number,
    inbox: string,
    from: number | undefined,
    place: number,
  ): Promise<boolean> {
    const info = await addConsumer(this.#link, this.#followed.stream, {
      deliver_subject: inbox,
      filter_subject: this.#followed.filter,
      max_deliver: 1,
      idle_heartbeat: nanos(heartbeatMs),
      flow_control: true,
      ...startAt(from),
    })
    const isWellPlaced = place >= maxPlaces || (await isAtLeader(this.#link, info))
    if (generation !== this.#generation || !isWellPlaced) return isWellPlaced
    this.#lastHeardMs = this.#link.clock.monotonic()
    this.#target = info.delivered.consumer_seq + info.num_pending
    this.#checkCaughtUp()
    const held = this.#held ?? []
    this.#held = undefined
    for (const message of held) if (generation === this.#generation) this.#take(message)
    return true
  }

  #take(message: Msg): void {
    this.#lastHeardMs = this.#link.clock.monotonic()
    const delivery = toDelivery(message)
    if (delivery === undefined) {
      this.#takeStatus(message)
      return
    }
    if (delivery.place !== this.#delivered + 1) {
      this.#gap()
      return
    }
    this.#delivered++
    this.#followed.tell(delivery)
    this.#checkCaughtUp()
  }

  #takeStatus(message: Msg): void {
    if (message.headers?.code !== 100) {
      this.#gap()
      return
    }
    // A request for flow control wants to be answered; a heartbeat may name who is to be woken.
    if (message.reply) message.respond()
    const stalled = message.headers.get("Nats-Consumer-Stalled")
    if (stalled) this.#link.nc.publish(stalled)
    const last = message.headers.get("Nats-Last-Consumer")
    if (last && Number(last) !== this.#delivered) this.#gap()
  }

  #checkCaughtUp(): void {
    if (this.#target === undefined || this.#delivered < this.#target) return
    this.#target = undefined
    this.#followed.caughtUp?.()
  }

  #gap(): void {
    this.#generation++
    void this.#again()
  }
}
