import type { AgentId } from "../../protocol/names.js"
import { FrameBuffer } from "../wire/frame-buffer.js"
import { readFrame } from "../wire/frame-encoder.js"
import type { Payload } from "../wire/payload.js"

/** A message of a channel, kept for replay. */
export interface ReplayedMessage {
  readonly author: AgentId
  /** Milliseconds since the Unix epoch. */
  readonly ts: number
  /** The message as JSON. */
  readonly text: string
}

/** A page of a channel's log: it keeps what the members were sent, and finds each message of it again. */
export class LogPage extends FrameBuffer {
  /** Sequence number of the first message. */
  readonly firstSeq: number
  /** Where each message's frame ends, and what is known of it besides its text. */
  readonly #ends: number[] = []
  readonly #authors: AgentId[] = []
  readonly #times: number[] = []

  constructor(firstSeq: number, capacityBytes: number) {
    super(capacityBytes)
    this.firstSeq = firstSeq
  }

  get count(): number {
    return this.#ends.length
  }

  /** @returns false if the page has no room for the message */
  add(payload: Payload, author: AgentId, ts: number): boolean {
    if (!this.append(payload)) return false
    this.#ends.push(this.usedBytes)
    this.#authors.push(author)
    this.#times.push(ts)
    return true
  }

  /** The message at `index`. */
  at(index: number): ReplayedMessage | undefined {
    const [author, ts, end] = [this.#authors[index], this.#times[index], this.#ends[index]]
    if (author === undefined || ts === undefined || end === undefined) return undefined
    return { author, ts, text: readFrame(this.frames(this.#ends[index - 1] ?? 0, end)) }
  }
}
