import type { Backbone, Table } from "../../backbone/backbone.js"
import { tooManyChanges } from "../../backbone/update-row.js"
import { hashAuditEntry } from "../../identity/moderation.js"
import { type AuditEntry, auditEntry, type Moderation } from "../../protocol/moderation.js"
import { parseAs } from "../../protocol/schema.js"

/** Digits of the number in a key, so that keys sort as numbers. */
const digits = 10
/** Attempts to append, each lost to another relay, before it gives up. */
const maxTries = 20

/**
 * The actions of operators, on all relays of a backbone, each with the hash of the one before. Entries are only added: a
 * number that another relay has taken is never written again.
 */
export class AuditLog {
  readonly #table: Table
  readonly #entries = new Map<number, AuditEntry>()
  readonly #onAdded: (entry: AuditEntry) => void
  #last: AuditEntry | undefined
  #isOpen = false

  private constructor(table: Table, onAdded: (entry: AuditEntry) => void) {
    this.#table = table
    this.#onAdded = onAdded
  }

  /**
   * @param onAdded - called with each entry of the table, in order of their numbers, and then with each new one
   * @throws {ChatError} UNAVAILABLE
   */
  static async open(backbone: Backbone, onAdded: (entry: AuditEntry) => void): Promise<AuditLog> {
    const log = new AuditLog(await backbone.table("audit"), onAdded)
    await log.#table.watch(({ value }) => log.#note(value))
    log.#isOpen = true
    for (const entry of log.entries()) onAdded(entry)
    return log
  }

  /** All entries, the oldest first. */
  entries(): AuditEntry[] {
    return [...this.#entries.values()].sort((a, b) => a.seq - b.seq)
  }

  /**
   * Adds an action, once for its id. Resolves when it is stored.
   * @returns the entry; undefined if the id was used before
   * @throws {ChatError} UNAVAILABLE
   */
  async append(statement: Moderation, ts: number): Promise<AuditEntry | undefined> {
    for (let tries = 0; tries < maxTries; tries++) {
      if (this.#hasId(statement.id)) return undefined
      const last = this.#last
      const seq = (last?.seq ?? 0) + 1
      const entry = { seq, prev: last === undefined ? "" : hashAuditEntry(last), ts, statement }
      const key = String(seq).padStart(digits, "0")
      const value = JSON.stringify(entry)
      if ((await this.#table.put(key, value, 0)) !== undefined) {
        this.#note(value)
        return entry
      }
      this.#note((await this.#table.get(key))?.value)
    }
    throw tooManyChanges("audit log")
  }

  #hasId(id: string): boolean {
    for (const { statement } of this.#entries.values()) if (statement.id === id) return true
    return false
  }

  #note(value: string | undefined): void {
    const entry = value === undefined ? undefined : parseAuditEntry(value)
    if (entry === undefined || this.#entries.has(entry.seq)) return
    this.#entries.set(entry.seq, entry)
    if (entry.seq > (this.#last?.seq ?? 0)) this.#last = entry
    if (this.#isOpen) this.#onAdded(entry)
  }
}

/** Returns the entry in a row; undefined if it is none. */
export function parseAuditEntry(value: string): AuditEntry | undefined {
  return parseAs(auditEntry, value)
}
