import { JetStreamApiError, type StreamConfig, type StreamInfo } from "@nats-io/jetstream"
import { firstNumber } from "../numbering.js"
import { errorText, type NatsClient } from "./nats-client.js"

/** Error codes of JetStream. */
export const natsCodes = {
  noPeers: 10_005,
  insufficient: 10_023,
  noMessage: 10_037,
  noSequence: 10_043,
  notDeleted: 10_057,
  streamExists: 10_058,
  streamNotFound: 10_059,
  wrongLastId: 10_070,
  wrongRevision: 10_071,
  noReplicas: 10_074,
  storeFailed: 10_077,
  duplicateInProgress: 10_158,
} as const

/** Copies of a stream in a cluster. */
const wantedReplicas = 3

/** The wanted configuration of a stream; NATS chooses what is absent. */
type WantedStream = Partial<StreamConfig> & { readonly name: string }

/** Reports whether `error` is JetStream's answer with one of these codes. */
export function hasCode(error: unknown, ...codes: number[]): error is JetStreamApiError {
  return error instanceof JetStreamApiError && codes.includes(error.code)
}

/**
 * Creates a stream, or updates the existing one as far as NATS allows. In a cluster it has three copies if three nodes
 * are available. A request without an answer may have succeeded; a retry then finds the stream.
 * @returns whether the stream was created
 */
export async function ensureStream(client: NatsClient, wanted: WantedStream): Promise<{ isNew: boolean }> {
  const found = await findStream(client, wanted.name)
  const isNew = found === undefined && (await addStream(client, wanted))
  if (found !== undefined) await updateStream(client, found, wanted)
  // In a cluster a stream exists before it has a leader, and until then requests to it are not answered.
  if (client.isClustered) await client.quickJsm.streams.getMessage(wanted.name, { seq: 1 })
  return { isNew }
}

async function findStream(client: NatsClient, name: string): Promise<StreamInfo | undefined> {
  try {
    return await client.quickJsm.streams.info(name)
  } catch (error) {
    if (hasCode(error, natsCodes.streamNotFound)) return undefined
    throw error
  }
}

/** @returns false when another relay has created the stream in the meantime */
async function addStream(client: NatsClient, wanted: WantedStream): Promise<boolean> {
  try {
    await addReplicated(client, wanted)
    return true
  } catch (error) {
    if (hasCode(error, natsCodes.streamExists)) return false
    throw error
  }
}

async function addReplicated(client: NatsClient, wanted: WantedStream): Promise<void> {
  const { streams } = client.quickJsm
  if (client.isClustered) {
    try {
      await streams.add({ ...wanted, num_replicas: wantedReplicas })
      return
    } catch (error) {
      if (!hasCode(error, natsCodes.noPeers, natsCodes.insufficient, natsCodes.noReplicas)) throw error
      client.log(`nats: ${wanted.name} has one copy only (${errorText(error)})`)
    }
  }
  await streams.add({ ...wanted, num_replicas: 1 })
}

async function updateStream(client: NatsClient, found: StreamInfo, wanted: WantedStream): Promise<void> {
  const current = found.config as Record<string, unknown>
  const changes = Object.entries(wanted).filter(([name, value]) => !isSame(current[name], value))
  if (client.isClustered && found.config.num_replicas < wantedReplicas) {
    changes.push(["num_replicas", wantedReplicas])
  }
  if (changes.length === 0) return
  try {
    await client.quickJsm.streams.update(wanted.name, Object.fromEntries(changes))
  } catch (error) {
    if (!(error instanceof JetStreamApiError)) throw error
    const names = changes.map(([name]) => name).join(", ")
    client.log(`nats: ${wanted.name} keeps its configuration of ${names} (${errorText(error)})`)
  }
}

function isSame(current: unknown, wanted: unknown): boolean {
  // NATS omits values that are false or zero.
  return JSON.stringify(current ?? false) === JSON.stringify(wanted ?? false) || (!current && !wanted)
}

/** Removes one message, unless it has been removed already. */
export async function removeMessage(client: NatsClient, stream: string, seq: number): Promise<void> {
  try {
    await client.jsm.streams.deleteMessage(stream, seq, false)
  } catch (error) {
    if (!hasCode(error, natsCodes.noMessage, natsCodes.noSequence, natsCodes.notDeleted)) throw error
  }
}

/**
 * Maps the numbers of a stream to those of its log, and to the revisions of its table. A new stream counts from 1, also
 * one that replaces a stream that was lost. Therefore they start at the creation time of the stream, which is the same
 * for all relays.
 */
export class StreamNumbers {
  #first = 0

  /** @param created - when the stream was created, as reported by NATS (RFC 3339) */
  start(created: string): void {
    this.#first = firstNumber(Date.parse(created))
  }

  toLog(streamSeq: number): number {
    return this.#first + streamSeq
  }

  /** Returns the number in the stream; 0 for a number before its time. */
  toStream(seq: number): number {
    return Math.max(0, seq - this.#first)
  }
}
