import type { AgentId } from "../../protocol/names.js"
import type { ByteBudget } from "../sessions/byte-budget.js"
import { frameBytes } from "../wire/frame-encoder.js"
import type { Payload } from "../wire/payload.js"
import { LogPage, type ReplayedMessage } from "./log-page.js"

/** Bounds of one channel's log. */
export interface ReplayLimits {
  readonly retainedMessages: number
  readonly retainedBytes: number
}

/** The first page of a log; each further one is twice as large, up to the second figure. */
const smallPageBytes = 4 * 1024
const largePageBytes = 128 * 1024
/** A page is at most this part of what the log may hold. */
const largestShare = 4

/**
 * The newest messages of a channel, whose sequence numbers rise by one. Beyond the log's own bounds, and when
 * all logs together exceed the budget, the log that grows drops its oldest page: a page is the grain of both.
 */
export class ReplayBuffer {
  readonly #limits: ReplayLimits
  readonly #budget: ByteBudget
  #pages: LogPage[] = []
  #count = 0
  #bytes = 0

  constructor(limits: ReplayLimits, budget: ByteBudget) {
    this.#limits = limits
    this.#budget = budget
  }

  /** Keeps one message and says on which page it stands as the last. */
  append(seq: number, payload: Payload, author: AgentId, ts: number): LogPage {
    let page = this.#pages.at(-1)
    if (page?.add(payload, author, ts) !== true) {
      page = this.#turnPage(seq, frameBytes(payload.bytes))
      page.add(payload, author, ts)
    }
    this.#count++
    return page
  }

  /** Every message kept whose number is over `seq`, oldest first. */
  after(seq: number): Iterable<ReplayedMessage> {
    return this.last((this.#pages[0]?.firstSeq ?? 0) + this.#count - 1 - seq)
  }

  /** The newest `count` messages, oldest first. */
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

  #turnPage(seq: number, neededBytes: number): LogPage {
    const grownBytes = 2 * (this.#pages.at(-1)?.capacityBytes ?? smallPageBytes / 2)
    const usualBytes = Math.min(grownBytes, largePageBytes, this.#limits.retainedBytes / largestShare)
    const bytes = Math.max(neededBytes, Math.floor(usualBytes))
    while (this.#pages.length > 0 && this.#isOver(bytes)) this.#dropOldest()
    const page = new LogPage(seq, bytes)
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
