import { createHash } from "node:crypto"
import { type JetStreamManager, jetstreamManager, type StoredMsg } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { until } from "./condition.js"

/** A message that NATS acknowledged, and so has to keep. */
interface Acknowledged {
  readonly stream: string
  readonly seq: number
  readonly subject: string
  /** SHA-256 of its content. */
  readonly digest: string
  /** Its Nats-Msg-Id. */
  readonly id: string
  readonly text: string
}

/** A message that NATS acknowledged and no longer has, although nobody removed it. */
export type Loss = Acknowledged

type Written = Omit<Acknowledged, "stream" | "seq">

/** Receives a frame of the NATS protocol: the words of its first line, its headers and its body. */
type OnFrame = (words: readonly string[], headers: string, body: Buffer) => void

const patienceMs = 60_000
const textCharacters = 400

/**
 * Records the traffic between relays and NATS: the messages that NATS acknowledged, and those it was asked to remove. It
 * sees the bytes on the wire alone, so it depends on neither the relays nor NATS.
 */
export class NatsWitness {
  /** One line per relevant frame. */
  readonly log: string[] = []
  readonly #acknowledged: Acknowledged[] = []
  /** `stream seq`. */
  readonly #removed = new Set<string>()

  /** Records one connection; both functions need every byte of their direction. @param name - names the connection in the log */
  record(name: string): { toServer(bytes: Buffer): void; toClient(bytes: Buffer): void } {
    /** By reply subject. */
    const written = new Map<string, Written>()
    const toServer = new Frames((words, headers, body) => {
      const [verb = "", subject = "", reply = ""] = words
      if (!verb.endsWith("PUB")) return
      const stream = /^\$JS\.API\.STREAM\.MSG\.DELETE\.(.+)$/.exec(subject)?.[1]
      if (stream !== undefined) {
        const { seq } = JSON.parse(body.toString()) as { seq: number }
        this.#removed.add(`${stream} ${seq}`)
        this.#note(`${name} removes ${stream} ${seq}`)
      } else if (/^(?:agentchat\.log|\$KV)\./.test(subject)) {
        const id = /^Nats-Msg-Id: *(.*?)\r?$/m.exec(headers)?.[1] ?? ""
        written.set(reply, { subject, digest: digestOf(body), id, text: textOf(body) })
        this.#note(`${name} writes ${subject} as ${id || "-"}: ${textOf(body)}`)
      }
    })
    const toClient = new Frames((words, _headers, body) => {
      const [verb = "", subject = ""] = words
      if (!verb.endsWith("MSG")) return
      const delivery = words.find((word) => word.startsWith("$JS.ACK."))
      if (delivery !== undefined) this.#note(`${name} receives ${subject} (${delivery})`)
      const one = written.get(subject)
      if (one === undefined) return
      written.delete(subject)
      this.#note(`${name} is acknowledged on ${one.subject} as ${one.id || "-"}: ${textOf(body)}`)
      this.#noteAck(one, body)
    })
    return { toServer: (bytes) => toServer.take(bytes), toClient: (bytes) => toClient.take(bytes) }
  }

  /** Returns the losses in streams whose names match, according to their leaders. Nobody may write meanwhile. */
  async findLosses(url: string, streams: RegExp): Promise<Loss[]> {
    const connection = await connect({ servers: url })
    try {
      const manager = await jetstreamManager(connection, { checkAPI: false })
      const losses: Loss[] = []
      for (const one of this.#acknowledged) {
        if (streams.test(one.stream) && (await this.#isLost(manager, one))) losses.push(one)
      }
      return losses
    } finally {
      await connection.close()
    }
  }

  async #isLost(manager: JetStreamManager, one: Acknowledged): Promise<boolean> {
    const { stream, seq, subject } = one
    const others = this.#acknowledged.filter((other) => other.stream === stream && other.seq === seq)
    // If a number was used several times, all but the last message with it were lost.
    if (others.at(-1) !== one) return true
    const isKept = stream.startsWith("KV_")
      ? ((await find(manager, stream, { last_by_subj: subject }))?.seq ?? 0) >= seq
      : isThat(one, await find(manager, stream, { seq }))
    // Checked last: the message may have been removed during the request.
    return !isKept && !this.#removed.has(`${stream} ${seq}`)
  }

  #noteAck(one: Written, body: Buffer): void {
    const { stream, seq, duplicate, error } = readAnswer(body)
    if (error !== undefined || stream === undefined || seq === undefined || duplicate === true) return
    this.#acknowledged.push({ stream, seq, ...one })
  }

  #note(line: string): void {
    this.log.push(`${new Date().toISOString()} ${line}`)
  }
}

/** Cuts one direction of a connection into frames. */
class Frames {
  readonly #onFrame: OnFrame
  #rest = Buffer.alloc(0)

  constructor(onFrame: OnFrame) {
    this.#onFrame = onFrame
  }

  take(bytes: Buffer): void {
    this.#rest = Buffer.concat([this.#rest, bytes])
    for (let length = this.#takeOne(); length > 0; length = this.#takeOne()) {
      this.#rest = this.#rest.subarray(length)
    }
  }

  /** @returns the bytes of the first frame; 0 when it is not all there */
  #takeOne(): number {
    const end = this.#rest.indexOf("\r\n")
    if (end < 0) return 0
    const words = this.#rest.subarray(0, end).toString().trim().split(/\s+/)
    const [verb = ""] = words
    const start = end + 2
    if (!/^H?(?:PUB|MSG)$/.test(verb)) return start
    const size = Number(words.at(-1))
    if (this.#rest.length < start + size + 2) return 0
    const bodyStart = start + (verb.startsWith("H") ? Number(words.at(-2)) : 0)
    const headers = this.#rest.subarray(start, bodyStart).toString()
    this.#onFrame(words, headers, this.#rest.subarray(bodyStart, start + size))
    return start + size + 2
  }
}

/** Reads a message from the leader of a stream; waits while the cluster elects one. */
async function find(
  manager: JetStreamManager,
  stream: string,
  which: { seq: number } | { last_by_subj: string },
): Promise<StoredMsg | null> {
  let found: StoredMsg | null = null
  const ask = async () => {
    try {
      found = await manager.streams.getMessage(stream, which)
      return true
    } catch {
      return false
    }
  }
  await until(`an answer of ${stream}`, ask, patienceMs)
  return found
}

function isThat({ subject, digest }: Acknowledged, found: StoredMsg | null): boolean {
  return found?.subject === subject && digestOf(found.data) === digest
}

function readAnswer(body: Buffer): {
  readonly stream?: string
  readonly seq?: number
  readonly duplicate?: boolean
  readonly error?: object
} {
  try {
    return JSON.parse(body.toString()) as object
  } catch {
    return {}
  }
}

function digestOf(body: Uint8Array): string {
  return createHash("sha256").update(body).digest("base64url")
}

function textOf(body: Buffer): string {
  return body.toString().slice(0, textCharacters)
}
