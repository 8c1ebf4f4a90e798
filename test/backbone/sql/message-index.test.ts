import { copyFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { expect, it } from "vitest"
import { type MessageQuery, searchEntries } from "../../../src/backbone/message-search.js"
import { MessageIndex } from "../../../src/backbone/sql/message-index.js"
import { Sql } from "../../../src/backbone/sql/sql.js"
import { SqlStore } from "../../../src/backbone/sql/sql-store.js"
import type { StoreOp, StoreResult } from "../../../src/backbone/sql/worker-protocol.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const startTs = 1_800_000_000_000
const retention = { maxEntries: 5_000, whenFull: "drop-oldest" } as const

/** A store in a directory, with shortcuts for the operations of a search. */
class Store {
  readonly dir: string
  readonly #store: SqlStore
  #count = 0

  constructor(dir = temporaryDirectory()) {
    this.dir = dir
    this.#store = new SqlStore({ dir, create: true, check: true, ts: 0 })
  }

  run<Op extends StoreOp>(op: Op): StoreResult<Op["op"]> {
    const [answer] = this.#store.apply([op]).answers
    if (answer?.ok !== true) throw new Error(JSON.stringify(answer))
    return answer.value as StoreResult<Op["op"]>
  }

  say(
    key: string,
    content: string,
    others: { ts?: number; id?: string; in_reply_to?: string; from?: string } = {},
  ) {
    const {
      ts = startTs + this.#count++,
      id = `x.${this.#count++}`,
      from = "@00000000000000b0",
      ...rest
    } = others
    const value = JSON.stringify({
      type: "MSG",
      from,
      name: "bob",
      to: `#${key}`,
      content,
      ts,
      msg_id: id,
      ...rest,
    })
    this.run({ op: "append", family: "durable", key, id, value, digest: undefined, ts, retention })
  }

  index(): void {
    while (this.run({ op: "index", families: ["durable"] }));
  }

  search(query: Partial<MessageQuery>) {
    return this.run({
      op: "search",
      logs: ["a", "b"].map((key) => ({ family: "durable", key, sinceMs: -Infinity })),
      filter: {},
      limit: 100,
      maxBytes: 1e9,
      ...query,
    })
  }

  texts(query: Partial<MessageQuery>): string[] {
    return this.search(query).entries.map(({ value }) => (JSON.parse(value) as { content: string }).content)
  }

  /** Copies the files, as a crash would leave them. @returns the directory */
  copy(): string {
    const dir = temporaryDirectory()
    for (const name of ["store.db", "store.db-wal"]) copyFileSync(join(this.dir, name), join(dir, name))
    return dir
  }
}

/** Opens the index of a copied store on a connection that can alter it. */
function openIndex(store: Store, sql: string) {
  const file = new Sql(join(store.copy(), "store.db"))
  file.exec(sql)
  MessageIndex.create(file)
  const index = new MessageIndex(file, new Set())
  const catchUp = () => {
    while (index.catchUp({ families: ["durable"] }));
  }
  const find = (text: string) =>
    index
      .search({
        logs: [{ family: "durable", key: "a", sinceMs: 0 }],
        filter: { text },
        limit: 9,
        maxBytes: 1e6,
      })
      .entries.map(({ value }) => (JSON.parse(value) as { content: string }).content)
  return { file, catchUp, find }
}

it("never finds what was dropped, and removes its words from the index", () => {
  const store = new Store()
  store.say("a", "secret word")
  store.index()
  store.run({ op: "trim", family: "durable", key: "a", seq: Number.MAX_SAFE_INTEGER })
  expect(store.texts({ filter: { text: "secret" } })).toEqual([])
  store.index()
  expect(store.search({}).end).toBe(0)
  const { file } = openIndex(store, "create virtual table words using fts5vocab('message', 'row')")
  expect(file.all("select term from words")).toEqual([])
})

it("finds only in the logs that are named, from the time that is named", () => {
  const store = new Store()
  store.say("a", "early", { ts: startTs })
  store.say("a", "late", { ts: startTs + 10 })
  store.say("c", "hidden")
  store.index()
  expect(store.texts({})).toEqual(["early", "late"])
  const logs = [{ family: "durable", key: "a", sinceMs: startTs + 10 }]
  expect(store.texts({ logs })).toEqual(["late"])
  expect(store.texts({ logs: [] })).toEqual([])
})

it("indexes the messages of a store that was written without an index", () => {
  const older = new Store()
  older.say("a", "old news")
  const { catchUp, find } = openIndex(older, "drop table message; drop table found")
  catchUp()
  expect(find("news")).toEqual(["old news"])
})

it("makes a damaged index anew", () => {
  const store = new Store()
  store.say("a", "one")
  store.say("a", "another one")
  store.index()
  const { catchUp, find } = openIndex(store, "delete from message_data where id > 10")
  expect(find("one")).toEqual([])
  catchUp()
  expect(find("one")).toEqual(["one", "another one"])
})

it("goes on where it was when the process was killed", () => {
  const store = new Store()
  store.say("a", "first one")
  store.index()
  store.say("a", "second one")
  const after = new Store(store.copy())
  after.index()
  expect(after.texts({ filter: { text: "one" } })).toEqual(["first one", "second one"])
})

it("finds everything of a millisecond with more messages than it has positions for", () => {
  const store = new Store()
  for (let i = 0; i < 1_100; i++) store.say("a", `n${i}`, { ts: startTs })
  store.say("a", "later", { ts: startTs + 1 })
  store.index()
  expect(store.texts({ limit: 2_000 })).toHaveLength(1_101)
})

const message = fc.record({
  key: fc.constantFrom("a", "b", "c"),
  content: fc.array(fc.constantFrom("red", "rest", "green", "端口", "x"), { minLength: 1, maxLength: 3 }),
  wait: fc.nat(2),
  replyTo: fc.option(fc.nat(20), { nil: undefined }),
  from: fc.constantFrom("@00000000000000b0", "@00000000000000c0"),
})
const question = fc.record(
  {
    filter: fc.record(
      {
        text: fc.constantFrom("re", "red", "green red", "端", '"red green"'),
        from: fc.constantFrom(["@00000000000000b0"], ["@bob"]),
        since: fc.nat(10).map((ms) => startTs + ms),
        until: fc.nat(20).map((ms) => startTs + ms),
      },
      { requiredKeys: [] },
    ),
    thread: fc.nat(20).map((n) => `x.${n}`),
    limit: fc.integer({ min: 1, max: 5 }),
  },
  { requiredKeys: [] },
)

it("finds the same as reading everything, page by page in both directions", () => {
  const store = new Store()
  fc.assert(
    fc.property(
      fc.array(message, { maxLength: 20 }),
      fc.array(question, { maxLength: 5 }),
      (messages, questions) => {
        store.run({ op: "trim", family: "durable", key: "a", seq: Number.MAX_SAFE_INTEGER })
        store.run({ op: "trim", family: "durable", key: "b", seq: Number.MAX_SAFE_INTEGER })
        store.run({ op: "trim", family: "durable", key: "c", seq: Number.MAX_SAFE_INTEGER })
        store.run({ op: "sweep", idsBeforeMs: Number.MAX_SAFE_INTEGER })
        let ts = startTs
        for (const [n, { key, content, wait, replyTo, from }] of messages.entries()) {
          ts += wait
          const reply = replyTo === undefined ? {} : { in_reply_to: `x.${replyTo}` }
          store.say(key, content.join(" "), { ts, id: `x.${n}`, from, ...reply })
        }
        store.index()
        const all = ["a", "b"].flatMap((key) =>
          store
            .run({ op: "read", family: "durable", key, after: 0, limit: 1_000, oldestMs: -1 })
            .map((entry) => ({ ...entry, family: "durable" })),
        )
        const logs = ["a", "b"].map((key) => ({ family: "durable", key, sinceMs: -Infinity }))
        for (const each of questions) {
          const base = { logs, filter: {}, maxBytes: 1e9, limit: 3, ...each }
          const expected = searchEntries(all, { ...base, limit: 1_000 }).entries.map(({ value }) => value)
          // Threads that run through another log are found by the index only.
          const isWhole = base.thread === undefined || messages.every(({ key }) => key !== "c")
          if (!isWhole) continue
          const falling: string[] = []
          for (let before = Number.MAX_SAFE_INTEGER, more = true; more; ) {
            const page = store.search({ ...base, before })
            falling.unshift(...page.entries.map(({ value }) => value))
            ;[before, more] = [page.next, page.hasMore]
          }
          const rising: string[] = []
          for (let after = 0, more = true; more; ) {
            const page = store.search({ ...base, after })
            rising.push(...page.entries.map(({ value }) => value))
            ;[after, more] = [page.next, page.hasMore]
          }
          expect([...falling].sort()).toEqual([...expected].sort())
          expect(rising).toEqual(falling)
        }
      },
    ),
    { numRuns: 25 },
  )
})
