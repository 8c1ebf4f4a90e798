import { describe, expect, it } from "vitest"
import type { Row, Table } from "../../../src/backbone/backbone.js"
import { ChatError } from "../../../src/protocol/errors.js"
import type { AgentId, Nick } from "../../../src/protocol/names.js"
import { parseRecord, type RosterRecord } from "../../../src/server/roster/roster-record.js"
import { RosterStore } from "../../../src/server/roster/roster-store.js"
import { until } from "../../kit/condition.js"
import { FakeClock } from "../../kit/fake-clock.js"

/** A table whose writes complete when the test releases them. */
class SlowTable implements Table {
  readonly written: (string | undefined)[] = []
  #answers: (() => void)[] = []
  isCut = false

  put(_key: string, value: string): Promise<number> {
    return this.#answer(value, 1)
  }
  delete(): Promise<boolean> {
    return this.#answer(undefined, true)
  }
  get(): Promise<Row | undefined> {
    return Promise.resolve(undefined)
  }
  rows(): Promise<Row[]> {
    return Promise.resolve([])
  }
  watch(): Promise<() => void> {
    return Promise.resolve(() => {})
  }

  get waiting(): number {
    return this.#answers.length
  }

  answerAll(): void {
    const answers = this.#answers
    this.#answers = []
    for (const answer of answers) answer()
  }

  #answer<T>(value: string | undefined, result: T): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#answers.push(() => {
        if (this.isCut) {
          reject(new ChatError("UNAVAILABLE", "cut off"))
          return
        }
        this.written.push(value)
        resolve(result)
      })
    })
  }
}

function recordOf(activity: string, id = "@0123456789abcdef"): RosterRecord {
  const facts = { id: id as AgentId, name: "bob" as Nick, status: "working", since: 1, seenTs: 1 } as const
  return { ...facts, activity, relay: "here", epoch: "1", channels: [] }
}

function start() {
  const clock = new FakeClock()
  const table = new SlowTable()
  const log: string[] = []
  const store = new RosterStore(table, clock, (line) => log.push(line))
  const activities = () =>
    table.written.map((text) => (text === undefined ? null : parseRecord("x", text)?.activity))
  return { clock, table, log, store, activities }
}

describe("RosterStore", () => {
  it("writes the changes of an agent together, and has at most one write per agent in progress", async () => {
    const { clock, table, store, activities } = start()
    store.put(recordOf("1"))
    store.put(recordOf("2"))
    expect(table.waiting).toBe(0)
    clock.advance(50)
    expect(table.waiting).toBe(1)
    store.put(recordOf("3"))
    store.put(recordOf("4"))
    clock.advance(500)
    expect(table.waiting).toBe(1)
    table.answerAll()
    await until("the next write is due", () => clock.pending.length > 0)
    clock.advance(50)
    table.answerAll()
    expect(activities()).toEqual(["2", "4"])
    store.put(recordOf("5"))
    store.remove("@0123456789abcdef" as AgentId)
    await until("the next write is due", () => clock.pending.length > 0)
    clock.advance(50)
    table.answerAll()
    expect(activities()).toEqual(["2", "4", null])
  })

  it("repeats a failed write later, with the record as it is then", async () => {
    const { clock, table, log, store, activities } = start()
    table.isCut = true
    store.put(recordOf("1"))
    clock.advance(50)
    table.answerAll()
    await until("the write is to be repeated", () => clock.pending.length > 0)
    store.put(recordOf("2"))
    clock.advance(1_000)
    table.answerAll()
    await until("the write is to be repeated", () => clock.pending.length > 0)
    table.isCut = false
    clock.advance(1_000)
    table.answerAll()
    expect(activities()).toEqual(["2"])
    expect(log).toHaveLength(1)
  })

  it("flush writes every pending record, but gives up at the first failure", async () => {
    const { table, store, activities } = start()
    store.put(recordOf("1"))
    store.put(recordOf("2", "@0123456789abcdee"))
    const flushed = store.flush()
    await until("two writes are in progress", () => table.waiting === 2)
    table.answerAll()
    await flushed
    expect(activities()).toEqual(["1", "2"])
    table.isCut = true
    store.put(recordOf("3"))
    const failed = store.flush()
    await until("a write is in progress", () => table.waiting === 1)
    table.answerAll()
    await failed
  })
})
