import type { AgentId } from "../../protocol/names.js"
import type { ByteBudget } from "../sessions/byte-budget.js"
import { FrameBuffer } from "../wire/frame-buffer.js"
import { frameBytes, readFrame } from "../wire/frame-encoder.js"

/** Bounds of one channel's buffer. */
export interface ReplayLimits {
  readonly retainedMessages: number
  readonly retainedBytes: number
}

/** A message of a channel, kept for replay. */
export interface ReplayedMessage {
  readonly author: AgentId
  /** Milliseconds since the Unix epoch. */
  readonly ts: number
  /** The message as JSON. */
  readonly text: string
}

/** Size of the first page. Each further page is twice as large, up to the second figure. */
const smallPageBytes = 4 * 1024
const largePageBytes = 128 * 1024
/** A page takes at most this fraction of the buffer. */
const largestShare = 4

/**
 * The newest messages of a channel, in memory; {@link ChannelHistory} is the same in a store. Sequence numbers are
 * consecutive. When the buffer exceeds its own bounds, or all buffers together exceed the budget, it drops its
 * oldest page.
 */
export class ReplayBuffer {
  readonly #limits: ReplayLimits
  readonly #budget: ByteBudget
  #pages: ReplayPage[] = []
  #count = 0
  #bytes = 0

  constructor(limits: ReplayLimits, budget: ByteBudget) {
    this.#limits = limits
    this.#budget = budget
  }

  /** Adds a message. @returns the buffer whose last frame it is */
  append(seq: number, text: string, author: AgentId, ts: number): FrameBuffer {
    const bytes = Buffer.byteLength(text)
    let page = this.#pages.at(-1)
    if (page?.add(text, bytes, author, ts) !== true) {
      page = this.#addPage(seq, frameBytes(bytes))
      page.add(text, bytes, author, ts)
    }
    this.#count++
    return page
  }

  /** Yields the messages with a number above `seq`, oldest first. */
  after(seq: number): Iterable<ReplayedMessage> {
    return this.last((this.#pages[0]?.firstSeq ?? 0) + this.#count - 1 - seq)
  }

  /** Yields the newest `count` messages, oldest first. */
  *last(count: number): Iterable<ReplayedMessage> {
    let skip = this.#count - count
    for (const page of this.#pages) {
      for (let i = Math.max(0, skip); i < page.count; i++) {
        const message = page.at(i)
        if (message !== undefined) yield message
      }
      skip -= page.count
    }
  }

  clear(): void {
    this.#budget.give(this.#bytes)
    this.#pages = []
    this.#count = 0
    this.#bytes = 0
  }

  #addPage(seq: number, neededBytes: number): ReplayPage {
    const doubledBytes = 2 * (this.#pages.at(-1)?.capacityBytes ?? smallPageBytes / 2)
    const usualBytes = Math.min(doubledBytes, largePageBytes, this.#limits.retainedBytes / largestShare)
    const bytes = Math.max(neededBytes, Math.floor(usualBytes))
    while (this.#pages.length > 0 && this.#isOver(bytes)) this.#dropOldest()
    const page = new ReplayPage(seq, bytes)
    this.#pages.push(page)
    this.#bytes += bytes
    this.#budget.take(bytes)
    return page
  }

  #isOver(moreBytes: number): boolean {
    const { retainedMessages, retainedBytes } = this.#limits
    return (
      this.#count >= retainedMessages ||
      this.#bytes + moreBytes > retainedBytes ||
      !this.#budget.fits(moreBytes)
    )
  }

  #dropOldest(): void {
    const oldest = this.#pages.shift()
    if (oldest === undefined) return
    this.#count -= oldest.count
    this.#bytes -= oldest.capacityBytes
    this.#budget.give(oldest.capacityBytes)
  }
}

/** The frames that the members were sent, with the position of each message. */
class ReplayPage extends FrameBuffer {
  /** Sequence number of the first message. */
  readonly firstSeq: number
  /** Offset after each message's frame. */
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

  /** @returns false if the message does not fit */
  add(text: string, bytes: number, author: AgentId, ts: number): boolean {
    if (!this.append(text, bytes)) return false
    this.#ends.push(this.usedBytes)
    this.#authors.push(author)
    this.#times.push(ts)
    return true
  }

  at(index: number): ReplayedMessage | undefined {
    const [author, ts, end] = [this.#authors[index], this.#times[index], this.#ends[index]]
    if (author === undefined || ts === undefined || end === undefined) return undefined
    return { author, ts, text: readFrame(this.frames(this.#ends[index - 1] ?? 0, end)) }
  }
}
