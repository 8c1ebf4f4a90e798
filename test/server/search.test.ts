import { describe, expect, it } from "vitest"
import { formatDidKey } from "../../src/identity/keys.js"
import { signModeration } from "../../src/identity/moderation.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import { LastingEngine } from "../kit/engine.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

const [chief, member] = [generateKeyPair(), generateKeyPair()]
const operators = [formatDidKey(chief.publicKey)]

async function ask({ wire }: TestAgent, query: object = {}) {
  return (await wire.ask({ type: "LIST_MESSAGES", ...query })) as unknown as {
    readonly type: string
    readonly list: readonly { readonly content: string; readonly seq?: number; readonly msg_id: string }[]
    readonly next: number
    readonly end: number
    readonly more?: true
    readonly code?: string
  }
}

async function find(agent: TestAgent, query: object = {}): Promise<string[]> {
  return (await ask(agent, query)).list.map(({ content }) => content)
}

async function say({ wire }: TestAgent, to: string, content: string, others: object = {}): Promise<string> {
  const ack = await wire.ask({ type: "MSG", to, content, ...others })
  return (ack as { msg_id?: string }).msg_id ?? JSON.stringify(ack)
}

describe("a search", () => {
  const start = () => TestRelay.start({ operators })

  it("finds messages by words, sender, channel, kind, time and conversation", async () => {
    const relay = await start()
    const ann = await relay.enter("ann", "#general")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#build" })
    const bob = await relay.enter("bob", "#general")
    const question = await say(ann, "#general", "who broke the build?", { kind: "request" })
    relay.clock.advance(1_000)
    await say(bob, "#general", "not me", { in_reply_to: question })
    relay.clock.advance(1)
    await say(ann, "#build", "the build is broken", { kind: "status" })
    expect(await find(ann)).toEqual(["who broke the build?", "not me", "the build is broken"])
    expect(await find(ann, { text: "broke build" })).toEqual(["who broke the build?", "the build is broken"])
    expect(await find(ann, { from: "@bob" })).toEqual(["not me"])
    expect(await find(ann, { from: bob.id })).toEqual(["not me"])
    expect(await find(ann, { channel: "#build" })).toEqual(["the build is broken"])
    expect(await find(ann, { kind: "request" })).toEqual(["who broke the build?"])
    expect(await find(ann, { since: relay.clock.now() - 1 })).toEqual(["not me", "the build is broken"])
    expect(await find(ann, { until: relay.clock.now() - 1 })).toEqual(["who broke the build?"])
    const [answer] = (await ask(ann, { text: "not me" })).list
    expect(await find(ann, { thread: answer?.msg_id })).toEqual(["who broke the build?", "not me"])
    expect(await find(ann, { from: "@nobody" })).toEqual([])
  })

  it("returns pages in both directions, and says what is new", async () => {
    const relay = await start()
    const ann = await relay.enter("ann", "#general")
    for (const content of ["a", "b", "c"]) await say(ann, "#general", content)
    const newest = await ask(ann, { limit: 2 })
    expect(newest).toMatchObject({ list: [{ content: "b" }, { content: "c" }], more: true })
    expect(await find(ann, { limit: 2, before: newest.next })).toEqual(["a"])
    const oldest = await ask(ann, { limit: 2, after: 0 })
    expect(oldest).toMatchObject({
      list: [{ content: "a", seq: expect.any(Number) }, { content: "b" }],
      more: true,
    })
    expect(await find(ann, { limit: 2, after: oldest.next })).toEqual(["c"])
    relay.clock.advance(1)
    await say(ann, "#general", "d")
    expect(await find(ann, { after: newest.end })).toEqual(["d"])
    expect(await ask(ann, { before: 1, after: 1 })).toMatchObject({ code: "INVALID_MSG" })
  })

  it("finds nothing of a channel that the agent may not see, and says that there is none", async () => {
    const relay = await start()
    const ann = await relay.enter("ann")
    const bob = await relay.enter("bob")
    await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#secret", invite_only: true })
    await say(ann, "#secret", "hidden")
    expect(await find(ann, { text: "hidden" })).toEqual(["hidden"])
    expect(await find(bob, { text: "hidden" })).toEqual([])
    expect(await ask(bob, { channel: "#secret" })).toMatchObject({ code: "CHANNEL_NOT_FOUND" })
    expect(await find(bob, { thread: (await ask(ann)).list[0]?.msg_id })).toEqual([])
  })

  it("finds of a channel what a newcomer would get; an operator finds all", async () => {
    const relay = await start()
    const op = await relay.enterAs(chief, "op", "#general")
    const ann = await relay.enter("ann", "#general")
    await say(ann, "#general", "old")
    relay.clock.advance(120_000)
    await say(ann, "#general", "new")
    await op.wire.ask({ type: "SET_CHANNEL", channel: "#general", window: "1m" })
    expect(await find(ann)).toEqual(["new"])
    await op.wire.ask({ type: "SET_CHANNEL", channel: "#general", replay: false })
    expect(await find(ann)).toEqual([])
    expect(await find(op)).toEqual(["old", "new"])
  })

  it("finds direct messages that wait for the agent, and never those of others", async () => {
    const relay = await start()
    const ann = await relay.enter("ann")
    const bob = await relay.enterAs(member, "bob")
    await say(ann, bob.id, "for bob")
    expect(await find(bob, { text: "bob" })).toEqual(["for bob"])
    expect(await find(ann, { text: "bob" })).toEqual([])
    expect(await find(await relay.enterAs(chief, "op"), { text: "bob" })).toEqual([])
  })

  it("finds nothing of a channel whose history an operator has cleared", async () => {
    const relay = await start()
    const op = await relay.enterAs(chief, "op", "#general")
    await say(op, "#general", "a password")
    const statement = signModeration(
      {
        ...{ id: "action-clear-1", aud: relay.relay.serverId, ts: relay.clock.now() },
        ...{ action: "clear", channel: "#general", reason: "x" },
      },
      chief,
    )
    expect(await op.wire.ask({ type: "MODERATE", statement })).toMatchObject({ state: "done" })
    expect(await find(op, { text: "password" })).toEqual([])
  })
})

it("reads the newest messages of a storage that has no index, and says if there were more", async () => {
  const backbone = (await LastingEngine.make({ isShared: true })).lend()
  const relay = await TestRelay.start({ backbone })
  const ann = await relay.enter("ann", "#general")
  await say(ann, "#general", "stored")
  expect(await ask(ann, { text: "stor" })).toMatchObject({ list: [{ content: "stored", seq: 1 }] })
  expect(await ask(ann)).not.toHaveProperty("partial")
  const logs = await backbone.logs("durable", { maxEntries: 20_000, whenFull: "drop-oldest" })
  const text = JSON.stringify({
    type: "MSG",
    from: ann.id,
    name: "ann",
    to: "#general",
    content: "x",
    ts: 1,
    hops: 0,
  })
  for (let n = 0; n < 10_000; n++)
    await logs.append("general", `y.${n}`, text.replace("}", `,"msg_id":"y.${n}"}`))
  expect(await ask(ann, { channel: "#general", text: "stored" })).toMatchObject({ list: [], partial: true })
})

it("charges several requests for a search", async () => {
  const relay = await TestRelay.start({ limits: { requestsPerSecond: 1, requestBurst: 12 } })
  const ann = await relay.enter("ann")
  const answers = await Promise.all([1, 2, 3, 4].map(() => ask(ann)))
  expect(answers.filter(({ code }) => code === "RATE_LIMITED")).not.toEqual([])
})
