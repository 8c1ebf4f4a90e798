import { createInbox, type Msg, nanos, type Subscription } from "@nats-io/transport-node"
import type { Timer } from "../../base/clock.js"
import {
  addConsumer,
  isAtLeader,
  maxPlacements,
  parseDelivery,
  type StreamMessage,
  startAt,
} from "./consumer.js"
import { errorText, type NatsClient } from "./nats-client.js"

/** Interval of the heartbeats that NATS sends when there is nothing new. */
const heartbeatMs = 2_000
/** A consumer that is silent for this long is gone. */
const silenceMs = 7_000
const retryMs = 500

/** The messages to follow. */
export interface FollowOptions {
  readonly stream: string
  readonly filter: string
  /**
   * Called at each start, the first one and those after a gap. Returns the number of the first message, or undefined to
   * start at the newest message of each subject.
   */
  onStart(): Promise<number | undefined>
  /** Called with every message in order; after a restart possibly with some again. Must not throw. */
  onMessage(message: StreamMessage): void
  /** Called after the messages that were in the stream at the start. */
  onCaughtUp?(): void
}

/**
 * Follows the messages of a stream without gaps, even if the connection or the server fails: deliveries are numbered,
 * and after a missing number, silence or a new connection it starts over with a new consumer.
 */
export class StreamFollower {
  readonly #client: NatsClient
  readonly #options: FollowOptions
  readonly #offReconnect: () => void
  #generation = 0
  #sub: Subscription | undefined
  #delivered = 0
  #caughtUpAt: number | undefined
  /** Messages that arrive before the consumer is known to be at the leader. */
  #early: Msg[] | undefined
  #lastReceivedMs = 0
  #timer: Timer | undefined
  #isClosed = false

  constructor(client: NatsClient, options: FollowOptions) {
    this.#client = client
    this.#options = options
    this.#offReconnect = client.onReconnect(() => void this.#restart())
  }

  /**
   * Starts following; closes itself if that fails.
   * @throws {ChatError} UNAVAILABLE
   */
  async open(): Promise<void> {
    try {
      await this.#client.retry(this.#options.stream, () => this.#start())
    } catch (error) {
      this.close()
      throw error
    }
    this.#scheduleCheck(heartbeatMs)
  }

  /** Ends following; no message is reported afterwards. */
  close(): void {
    this.#isClosed = true
    this.#generation++
    this.#offReconnect()
    this.#timer?.cancel()
    this.#sub?.unsubscribe()
  }

  /** Starts over, and retries until that succeeds or the follower is closed. */
  async #restart(): Promise<void> {
    if (this.#isClosed) return
    try {
      await this.#client.withTimeout(() => this.#start())
      this.#scheduleCheck(heartbeatMs)
    } catch (error) {
      if (this.#client.isReachable) {
        this.#client.log(`nats: ${this.#options.stream} cannot be followed (${errorText(error)})`)
      }
      this.#scheduleCheck(retryMs)
    }
  }

  #scheduleCheck(delayMs: number): void {
    this.#timer?.cancel()
    if (this.#isClosed) return
    this.#timer = this.#client.clock.setTimer(() => this.#check(), delayMs, { unref: true })
  }

  #check(): void {
    const isSilent = this.#client.clock.monotonic() - this.#lastReceivedMs > silenceMs
    if (this.#sub === undefined || isSilent) void this.#restart()
    else this.#scheduleCheck(heartbeatMs)
  }

  async #start(placement = 1): Promise<void> {
    const generation = ++this.#generation
    this.#sub?.unsubscribe()
    this.#sub = undefined
    const from = await this.#options.onStart()
    if (generation !== this.#generation) return
    this.#delivered = 0
    this.#caughtUpAt = undefined
    this.#early = []
    const inbox = createInbox()
    const sub = this.#client.nc.subscribe(inbox, {
      callback: (error, message) => {
        if (generation !== this.#generation) return
        if (error !== null) this.#onGap()
        else if (this.#early === undefined) this.#take(message)
        else this.#early.push(message)
      },
    })
    this.#sub = sub
    try {
      const isPlaced = await this.#create(generation, inbox, from, placement)
      if (!isPlaced && generation === this.#generation) await this.#start(placement + 1)
    } catch (error) {
      sub.unsubscribe()
      if (generation === this.#generation) this.#sub = undefined
      throw error
    }
  }

  /** @returns false when the consumer is not at the leader and another one should be tried */
  async #create(
    generation: number,
    inbox: string,
    from: number | undefined,
    placement: number,
  ): Promise<boolean> {
    const info = await addConsumer(this.#client, this.#options.stream, {
      deliver_subject: inbox,
      filter_subject: this.#options.filter,
      max_deliver: 1,
      idle_heartbeat: nanos(heartbeatMs),
      flow_control: true,
      ...startAt(from),
    })
    const isPlaced = placement >= maxPlacements || (await isAtLeader(this.#client, info))
    if (generation !== this.#generation || !isPlaced) return isPlaced
    this.#lastReceivedMs = this.#client.clock.monotonic()
    this.#caughtUpAt = info.delivered.consumer_seq + info.num_pending
    this.#checkCaughtUp()
    const early = this.#early ?? []
    this.#early = undefined
    for (const message of early) if (generation === this.#generation) this.#take(message)
    return true
  }

  #take(message: Msg): void {
    this.#lastReceivedMs = this.#client.clock.monotonic()
    const delivery = parseDelivery(message)
    if (delivery === undefined) {
      this.#takeStatus(message)
      return
    }
    if (delivery.deliverySeq !== this.#delivered + 1) {
      this.#onGap()
      return
    }
    this.#delivered++
    this.#options.onMessage(delivery)
    this.#checkCaughtUp()
  }

  #takeStatus(message: Msg): void {
    if (message.headers?.code !== 100) {
      this.#onGap()
      return
    }
    // A flow control request needs an answer; a heartbeat may name a stalled consumer.
    if (message.reply) message.respond()
    const stalled = message.headers.get("Nats-Consumer-Stalled")
    if (stalled) this.#client.nc.publish(stalled)
    const last = message.headers.get("Nats-Last-Consumer")
    if (last && Number(last) !== this.#delivered) this.#onGap()
  }

  #checkCaughtUp(): void {
    if (this.#caughtUpAt === undefined || this.#delivered < this.#caughtUpAt) return
    this.#caughtUpAt = undefined
    this.#options.onCaughtUp?.()
  }

  #onGap(): void {
    this.#generation++
    void this.#restart()
  }
}
