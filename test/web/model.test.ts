import { describe, expect, it } from "vitest"
import { Conversations } from "../../src/web/conversations.js"
import { type AgentFacts, Model } from "../../src/web/model.js"
import { matchesSearch, parseSearch } from "../../src/web/search.js"
import type { DealRow, GuardRow, MessageRow, TaskRow } from "../../src/web/shapes.js"

const me = { id: "@me", name: "me", isOperator: true, canWrite: true, hasKey: true }
const relay = { url: "ws://x", name: "x", isOnline: true, sinceTs: 0 }

function makeModel() {
  const clock = { now: 1_000 }
  let changes = 0
  const model = new Model(
    { me, relay },
    () => clock.now,
    () => changes++,
  )
  return { model, clock, changes: () => changes }
}

let count = 0
function message(facts: Partial<MessageRow> = {}): MessageRow {
  const id = `m${++count}`
  return {
    ...{ id, conversation: "#general", from: "@bob", name: "bob", text: "hello", ts: 2_000 + count },
    ...{ mentions: [], parts: 0, isMine: false, isForMe: false, stages: [], verified: true },
    ...facts,
  }
}

const bob: AgentFacts = { id: "@bob", name: "bob", state: "idle", claims: 0 }
const kindsOf = (model: Model) => model.snapshot().needs.map(({ kind }) => kind)

describe("conversations", () => {
  it("keep the newest messages of each and of all, whatever comes", () => {
    const all = new Conversations(0)
    for (let seq = 1; seq <= 22_000; seq++) {
      const conversation = `#c${seq % 20}`
      all.add(message({ conversation, seq, ts: seq }), conversation)
    }
    expect(all.size).toBe(20_000)
    for (let seq = 22_001; seq <= 24_100; seq++)
      all.add(message({ conversation: "#one", seq, ts: seq }), "#one")
    expect(all.row("#one")?.count).toBe(2_000)
    expect(all.size).toBeLessThanOrEqual(20_000)
    expect(all.page("#one", undefined, 1).messages[0]).toMatchObject({ seq: 24_100 })
  })

  it("stay within their characters", () => {
    const all = new Conversations(0)
    for (let ts = 1; ts <= 300; ts++) all.add(message({ ts, text: "x".repeat(256 * 1024) }), "#general")
    expect(all.size).toBeLessThanOrEqual(128)
  })

  it("drop the quietest thread when there are too many", () => {
    const all = new Conversations(0)
    for (let n = 0; n < 1_100; n++) all.add(message({ conversation: `@a${n}`, ts: n + 1 }), `a${n}`)
    expect([...all.keys()]).toHaveLength(1_000)
    expect(all.row("@a0")).toBeUndefined()
    expect(all.row("@a1099")).toBeDefined()
  })

  it("put a late message where its number says, and pages go back from any message", () => {
    const all = new Conversations(0)
    for (const seq of [1, 2, 4, 5, 3]) all.add(message({ id: `s${seq}`, seq }), "#general")
    expect(all.page("#general", undefined, 2)).toMatchObject({
      messages: [{ id: "s4" }, { id: "s5" }],
      more: true,
    })
    expect(all.page("#general", "s4", 9)).toMatchObject({
      messages: [{ id: "s1" }, { id: "s2" }, { id: "s3" }],
      more: false,
    })
    expect(all.page("#general", "unknown", 9)).toEqual({ messages: [], more: false })
  })

  it("count what others wrote after the position, and what of it is for the person", () => {
    const all = new Conversations(100)
    all.add(message({ ts: 50 }), "#general")
    all.add(message({ ts: 101, isForMe: true }), "#general")
    all.add(message({ ts: 102, isMine: true }), "#general")
    all.add(message({ ts: 103 }), "#general")
    expect(all.row("#general")).toMatchObject({ unread: 2, mentions: 1 })
    all.markRead("#general", 102)
    expect(all.row("#general")).toMatchObject({ unread: 1, mentions: 0 })
    expect(all.markRead("#general", 101)).toBe(false)
  })
})

describe("the model", () => {
  it("reports a change once until it is taken, with the rows that changed only", () => {
    const { model, changes } = makeModel()
    model.setAgents([bob, { ...bob, id: "@cy", name: "cy" }])
    model.setTasks([])
    expect(changes()).toBe(1)
    expect(model.take()?.agents).toHaveLength(2)
    model.setAgents([bob, { ...bob, id: "@cy", name: "cy", state: "working" }])
    expect(model.take()).toMatchObject({ agents: [{ id: "@cy", state: "working" }] })
    model.setAgents([bob])
    expect(model.take()).toMatchObject({ goneAgents: ["@cy"] })
    model.setAgents([bob])
    expect(model.take()).toBeUndefined()
  })

  it("sends messages one by one, and above a number only that there are many", () => {
    const { model } = makeModel()
    const first = message()
    model.addMessage(first, "#general", [])
    expect(model.addMessage(first, "#general", [])).toBe(false)
    expect(model.take()).toMatchObject({ messages: [{ id: first.id }] })
    for (let n = 0; n < 400; n++) model.addMessage(message(), "#general", [])
    const change = model.take()
    expect(change).toMatchObject({ manyMessages: true, conversations: [{ key: "#general", unread: 401 }] })
    expect(change).not.toHaveProperty("messages")
  })

  it("adds each stage of delivery once", () => {
    const { model } = makeModel()
    const own = message({ isMine: true })
    model.addMessage(own, "#general", [])
    model.take()
    const stage = { state: "mirrored", by: "@bob", ts: 3_000 }
    model.addStage(own.id, stage)
    model.addStage(own.id, stage)
    model.addStage("unknown", stage)
    expect(model.take()).toMatchObject({ messages: [{ id: own.id, stages: [stage] }] })
    expect(model.take()).toBeUndefined()
  })

  it("counts what an agent has not answered, and the tokens that it wrote within an hour", () => {
    const { model, clock } = makeModel()
    model.setAgents([bob])
    clock.now = 10_000
    model.addMessage(message({ from: "@cy", ts: 9_000 }), "#general", ["@bob"])
    expect(model.agent("@bob")).toMatchObject({ unanswered: 1, tokens: 0 })
    model.addMessage(message({ text: "x".repeat(400), ts: 9_500 }), "#general", [])
    expect(model.agent("@bob")).toMatchObject({ unanswered: 0, tokens: 100 })
    clock.now += 7_200_000
    expect(model.agent("@bob")).toMatchObject({ tokens: 0 })
    expect(model.snapshot().traffic).toContainEqual({ from: "@cy", to: "@bob", messages: 1, tokens: 2 })
  })

  it("does not grow with changes", () => {
    const { model } = makeModel()
    model.setAgents(Array.from({ length: 1_500 }, (_, n) => ({ ...bob, id: `@a${n}`, name: `a${n}` })))
    expect(model.snapshot().agents).toHaveLength(1_000)
    model.setAgents([bob])
    for (let n = 0; n < 3_000; n++) {
      const [from, to] = [`@a${n % 60}`, `@a${(n * 7) % 50}`]
      model.addMessage(message({ conversation: "#one", seq: n, from }), "#one", [to])
      if (n % 500 === 0) model.take()
    }
    const { agents, conversations, traffic } = model.snapshot()
    expect(agents).toHaveLength(1)
    expect(conversations).toHaveLength(1)
    expect(traffic).toHaveLength(200)
    expect(model.conversations.size).toBe(2_000)
  })
})

describe("what needs the person", () => {
  const task: TaskRow = {
    task: "@bob/1",
    role: "Human",
    from: "@bob",
    name: "bob",
    content: "may I?",
    attempt: 0,
    ts: 500,
  }
  const stop: GuardRow = { layer: "same", scope: "@bob", used: 3, limit: 3, tripped: true }
  const deal: DealRow = {
    ...{
      id: "prop_0001",
      state: "pending",
      task: "work",
      expiresTs: 9e9,
      lastTs: 700,
      actions: ["ACCEPT", "REJECT"],
    },
    parties: [
      { id: "@bob", name: "bob" },
      { id: "@me", name: "me" },
    ],
    statements: [{ id: "s", type: "PROPOSAL", from: "@bob", name: "bob", ts: 700, text: "work" }],
  }

  it("is listed with the oldest first", () => {
    const { model } = makeModel()
    model.setAgents([{ ...bob, state: "waiting", activity: "the password", sinceTs: 600 }])
    model.setTasks([
      task,
      { ...task, task: "@bob/2", role: "tester" },
      { ...task, task: "@bob/3", worker: "@cy" },
    ])
    model.setDeals([deal])
    model.setGuards([stop, { ...stop, scope: "@cy", tripped: false }])
    expect(kindsOf(model)).toEqual(["task", "waiting", "proposal", "guard"])
    model.setMe({ ...me, isOperator: false })
    expect(kindsOf(model)).toEqual(["task", "waiting", "proposal"])
  })

  it("is a dispute for its other party, and for an operator if it is not its own", () => {
    const { model } = makeModel()
    const dispute = { id: "d", type: "DISPUTE", from: "@bob", name: "bob", ts: 800, text: "no" } as const
    const disputed: DealRow = {
      ...deal,
      state: "disputed",
      actions: ["DISPUTE"],
      statements: [...deal.statements, dispute],
    }
    model.setDeals([disputed])
    expect(kindsOf(model)).toEqual(["dispute"])
    model.setDeals([
      { ...disputed, statements: [...disputed.statements, { ...dispute, id: "e", from: "@me" }] },
    ])
    expect(kindsOf(model)).toEqual([])
    const others = [
      { id: "@bob", name: "bob" },
      { id: "@cy", name: "cy" },
    ]
    model.setDeals([{ ...disputed, parties: others }])
    expect(kindsOf(model)).toEqual(["dispute"])
    model.setMe({ ...me, isOperator: false })
    expect(kindsOf(model)).toEqual([])
  })

  it("is a question until it is answered or seen to, and no notice or answer", () => {
    const { model } = makeModel()
    const asked = message({ conversation: "@bob", isForMe: true, kind: "request" })
    model.addMessage(asked, "bob", ["@me"])
    model.addMessage(message({ isForMe: true, kind: "inform" }), "#general", [])
    model.addMessage(message({ isForMe: true }), "#general", [])
    expect(kindsOf(model)).toEqual(["direct", "asked"])
    model.addMessage(message({ conversation: "@bob", isMine: true, re: asked.id }), "bob", [])
    expect(kindsOf(model)).toEqual(["asked"])
    const own = message({ isMine: true })
    model.addMessage(own, "#general", [])
    expect(kindsOf(model)).toEqual([])
    model.addMessage(message({ isForMe: true, re: own.id }), "#general", [])
    expect(kindsOf(model)).toEqual([])
    const again = message({ isForMe: true, kind: "request", re: own.id })
    model.addMessage(again, "#general", [])
    expect(kindsOf(model)).toEqual(["asked"])
    model.settle(again.id)
    expect(kindsOf(model)).toEqual([])
  })

  it("is an agent that was proven to wake and is no longer, until it is proven again", () => {
    const { model } = makeModel()
    const wake = { method: "claude-socket", provenTs: 1, expiresTs: 2, latencyMs: 3 }
    model.setAgents([bob])
    expect(kindsOf(model)).toEqual([])
    model.setAgents([{ ...bob, wake }])
    model.setAgents([bob])
    expect(kindsOf(model)).toEqual(["wake"])
    model.setAgents([{ ...bob, state: "offline" }])
    expect(kindsOf(model)).toEqual([])
    model.setAgents([{ ...bob, wake }])
    expect(kindsOf(model)).toEqual([])
  })

  it("is a mailbox that fills up, and claims of two agents that mean the same file", () => {
    const { model } = makeModel()
    model.setAgents([bob])
    model.setMail("@bob", 200, 5)
    const claim = { repo: "r", owner: "@bob", name: "bob", seconds: 1, ts: 1, expires_ts: 9e9, sig: "" }
    const other = { ...claim, owner: "@cy", name: "cy" }
    model.setClaims([
      { ...claim, paths: ["src/**"] },
      { ...other, paths: ["doc/x.md"] },
    ])
    expect(kindsOf(model)).toEqual(["mailbox"])
    model.setClaims([
      { ...claim, paths: ["src/**"] },
      { ...other, paths: ["src/a.ts"] },
    ])
    expect(kindsOf(model)).toEqual(["claims", "mailbox"])
    model.setClaims([
      { ...claim, paths: ["src/**"] },
      { ...other, paths: ["src/a.ts"], released: ["src/a.ts"] },
    ])
    expect(kindsOf(model)).toEqual(["mailbox"])
  })
})

describe("a search", () => {
  const now = Date.UTC(2026, 11, 1)
  const found = (text: string, facts: Partial<MessageRow>) =>
    matchesSearch(message(facts), parseSearch(text, now))

  it("combines words and filters, without case and without the sign of a name", () => {
    const facts = {
      text: "The Build is green",
      name: "Bo",
      from: "@b1",
      conversation: "#build",
      kind: "status",
      ts: now - 3_600_000,
    }
    for (const text of [
      "build green",
      '"is green"',
      "from:bo",
      "from:@b1",
      "in:build",
      "in:#Build",
      "kind:status build",
      "after:2h",
      "before:30m",
      "before:2026-12-01",
    ])
      expect([text, found(text, facts)]).toEqual([text, true])
    for (const text of [
      "red",
      '"green is"',
      "from:cy",
      "in:#general",
      "kind:request",
      "before:2h",
      "after:30m",
      "before:2026-11-01",
    ])
      expect([text, found(text, facts)]).toEqual([text, false])
  })

  it("takes a filter without a meaning as a word", () => {
    expect(parseSearch("before:noon from: a:b", now).words).toEqual(["before:noon", "from:", "a:b"])
  })
})
