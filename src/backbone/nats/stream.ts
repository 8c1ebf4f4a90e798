import {
  AckPolicy,
  type ConsumerConfig,
  type ConsumerInfo,
  DeliverPolicy,
  JetStreamApiError,
  type StreamConfig,
  type StreamInfo,
} from "@nats-io/jetstream"
import { createInbox, type Msg, nanos, nuid, type Subscription } from "@nats-io/transport-node"
import type { Timer } from "../../base/clock.js"
import { type NatsLink, toText, unavailable } from "./connection.js"
import { type Delivery, toDelivery } from "./delivery.js"

/** Codes of JetStream's own error table. */
export const natsCodes = {
  noPeers: 10_005,
  noMessage: 10_037,
  insufficient: 10_023,
  noSequence: 10_043,
  notDeleted: 10_057,
  streamExists: 10_058,
  streamNotFound: 10_059,
  wrongRevision: 10_071,
  noReplicas: 10_074,
  storeFailed: 10_077,
  sameIdUnderWay: 10_158,
} as const

/** Copies kept where NATS has several nodes. */
const wantedReplicas = 3
/** An ephemeral consumer nobody asks any more is gone after this. */
const idleConsumerMs = 10_000
/** So much silence during a fetch makes one look whether there is anything left. */
const fetchLookMs = 250
/** A fetch that takes longer is given up. */
const maxLooks = 20
/** Places a consumer is tried at until it is at the leader. */
export const maxPlaces = 12

/** A stream as it is wanted; what is not named is left to NATS. */
type WantedStream = Partial<StreamConfig> & { readonly name: string }

/** Whether `error` is JetStream's answer with that code. */
export function isAnswer(error: unknown, ...codes: number[]): error is JetStreamApiError {
  return error instanceof JetStreamApiError && codes.includes(error.code)
}

/**
 * Makes a stream, or brings the one there is into the wanted form as far as NATS allows. In a cluster it has three
 * copies where three nodes can take them. Without an answer it may stand all the same: the next try finds it.
 * @returns whether it had to be made
 */
export async function ensureStream(link: NatsLink, wanted: WantedStream): Promise<{ isNew: boolean }> {
  const found = await findStream(link, wanted.name)
  const isNew = found === undefined && (await addStream(link, wanted))
  if (found !== undefined) await adapt(link, found, wanted)
  // In a cluster a stream is there before it has a leader, and until then what is asked of it stays unanswered.
  if (link.isClustered) await link.quickJsm.streams.getMessage(wanted.name, { seq: 1 })
  return { isNew }
}

async function findStream(link: NatsLink, name: string): Promise<StreamInfo | undefined> {
  try {
    return await link.quickJsm.streams.info(name)
  } catch (error) {
    if (isAnswer(error, natsCodes.streamNotFound)) return undefined
    throw error
  }
}

/** @returns false when another relay was faster, with another form */
async function addStream(link: NatsLink, wanted: WantedStream): Promise<boolean> {
  try {
    await addCopies(link, wanted)
    return true
  } catch (error) {
    if (isAnswer(error, natsCodes.streamExists)) return false
    throw error
  }
}

async function addCopies(link: NatsLink, wanted: WantedStream): Promise<void> {
  if (link.isClustered) {
    try {
      await link.quickJsm.streams.add({ ...wanted, num_replicas: wantedReplicas })
      return
    } catch (error) {
      if (!isAnswer(error, natsCodes.noPeers, natsCodes.insufficient, natsCodes.noReplicas)) throw error
      link.log(`nats: ${wanted.name} has one copy only (${toText(error)})`)
    }
  }
  await link.quickJsm.streams.add({ ...wanted, num_replicas: 1 })
}

async function adapt(link: NatsLink, found: StreamInfo, wanted: WantedStream): Promise<void> {
  const is = found.config as Record<string, unknown>
  const changes = Object.entries(wanted).filter(([name, value]) => !isSame(is[name], value))
  if (link.isClustered && found.config.num_replicas < wantedReplicas) {
    changes.push(["num_replicas", wantedReplicas])
  }
  if (changes.length === 0) return
  try {
    await link.quickJsm.streams.update(wanted.name, Object.fromEntries(changes))
  } catch (error) {
    if (!(error instanceof JetStreamApiError)) throw error
    const names = changes.map(([name]) => name).join(", ")
    link.log(`nats: ${wanted.name} stays as it is, not as wished in ${names} (${toText(error)})`)
  }
}

function isSame(is: unknown, wanted: unknown): boolean {
  // NATS leaves out what is false or zero.
  return JSON.stringify(is ?? false) === JSON.stringify(wanted ?? false) || (!is && !wanted)
}

/** Removes one message, unless that is done already. */
export async function removeMessage(link: NatsLink, stream: string, seq: number): Promise<void> {
  try {
    await link.jsm.streams.deleteMessage(stream, seq, false)
  } catch (error) {
    if (!isAnswer(error, natsCodes.noMessage, natsCodes.noSequence, natsCodes.notDeleted)) throw error
  }
}

/** Which messages of a stream: of one subject from a number on, or the newest of each subject. */
interface Selection {
  readonly stream: string
  readonly filter: string
  /** First number that counts; absent: the newest of each subject. */
  readonly from?: number
  /** Without what they say. */
  readonly headersOnly?: boolean
}

/** Messages that wait to be fetched; give it to {@link fetch} or {@link forget}. */
export interface Pull extends Selection {
  readonly consumer: string
  /** How many there are. */
  readonly pending: number
}

/** Finds out how many messages a selection has, ready to fetch them. */
export async function select(link: NatsLink, selection: Selection): Promise<Pull> {
  const { stream, filter, from, headersOnly = false } = selection
  const config = { filter_subject: filter, headers_only: headersOnly, ...startAt(from) }
  for (let tries = 1; ; tries++) {
    const info = await addConsumer(link, stream, config)
    const pull = { ...selection, consumer: info.name, pending: info.num_pending }
    if (tries === maxPlaces || (await isAtLeader(link, info))) return pull
    forget(link, pull)
  }
}

/** Adds a consumer that does not outlive its reader, wherever NATS puts it. */
export function addConsumer(
  link: NatsLink,
  stream: string,
  config: Partial<ConsumerConfig>,
): Promise<ConsumerInfo> {
  return link.jsm.consumers.add(stream, {
    name: nuid.next(),
    ack_policy: AckPolicy.None,
    inactive_threshold: nanos(idleConsumerMs),
    mem_storage: true,
    num_replicas: 1,
    ...config,
  })
}

/**
 * Whether a consumer reads what the leader of its stream has. Another node may be behind, and one of NATS 2.9 that was
 * killed lacks for good what it was about to write, without a word.
 */
export async function isAtLeader(link: NatsLink, { stream_name, cluster }: ConsumerInfo): Promise<boolean> {
  if (cluster?.leader === undefined) return true
  const { cluster: ofStream } = await link.jsm.streams.info(stream_name)
  return cluster.leader === ofStream?.leader
}

/** Where a consumer starts. */
export function startAt(from: number | undefined): {
  deliver_policy: DeliverPolicy
  opt_start_seq?: number
} {
  if (from === undefined) return { deliver_policy: DeliverPolicy.LastPerSubject }
  return { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: Math.max(1, from) }
}

/** Lets NATS forget a selection; it does so by itself a while later. */
export function forget(link: NatsLink, { stream, consumer }: Pull): void {
  link.jsm.consumers.delete(stream, consumer).catch(() => {})
}

/** The first `limit` messages of a selection, which is used up by it. */
export async function fetch(link: NatsLink, pull: Pull, limit: number): Promise<Delivery[]> {
  const batch = Math.min(limit, pull.pending)
  try {
    return batch > 0 ? await new Fetch(link, pull, batch).done : []
  } finally {
    forget(link, pull)
  }
}

/** One request for messages. */
class Fetch {
  readonly done: Promise<Delivery[]>
  readonly #link: NatsLink
  readonly #pull: Pull
  readonly #batch: number
  readonly #messages: Delivery[] = []
  readonly #sub: Subscription
  #timer: Timer
  #sinceLook = 0
  #looks = 0
  #isDone = false
  #settle: (error?: Error) => void = () => {}

  constructor(link: NatsLink, pull: Pull, batch: number) {
    this.#link = link
    this.#pull = pull
    this.#batch = batch
    this.done = new Promise((resolve, reject) => {
      this.#settle = (error) => (error === undefined ? resolve(this.#messages) : reject(error))
    })
    const inbox = createInbox()
    this.#timer = this.#lookLater()
    this.#sub = link.nc.subscribe(inbox, {
      callback: (error, message) => (error === null ? this.#take(message) : this.#end(unavailable(error))),
    })
    link.nc.publish(
      `$JS.API.CONSUMER.MSG.NEXT.${pull.stream}.${pull.consumer}`,
      JSON.stringify({ batch, no_wait: true }),
      { reply: inbox },
    )
  }

  #take(message: Msg): void {
    const delivery = toDelivery(message)
    if (delivery === undefined) {
      const code = message.headers?.code ?? 0
      // 404 and 408: there were fewer than there seemed to be.
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

  #lookLater(): Timer {
    this.#sinceLook = this.#messages.length
    return this.#link.clock.setTimer(() => void this.#look(), fetchLookMs)
  }

  /** NATS does not answer for messages that vanished since they were counted: asks whether any are left. */
  async #look(): Promise<void> {
    try {
      if (++this.#looks > maxLooks) throw new Error("messages stayed out")
      if (this.#messages.length === this.#sinceLook) {
        const info = await this.#link.jsm.consumers.info(this.#pull.stream, this.#pull.consumer)
        if (info.num_pending === 0 && info.delivered.consumer_seq <= this.#messages.length) {
          this.#end()
          return
        }
      }
      if (!this.#isDone) this.#timer = this.#lookLater()
    } catch (error) {
      this.#end(unavailable(error))
    }
  }
}
