import type { Row } from "../../backbone/backbone.js"
import { LruMap } from "../../base/lru-map.js"

/** Revisions of one row. */
interface Version {
  /** Of what was heard last. */
  readonly heard: number
  /** Of what was written or read since; 0: nothing was. */
  readonly own: number
}

/** Rows that are remembered, also those that are gone: what was read before may come after the news of that. */
const rowsKept = 8_192
const unheardOf: Version = { heard: 0, own: 0 }

/**
 * Tells what is news of the rows of a table that one watches, and also writes and reads: the watch may tell late what
 * is older than that, or tell first what one wrote oneself.
 */
export class RowVersions {
  readonly #versions = new LruMap<string, Version>(rowsKept)

  /** Takes note of what the watch told: a row was written, or is gone. @returns whether it is news */
  hear({ key, revision }: Pick<Row, "key" | "revision">): boolean {
    const { heard, own } = this.#versions.peek(key) ?? unheardOf
    // What is older than all that was heard is of a table that was lost and begins anew.
    if (heard < revision && revision < own) return false
    this.#versions.set(key, { heard: revision, own: 0 })
    return true
  }

  /** Takes note of what was written or read here. @returns whether it is news */
  note({ key, revision }: Pick<Row, "key" | "revision">): boolean {
    const { heard, own } = this.#versions.peek(key) ?? unheardOf
    if (revision <= Math.max(heard, own)) return false
    this.#versions.set(key, { heard, own: revision })
    return true
  }
}
