import { createHash } from "node:crypto"
import { type JetStreamManager, jetstreamManager, type StoredMsg } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { until } from "./condition.js"

/** What NATS acknowledged, and has to have from then on. */
interface Vouched {
  readonly stream: string
  readonly seq: number
  readonly subject: string
  /** Of what was written. */
  readonly digest: string
  /** What its writer called it. */
  readonly id: string
  readonly text: string
}

/** What NATS acknowledged and does not have any more, though nobody asked it to remove it. */
export type Loss = Vouched

type Written = Omit<Vouched, "stream" | "seq">

/** Told a frame of the protocol of NATS: its first line in words, its headers, and what it carries. */
type OnFrame = (words: readonly string[], headers: string, body: Buffer) => void

const patienceMs = 60_000
const textCharacters = 400

/**
 * Overhears what passes between relays and NATS, and remembers what NATS acknowledged and what it was asked to remove.
 * It knows nothing but the bytes on the way, so that neither a relay nor NATS can talk it into anything.
 */
export class NatsWitness {
  /** Everything that was overheard, one line for each frame that matters. */
  readonly log: string[] = []
  readonly #vouched: Vouched[] = []
  /** `stream seq`. */
  readonly #removed = new Set<string>()

  /** One connection, of which each direction is to be told every byte. @param name - who it is, for the log */
  overhear(name: string): { toServer(bytes: Buffer): void; toClient(bytes: Buffer): void } {
    /** By where the answer goes. */
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
      if (delivery !== undefined) this.#note(`${name} is given ${subject} (${delivery})`)
      const one = written.get(subject)
      if (one === undefined) return
      written.delete(subject)
      this.#note(`${name} is answered on ${one.subject} as ${one.id || "-"}: ${textOf(body)}`)
      this.#vouch(one, body)
    })
    return { toServer: (bytes) => toServer.take(bytes), toClient: (bytes) => toClient.take(bytes) }
  }

  /** What is missing in streams whose names match, by what the leader of each has now. Nobody may write meanwhile. */
  async findLosses(url: string, streams: RegExp): Promise<Loss[]> {
    const connection = await connect({ servers: url })
    try {
      const manager = await jetstreamManager(connection, { checkAPI: false })
      const losses: Loss[] = []
      for (const one of this.#vouched) {
        if (streams.test(one.stream) && (await this.#isLost(manager, one))) losses.push(one)
      }
      return losses
    } finally {
      await connection.close()
    }
  }

  async #isLost(manager: JetStreamManager, one: Vouched): Promise<boolean> {
    const { stream, seq, subject } = one
    const others = this.#vouched.filter((other) => other.stream === stream && other.seq === seq)
    // Of several that were given one number, all but the last were gone when it was given away again.
    if (others.at(-1) !== one) return true
    const isKept = stream.startsWith("KV_")
      ? ((await find(manager, stream, { last_by_subj: subject }))?.seq ?? 0) >= seq
      : isThat(one, await find(manager, stream, { seq }))
    // Asked last: what is asked of a stream that is in use may be removed meanwhile.
    return !isKept && !this.#removed.has(`${stream} ${seq}`)
  }

  #vouch(one: Written, body: Buffer): void {
    const { stream, seq, duplicate, error } = readAnswer(body)
    if (error !== undefined || stream === undefined || seq === undefined || duplicate === true) return
    this.#vouched.push({ stream, seq, ...one })
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

/** What the leader of a stream has. A cluster that is finding a leader is waited for. */
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

function isThat({ subject, digest }: Vouched, found: StoredMsg | null): boolean {
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
