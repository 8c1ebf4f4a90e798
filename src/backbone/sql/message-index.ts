import { createHash } from "node:crypto"
import { type IndexedFields, parsePhrases, wordsOf } from "../../protocol/message-filter.js"
import {
  type Candidate,
  fieldsOf,
  type MessagePage,
  pageOf,
  positionsPerMs,
  type SearchedLog,
} from "../message-search.js"
import { fromSql, type Sql, type SqlValue, sqlFault } from "./sql.js"
import type { OpParams } from "./worker-protocol.js"

/** Most entries, and bytes of them, that one call indexes; and most that it forgets. */
const pieceEntries = 500
const pieceBytes = 1024 * 1024
const forgottenEntries = 2_000
/** Entries read at once. */
const readEntries = 50
/** Numbers that one query of the index returns. */
const pageNumbers = 200
/** Most messages of a thread, and of the way to its beginning. */
const maxThread = 2_000
const maxDepth = 200
/** Most logs and ids in one query of the index. */
const maxTerms = 50

// `found` gives a number to what is indexed, which rises with time. The index has words without the texts.
const schema = `
  create table if not exists found (n integer primary key, log integer not null, seq integer not null);
  create unique index if not exists found_seq on found (log, seq);
  create virtual table if not exists message using fts5(words, sender, kind, own, reply, place,
    tokenize = 'ascii', content = '', contentless_delete = 1);
`

type Query = OpParams<"search">

/**
 * The full-text index of the messages in some families of logs. It lags behind the logs, so that writing costs nothing:
 * {@link catchUp} indexes a piece at a time and forgets what was dropped. A match is read from its log, so that what was
 * dropped is never found. Versions of agentchat without an index ignore its tables.
 */
export class MessageIndex {
  readonly #sql: Sql
  /** Ids of logs with entries to index or to forget. */
  readonly #changed: Set<number>
  #isDamaged = false
  /** False until all logs are to be compared with the index, which may be older. */
  #isChecked = false

  /** @param changed - ids of logs, to which others are added as they change */
  constructor(sql: Sql, changed: Set<number>) {
    this.#sql = sql
    this.#changed = changed
  }

  /** Creates the tables in a store that has none. */
  static create(sql: Sql): void {
    sql.exec(schema)
  }

  /**
   * Indexes a piece of what was appended, and forgets a piece of what was dropped, in a transaction of its own. A damaged
   * index is made anew.
   * @returns true if more is left
   */
  catchUp({ families }: OpParams<"index">): boolean {
    try {
      if (this.#isDamaged) this.#renew()
      if (!this.#isChecked) this.#checkAll()
      this.#sql.exec("begin")
      const hasMore = this.#takePiece(new Set(families))
      this.#sql.exec("commit")
      return hasMore
    } catch (error) {
      if (this.#sql.isInTransaction) this.#sql.exec("rollback")
      if (!isIndexFault(error) || this.#isDamaged) throw error
      this.#isDamaged = true
      return true
    }
  }

  /** Finds messages among those that are indexed; none while the index is damaged. */
  search(query: Query): MessagePage {
    const end = this.#sql.number("select max(n) from found")
    try {
      return pageOf(this.#candidates(query), query, end)
    } catch (error) {
      if (!isIndexFault(error)) throw error
      this.#isDamaged = true
      return { entries: [], next: query.before ?? query.after ?? end, hasMore: false, end }
    }
  }

  #checkAll(): void {
    for (const [id] of this.#sql.all("select id from log")) this.#changed.add(Number(id))
    this.#isChecked = true
  }

  #renew(): void {
    this.#sql.exec("begin")
    this.#sql.exec("drop table if exists message; drop table if exists found;")
    this.#sql.exec(schema)
    this.#sql.exec("commit")
    this.#isDamaged = false
    this.#isChecked = false
  }

  #takePiece(families: ReadonlySet<string>): boolean {
    let room = pieceEntries
    for (const log of this.#changed) {
      const [family, last] = this.#sql.one("select family, last from log where id = ?", log) ?? []
      if (families.has(String(family))) {
        const taken = this.#add(log, Number(last), room)
        room -= taken
        if (room <= 0 || !this.#forget(log)) return true
      }
      this.#changed.delete(log)
    }
    return false
  }

  /** Indexes entries of a log. @returns how many; all of `room` if there may be more */
  #add(log: number, last: number, room: number): number {
    const sql = "select seq, ts, bytes, value from entry where log = ? and seq > ? order by seq limit ?"
    let after = this.#sql.number("select max(seq) from found where log = ?", log)
    let [count, bytes] = [0, 0]
    while (after < last) {
      if (count >= room || bytes >= pieceBytes) return room
      const page = this.#sql.all(sql, log, after, readEntries)
      for (const [seq = 0, ts, size, value] of page) {
        this.#insert(log, seq, Number(ts), fromSql(value))
        bytes += Number(size)
      }
      count += page.length
      after = Number(page.at(-1)?.[0] ?? last)
    }
    return count
  }

  #insert(log: number, seq: SqlValue, ts: number, value: string): void {
    const n = this.#newNumber(ts)
    const isNew = this.#sql.run("insert or ignore into found (n, log, seq) values (?, ?, ?)", n, log, seq) > 0
    const fields = isNew ? fieldsOf(value) : undefined
    if (fields === undefined) return
    this.#sql.run(
      "insert into message (rowid, words, sender, kind, own, reply, place) values (?, ?, ?, ?, ?, ?, ?)",
      n,
      wordsOf(fields.text).join(" "),
      sendersOf(fields).map(term).join(" "),
      term(fields.kind),
      term(fields.id),
      fields.replyTo === undefined ? "" : term(fields.replyTo),
      placeTerm(log),
    )
  }

  #newNumber(ts: number): number {
    const first = ts * positionsPerMs
    const sql = "select max(n) from found where n >= ? and n < ?"
    const next = this.#sql.number(sql, first, first + positionsPerMs) + 1
    if (next < first + positionsPerMs) return Math.max(first, next)
    return this.#sql.number(sql, first, first + 1_000 * positionsPerMs) + 1
  }

  /** Forgets what a log has dropped. @returns false if there may be more */
  #forget(log: number): boolean {
    const first =
      this.#sql.one("select min(seq) from entry where log = ?", log)?.[0] ?? Number.MAX_SAFE_INTEGER
    const sql = "select n from found where log = ? and seq < ? order by seq limit ?"
    const dropped = this.#sql.all(sql, log, first, forgottenEntries)
    for (const [n = 0] of dropped) {
      this.#sql.run("delete from message where rowid = ?", n)
      this.#sql.run("delete from found where n = ?", n)
    }
    return dropped.length < forgottenEntries
  }

  *#candidates(query: Query): Generator<Candidate> {
    const logs = this.#searched(query)
    for (const n of this.#numbers(query, [...logs.keys()])) {
      const [log = 0, seq = 0] = this.#sql.one("select log, seq from found where n = ?", n) ?? []
      const searched = logs.get(Number(log))
      if (searched === undefined) continue
      const row = this.#sql.one("select ts, value from entry where log = ? and seq = ?", log, seq)
      if (row === undefined) continue
      const [ts, value] = [Number(row[0]), fromSql(row[1])]
      const fields = ts >= searched.sinceMs ? fieldsOf(value) : undefined
      if (fields === undefined) continue
      const { family, key } = searched
      yield { position: n, entry: { family, key, seq: Number(seq), ts, value }, fields }
    }
  }

  #searched({ logs }: Query): Map<number, SearchedLog> {
    const sql = "select id from log where family = ? and key = ?"
    const known = logs.map((log) => [this.#sql.number(sql, log.family, log.key), log] as const)
    return new Map(known.filter(([id]) => id > 0))
  }

  /** Yields the numbers of what may match, in the order of the search. */
  *#numbers(query: Query, logs: readonly number[]): Generator<number> {
    const { thread, after } = query
    const [first, last] = boundsOf(query)
    const match = matchOf(query, logs)
    if (logs.length === 0 || match === undefined) return
    if (thread === undefined) yield* this.#matching(match, [first, last], after === undefined)
    else {
      const inThread = this.#thread(thread).filter((n) => n > first && n < last)
      yield* inThread.sort((a, b) => (after === undefined ? b - a : a - b))
    }
  }

  *#matching(match: string, bounds: readonly [number, number], isFalling: boolean): Generator<number> {
    let [first, last] = bounds
    const order = isFalling ? "desc" : "asc"
    const sql =
      match === ""
        ? `select n from found where n > cast(? as integer) and n < cast(? as integer) order by n ${order} limit ?`
        : `select rowid from message where message match ? and rowid > cast(? as integer)
           and rowid < cast(? as integer) order by rowid ${order} limit ?`
    for (;;) {
      const page = this.#sql.all(sql, ...(match === "" ? [] : [match]), first, last, pageNumbers)
      const numbers = page.map(([n]) => Number(n))
      yield* numbers
      const end = numbers.at(-1)
      if (end === undefined || numbers.length < pageNumbers) return
      if (isFalling) last = end
      else first = end
    }
  }

  /** Returns the numbers of the conversation around a message. */
  #thread(id: string): number[] {
    let root = id
    for (let depth = 0; depth < maxDepth; depth++) {
      const [own] = this.#find("own", [root])
      const replyTo = own?.fields.replyTo
      if (replyTo === undefined) break
      root = replyTo
    }
    const thread = new Map(this.#find("own", [root]).map(({ n, fields }) => [n, fields.id]))
    let ids = [root]
    while (ids.length > 0 && thread.size < maxThread) {
      const found = this.#find("reply", ids.slice(0, maxTerms)).filter(({ n }) => !thread.has(n))
      for (const { n, fields } of found) thread.set(n, fields.id)
      ids = [...ids.slice(maxTerms), ...found.map(({ fields }) => fields.id)]
    }
    return [...thread.keys()]
  }

  /** Finds messages by their own id, or by the one that they answer. */
  #find(column: "own" | "reply", ids: readonly string[]): { n: number; fields: IndexedFields }[] {
    const match = `${column} : (${ids.map(term).join(" OR ")})`
    const rows = this.#sql.all(
      `select f.n, e.value from message m join found f on f.n = m.rowid
       join entry e on e.log = f.log and e.seq = f.seq where message match ? limit ?`,
      match,
      maxThread,
    )
    return rows.flatMap(([n, value]) => {
      const fields = fieldsOf(fromSql(value))
      return fields === undefined ? [] : [{ n: Number(n), fields }]
    })
  }
}

/** Returns the numbers between which the search looks, both excluded. */
function boundsOf({ filter, before, after }: Query): [first: number, last: number] {
  const { since = 0, until = Number.MAX_SAFE_INTEGER } = filter
  return [
    Math.max(after ?? -1, since * positionsPerMs - 1),
    Math.min(before ?? Number.MAX_SAFE_INTEGER, until * positionsPerMs),
  ]
}

/** Returns a query of the index; "" if everything matches, and undefined if nothing can. */
function matchOf({ filter: { text, from, kind } }: Query, logs: readonly number[]): string | undefined {
  const phrases =
    text === undefined
      ? []
      : parsePhrases(text).map(({ words, isOpen }) => `"${words.join(" ")}"${isOpen ? " *" : ""}`)
  if (text !== undefined && phrases.length === 0) return undefined
  const terms = [
    phrases.length > 0 ? `words : (${phrases.join(" AND ")})` : [],
    from === undefined ? [] : `sender : (${from.map(term).join(" OR ")})`,
    kind === undefined ? [] : `kind : ${term(kind)}`,
    logs.length > maxTerms ? [] : `place : (${logs.map(placeTerm).join(" OR ")})`,
  ]
  return terms.flat().join(" AND ")
}

/** Returns what {@link MessageFilter} may name as the sender of a message. */
function sendersOf({ from, name }: IndexedFields): string[] {
  return [from.toLowerCase(), `@${name.toLowerCase()}`]
}

/** Returns a word for a text of any characters, which nobody can make equal to that of another text. */
function term(text: string): string {
  return `x${createHash("sha256").update(text).digest("hex").slice(0, 32)}`
}

function placeTerm(log: number): string {
  return `p${log}`
}

/** Reports whether an error says that the index is damaged, and not the store. */
function isIndexFault(error: unknown): boolean {
  return sqlFault(error) === "damaged" || /fts5|no such table/.test(String(error))
}
