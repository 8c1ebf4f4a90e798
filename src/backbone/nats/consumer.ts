import { AckPolicy, type ConsumerConfig, type ConsumerInfo, DeliverPolicy } from "@nats-io/jetstream"
import { createInbox, type Msg, type MsgHdrs, nanos, nuid, type Subscription } from "@nats-io/transport-node"
import type { Timer } from "../../base/clock.js"
import { type NatsClient, unavailable } from "./nats-client.js"

/** NATS deletes an ephemeral consumer that is not used for this long. */
const idleConsumerMs = 10_000
/** Silence after which a fetch checks whether any messages are left. */
const fetchCheckMs = 250
/** Number of checks after which a fetch gives up. */
const maxChecks = 20
/** Number of attempts to get a consumer at the leader of its stream. */
export const maxPlacements = 12
/** Number of tokens in the shorter form of an acknowledgement's subject. */
const shortAckTokens = 9
const nanosPerMs = 1_000_000

/** A message of a stream, as delivered to a consumer. */
export interface StreamMessage {
  readonly subject: string
  /** Its number in the stream. */
  readonly seq: number
  /** Its number among the deliveries to this consumer, from 1. */
  readonly deliverySeq: number
  /** When the stream stored it, in milliseconds since the Unix epoch. */
  readonly ts: number
  readonly headers: MsgHdrs | undefined
  text(): string
}

/** Parses a delivery to a consumer. @returns undefined for a status */
export function parseDelivery(message: Msg): StreamMessage | undefined {
  const tokens = message.reply?.split(".") ?? []
  if (tokens[0] !== "$JS" || tokens[1] !== "ACK") return undefined
  // $JS.ACK.<stream>.<consumer>.<deliveries>.<seq>.<delivery seq>.<nanos>.<pending>; the longer form has a domain and
  // an account before the stream, and a random token at the end.
  const [seq, deliverySeq, time] = tokens.slice(tokens.length === shortAckTokens ? 5 : 7).map(Number)
  if (!(seq !== undefined && seq > 0) || deliverySeq === undefined || time === undefined) return undefined
  return {
    subject: message.subject,
    seq,
    deliverySeq,
    ts: Math.floor(time / nanosPerMs),
    headers: message.headers,
    text: () => message.string(),
  }
}

/** Adds an ephemeral consumer, on whichever node NATS chooses. */
export function addConsumer(
  client: NatsClient,
  stream: string,
  config: Partial<ConsumerConfig>,
): Promise<ConsumerInfo> {
  return client.jsm.consumers.add(stream, {
    name: nuid.next(),
    ack_policy: AckPolicy.None,
    inactive_threshold: nanos(idleConsumerMs),
    mem_storage: true,
    num_replicas: 1,
    ...config,
  })
}

/**
 * Reports whether a consumer is at the leader of its stream. Other nodes may lag behind, and a node of NATS 2.9 that was
 * killed may lack its last messages for good without reporting it.
 */
export async function isAtLeader(
  client: NatsClient,
  { stream_name, cluster }: ConsumerInfo,
): Promise<boolean> {
  if (cluster?.leader === undefined) return true
  const { cluster: streamCluster } = await client.jsm.streams.info(stream_name)
  return cluster.leader === streamCluster?.leader
}

/** Starts a consumer at a number of the stream, or at the newest message of each subject if that is undefined. */
export function startAt(from: number | undefined): {
  deliver_policy: DeliverPolicy
  opt_start_seq?: number
} {
  if (from === undefined) return { deliver_policy: DeliverPolicy.LastPerSubject }
  return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: Math.max(1, from) }
}

/** Selects messages of a stream. */
interface Selection {
  readonly stream: string
  /** Subject pattern. */
  readonly filter: string
  /** Lowest number; absent: the newest message of each subject. */
  readonly from?: number
  readonly headersOnly?: boolean
}

/** A consumer of selected messages; to be passed to {@link fetch} or {@link discard}. */
export interface Pull extends Selection {
  readonly consumer: string
  /** Number of messages selected. */
  readonly pending: number
}

/** Creates a consumer of selected messages, which also counts them. */
export async function select(client: NatsClient, selection: Selection): Promise<Pull> {
  const { stream, filter, from, headersOnly = false } = selection
  const config = { filter_subject: filter, headers_only: headersOnly, ...startAt(from) }
  for (let tries = 1; ; tries++) {
    const info = await addConsumer(client, stream, config)
    const pull = { ...selection, consumer: info.name, pending: info.num_pending }
    if (tries === maxPlacements || (await isAtLeader(client, info))) return pull
    discard(client, pull)
  }
}

/** Deletes the consumer of a selection; if that fails, NATS deletes it by itself later. */
export function discard(client: NatsClient, { stream, consumer }: Pull): void {
  client.jsm.consumers.delete(stream, consumer).catch(() => {})
}

/** Reads the first `limit` messages of a selection, then discards it. */
export async function fetch(client: NatsClient, pull: Pull, limit: number): Promise<StreamMessage[]> {
  const batch = Math.min(limit, pull.pending)
  try {
    return batch > 0 ? await new Fetch(client, pull, batch).done : []
  } finally {
    discard(client, pull)
  }
}

/** A pull request in progress. */
class Fetch {
  readonly done: Promise<StreamMessage[]>
  readonly #client: NatsClient
  readonly #pull: Pull
  readonly #batch: number
  readonly #messages: StreamMessage[] = []
  readonly #sub: Subscription
  #timer: Timer
  #countAtCheck = 0
  #checks = 0
  #isDone = false
  #settle: (error?: Error) => void = () => {}

  constructor(client: NatsClient, pull: Pull, batch: number) {
    this.#client = client
    this.#pull = pull
    this.#batch = batch
    this.done = new Promise((resolve, reject) => {
      this.#settle = (error) => (error === undefined ? resolve(this.#messages) : reject(error))
    })
    const inbox = createInbox()
    this.#timer = this.#scheduleCheck()
    this.#sub = client.nc.subscribe(inbox, {
      callback: (error, message) => (error === null ? this.#take(message) : this.#end(unavailable(error))),
    })
    client.nc.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${pull.stream}.${pull.consumer}`,
      JSON.stringify({ batch, no_wait: true }),
      { reply: inbox },
    )
  }

  #take(message: Msg): void {
    const delivery = parseDelivery(message)
    if (delivery === undefined) {
      const code = message.headers?.code ?? 0
      // 404 and 408: there were fewer messages than were counted.
      if (code === 404 || code === 408) this.#end()
      else if (code >= 400) this.#end(unavailable(message.headers?.description))
      return
    }
    this.#messages.push(delivery)
    if (this.#messages.length === this.#batch) this.#end()
  }

  #end(error?: Error): void {
    this.#isDone = true
    this.#timer.cancel()
    this.#sub.unsubscribe()
    this.#settle(error)
  }

  #scheduleCheck(): Timer {
    this.#countAtCheck = this.#messages.length
    return this.#client.clock.setTimer(() => void this.#check(), fetchCheckMs)
  }

  /** Ends the fetch if no messages are left: NATS sends nothing for messages removed since they were counted. */
  async #check(): Promise<void> {
    try {
      if (++this.#checks > maxChecks) throw new Error("some messages did not arrive")
      if (this.#messages.length === this.#countAtCheck) {
        const info = await this.#client.jsm.consumers.info(this.#pull.stream, this.#pull.consumer)
        if (info.num_pending === 0 && info.delivered.consumer_seq <= this.#messages.length) {
          this.#end()
          return
        }
      }
      if (!this.#isDone) this.#timer = this.#scheduleCheck()
    } catch (error) {
      this.#end(unavailable(error))
    }
  }
}
