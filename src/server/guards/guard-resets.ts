import type { Table } from "../../backbone/backbone.js"
import { type KnownRow, updateRow } from "../../backbone/update-row.js"
import { isPlain } from "../../base/plain.js"

/** The row all relays read. */
const key = "reset"
/** Acts that the row tells of beside the last one: a relay may hear of it late, and of several changes as one. */
const earlierKept = 32

/** What an operator lifted. */
interface Reset {
  /** Names the act among all. */
  readonly id: string
  /** Absent: everything. */
  readonly scope?: string
}

/** What operators lifted, as the relays of one store tell each other: every act reaches every relay once. */
export class GuardResets {
  readonly #table: Table
  /** Acts of the row as it was heard of last. */
  #heard = new Set<string>()
  /** Acts of this relay that it has not heard of yet. */
  readonly #own = new Set<string>()

  private constructor(table: Table) {
    this.#table = table
  }

  /**
   * What was lifted before is no news.
   * @param onReset - told of what another relay lifted from now on; undefined: everything
   * @throws {ChatError} UNAVAILABLE
   */
  static async open(table: Table, onReset: (scope: string | undefined) => void): Promise<GuardResets> {
    const resets = new GuardResets(table)
    let isNews = false
    await table.watch((change) => {
      if (change.key !== key || change.value === undefined) return
      const news = resets.#hear(readResets(change.value))
      if (isNews) for (const { scope } of news) onReset(scope)
    })
    isNews = true
    return resets
  }

  /** Tells the other relays that this one lifted something. @throws {ChatError} UNAVAILABLE */
  async tell(id: string, scope: string | undefined): Promise<void> {
    this.#own.add(id)
    const add = (row: KnownRow | undefined) => {
      const earlier = row === undefined ? [] : readResets(row.value).slice(0, earlierKept)
      const value = JSON.stringify({ id, ...(scope !== undefined && { scope }), earlier })
      return { result: undefined, value }
    }
    await updateRow(this.#table, key, add, { what: "scope" })
  }

  /** @returns what was not known, the earliest first */
  #hear(resets: readonly Reset[]): Reset[] {
    const news = resets.filter(({ id }) => !this.#heard.has(id) && !this.#own.delete(id))
    this.#heard = new Set(resets.map(({ id }) => id))
    return news.reverse()
  }
}

/** The acts a row tells of, the last one first. What is none must not lift everything. */
function readResets(text: string): Reset[] {
  const row = parse(text)
  if (!isReset(row)) return []
  const { earlier } = row as { readonly earlier?: unknown }
  return [row, ...(Array.isArray(earlier) ? earlier.filter(isReset) : [])].map(({ id, scope }) => ({
    id,
    ...(scope !== undefined && { scope }),
  }))
}

function isReset(value: unknown): value is Reset {
  if (!isPlain(value)) return false
  const { id, scope } = value
  return typeof id === "string" && (scope === undefined || typeof scope === "string")
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    return undefined
  }
}
