import { describe, expect, it } from "vitest"
import { rowKey } from "../../src/backbone/queue/queued-tasks.js"
import { agentIdOf } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import { isReadableEntry, isReadableRow } from "../../src/server/stored-rows.js"
import { LastingEngine } from "../kit/engine.js"
import { TestRelay } from "../kit/relay.js"

/** Texts that no relay writes. */
const texts = [
  "",
  "x",
  "null",
  "7",
  "[]",
  "{}",
  '"v"',
  '{"v":1',
  '{"v":1}',
  '{"v":1,"invite_only":1,"durable":true,"settings":null,"invited":{}}',
  '{"v":1,"parties":["@a"],"statements":[null],"names":5}',
  '{"v":1,"parties":["@0123456789abcdef","@0123456789abcdee"],"state":"pending","statements":[{"type":"PROPOSAL","ts":1}],"names":{}}',
  '{"#plans":{"from":"0","at":null}}',
  '{"id":"0123456789abcdef.t","topic":"dev","value":"no JSON","attempt":0,"pushedTs":0}',
  '{"id":"","topic":"dev","value":"{}","attempt":1,"pushedTs":0,"worker":"w","leaseUntil":9e15}',
  '{"type":"MSG"}',
  '{"type":"MSG","from":7,"content":{}} ',
  '{"type":"WELCOME"}',
  '{"type":"DELIVERY","msg_id":[]}',
  '{"type":"PROPOSAL","from":5}',
  `{"name":${"[".repeat(5_000)}`,
]
const retention = { maxEntries: 1_000, whenFull: "drop-oldest" } as const
const [ann, bob] = [generateKeyPair(), generateKeyPair()]
const [annKey, bobKey] = [ann, bob].map(({ publicKey }) => agentIdOf(publicKey).slice(1)) as [string, string]

/** Writes every text into every table and log that a relay reads. */
async function poison(engine: LastingEngine, when: string): Promise<void> {
  const store = engine.lend()
  const keys: Record<string, string[]> = {
    agent: [annKey, "0123456789abcdef"],
    bookmark: [annKey, bobKey],
    channel: ["general", "plans", "lost"],
    guard: ["state", "reset"],
    proposal: ["deal_12345"],
    relay: ["r1"],
    setting: ["channels"],
    task: [rowKey("0123456789abcdef.t"), "k"],
  }
  for (const [name, rows] of Object.entries(keys)) {
    const table = await store.table(name)
    for (const text of texts) for (const key of rows) await table.put(key, text)
  }
  for (const [family, names] of [
    ["durable", ["general", "plans", "lost"]],
    ["inbox", [annKey, bobKey]],
  ] as const) {
    const logs = await store.logs(family, retention)
    for (const name of names) {
      for (const [index, text] of texts.entries()) await logs.append(name, `${when}.${index}`, text)
    }
  }
}

/** Uses every table and log, and returns the answers. */
async function use(relay: TestRelay): Promise<string[]> {
  const a = await relay.enterAs(ann, "ann", "#general")
  const b = await relay.enterAs(bob, "bob", "#general")
  const asked: string[] = []
  for (const frame of [
    { type: "CREATE_CHANNEL", channel: "#plans", durable: true },
    { type: "JOIN", channel: "#plans" },
    { type: "JOIN", channel: "#lost" },
    { type: "SET_CHANNEL", channel: "#general", description: "d" },
    { type: "MSG", to: "#general", content: "to all" },
    { type: "MSG", to: b.id, content: "to bob" },
    { type: "MSG", to: "+dev", content: "a task" },
    { type: "PENDING", of: a.id },
    { type: "PENDING" },
    { type: "LIST_CHANNELS" },
    { type: "LIST_AGENTS" },
    { type: "LIST_PROPOSALS" },
    { type: "LIST_PROPOSALS", proposal: "deal_12345" },
    { type: "LIST_GUARDS" },
  ]) {
    const answer = await a.wire.answerTo({ ...frame, id: `${a.wire.socket.localPort}.${asked.length}` })
    asked.push(answer.type === "ERROR" ? answer.code : answer.type)
  }
  const received = await b.wire.settle()
  const said = received.flatMap((message) => (message.type === "MSG" ? message.content : []))
  expect(said).toEqual(expect.arrayContaining(["to all", "to bob"]))
  return asked
}

describe("a store with malformed rows", () => {
  it.each([{ isShared: false }, { isShared: true }])(
    "ends no relay and no request: %o",
    async ({ isShared }) => {
      const engine = await LastingEngine.make({ isShared })
      await poison(engine, "before")
      const relay = await TestRelay.start({ backbone: engine.lend() })
      const answers = await use(relay)
      await poison(engine, "while it runs")
      const later = await use(relay)
      await relay.stop()
      const again = await use(await TestRelay.start({ backbone: engine.lend() }))

      expect([...answers, ...later, ...again]).not.toContain("INTERNAL")
      expect(relay.log.filter((line) => line.startsWith("unexpected"))).toEqual([])
      expect(relay.log).toContain("store: the row of channel #plans is malformed and is left out")
    },
  )

  it("keeps the name of a channel whose row is malformed reserved", async () => {
    const engine = await LastingEngine.make()
    const table = await engine.lend().table("channel")
    await table.put("secret", "{")
    const relay = await TestRelay.start({ backbone: engine.lend() })
    const { wire } = await relay.enter("eve")
    const created = await wire.ask({ type: "CREATE_CHANNEL", channel: "#secret" })
    expect(created).toMatchObject({ type: "ERROR", code: "CHANNEL_EXISTS" })
  })

  it("is found malformed text by text, except in tables this version does not know", () => {
    for (const text of texts) {
      for (const table of ["agent", "channel", "proposal", "task"]) {
        expect([table, text, isReadableRow(table, "k", text)]).toEqual([table, text, false])
      }
      for (const family of ["inbox", "durable"]) expect(isReadableEntry(family, text)).toBe(false)
    }
    expect(isReadableRow("from-the-future", "k", "x")).toBe(true)
    expect(isReadableRow("channel", "k", '{"v":2}')).toBe(true)
  })
})

describe("an error of the relay that nobody expected", () => {
  it("ends one request with INTERNAL, and the session continues", async () => {
    const engine = await LastingEngine.make()
    const lent = engine.lend()
    const table = lent.table.bind(lent)
    lent.table = async (name) => {
      const opened = await table(name)
      if (name !== "bookmark") return opened
      return { ...opened, get: () => Promise.reject(new TypeError("x is undefined")) }
    }
    const relay = await TestRelay.start({ backbone: lent })
    const a = await relay.enterAs(ann, "ann")
    const created = await a.wire.ask({ type: "CREATE_CHANNEL", channel: "#plans", durable: true })
    expect(created).toMatchObject({ type: "ERROR", code: "INTERNAL" })
    expect(await a.wire.ask({ type: "MSG", to: "#general", content: "still here" })).toMatchObject({
      type: "ACK",
    })
    expect(relay.log.filter((line) => line.startsWith("unexpected error in CREATE_CHANNEL"))).toHaveLength(1)
  })
})
