import type { Table } from "../../backbone/backbone.js"
import type { Clock, Timer } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"
import type { DealIndex } from "./deal-index.js"
import type { DealEntry } from "./deal-record.js"

/** Milliseconds between two looks. */
const sweepMs = 600_000

/** What a sweep needs. */
interface SweepOptions {
  readonly table: Table
  readonly index: DealIndex
  readonly clock: Clock
  readonly limits: Limits
  readonly log: (line: string) => void
}

/** Takes deals away that ended, or in which nothing is said any more. */
export class DealExpiry {
  readonly #options: SweepOptions
  #timer: Timer | undefined
  #isClosed = false

  constructor(options: SweepOptions) {
    this.#options = options
    this.#later()
  }

  /** Takes nothing away any more. */
  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  #later(): void {
    if (this.#isClosed) return
    this.#timer = this.#options.clock.setTimer(() => void this.#sweep(), sweepMs, { unref: true })
  }

  async #sweep(): Promise<void> {
    const { table, index, log } = this.#options
    try {
      for (const { id, revision } of this.#ended()) {
        // Of a row that changed meanwhile nothing is known.
        if (!(await table.delete(id, revision))) continue
        index.take({ key: id, value: undefined, revision })
        if (this.#isClosed) return
      }
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      log(`proposals that ended are not cleared yet: ${error.message}`)
    } finally {
      this.#later()
    }
  }

  #ended(): DealEntry[] {
    const { index, clock, limits } = this.#options
    const now = clock.now()
    const { closedProposalMs, openProposalMs } = limits
    return [...index.entries()].filter(
      ({ lastTs, closesTs = Infinity }) =>
        now > Math.max(lastTs, closesTs) + closedProposalMs || now > lastTs + openProposalMs,
    )
  }
}
