import { once } from "node:events"
import { describe, expect, it, onTestFinished } from "vitest"
import { systemClock } from "../../src/base/clock.js"
import { AgentChatClient, type AgentChatClientOptions, type ServerMessage } from "../../src/index.js"
import { type RelayOptions, startRelay } from "../../src/server/relay.js"
import { until } from "../kit/condition.js"
import { newIdentity } from "../kit/identity.js"

const unlimited = { ratePerSecond: 100_000, rateBurst: 100_000 }

async function relayUrl(options: Partial<RelayOptions> = {}): Promise<string> {
  const relay = await startRelay({
    port: 0,
    host: "127.0.0.1",
    clock: systemClock,
    log: () => {},
    limits: unlimited,
    ...options,
  })
  onTestFinished(() => relay.stop())
  return relay.url
}

async function connect(
  server: string,
  options: Partial<AgentChatClientOptions> = {},
): Promise<AgentChatClient> {
  const client = new AgentChatClient({ server, name: "bob", ...options })
  onTestFinished(() => client.disconnect())
  await client.connect()
  return client
}

function collect(client: AgentChatClient): ServerMessage<"MSG">[] {
  const messages: ServerMessage<"MSG">[] = []
  client.on("message", (message) => messages.push(message))
  return messages
}

describe("a client with a relay", () => {
  it("sends to a channel and reads its earlier messages", async () => {
    const url = await relayUrl()
    const alice = await connect(url, { name: "alice" })
    await alice.join("#general")
    const receipt = await alice.send("#general", "first")
    expect(receipt).toMatchObject({ seq: 1, isMember: true, isDuplicate: false })
    const bob = await connect(url)
    expect((await bob.join("#general")).agents).toContain(alice.agentId)
    const received = collect(bob)
    await alice.send("#general", "second")
    await until("both messages", () => received.length === 2)
    expect(received).toMatchObject([
      { from: alice.agentId, name: "alice", content: "first", replay: true, msg_id: receipt.id },
      { content: "second", seq: 2 },
    ])
  })

  it("proves its identity, and is displaced when it connects elsewhere", async () => {
    const url = await relayUrl()
    const identity = newIdentity()
    const first = await connect(url, { identity, reconnect: true })
    expect(first.agentId).toBe(identity.agentId)
    const displaced = once(first, "displaced")
    const second = await connect(url, { identity })
    expect(await displaced).toMatchObject([{ code: "SESSION_DISPLACED" }])
    expect([first.isConnected, second.isConnected]).toEqual([false, true])
  })

  it("gets messages from its absence once, and the sender gets a DELIVERY", async () => {
    const url = await relayUrl()
    const identity = newIdentity()
    await (await connect(url, { identity })).disconnect()
    const alice = await connect(url, { name: "alice", identity: newIdentity() })
    const receipt = await alice.dm(identity.agentId, "are you there?")
    const delivered = once(alice, "delivery")
    const received = collect(await connect(url, { identity }))
    expect(await delivered).toMatchObject([{ msg_id: receipt.id, by: identity.agentId }])
    expect(received).toMatchObject([{ content: "are you there?" }])
    const again = await connect(url, { identity })
    const receivedAgain = collect(again)
    await again.ping()
    expect(receivedAgain).toEqual([])
  })

  it("is answered in order and loses nothing when the relay delays it", async () => {
    const client = await connect(await relayUrl({ limits: { ratePerSecond: 10, rateBurst: 10 } }))
    const texts = Array.from({ length: 14 }, (_, i) => `${i}`)
    const answered: string[] = []
    const sent = texts.map(async (text) => {
      await client.send("#general", text)
      answered.push(text)
    })
    await Promise.all(sent)
    expect(answered).toEqual(texts)
  })

  it("gets RATE_LIMITED with the time to retry", async () => {
    const client = await connect(await relayUrl({ limits: { ratePerSecond: 0.1, rateBurst: 2 } }))
    await client.send("#general", "1")
    await client.send("#general", "2")
    const refused = client.send("#general", "3")
    await expect(refused).rejects.toMatchObject({
      code: "RATE_LIMITED",
      retryAfterMs: expect.any(Number) as number,
    })
  })

  it("keeps its session after a frame over the limit", async () => {
    const client = await connect(await relayUrl({ limits: { ...unlimited, frameBytes: 4_096 } }))
    await expect(client.send("#general", "x".repeat(100_000))).rejects.toMatchObject({ code: "INVALID_MSG" })
    expect(await client.send("#general", "short")).toMatchObject({ recipients: 0, isMember: false })
  })

  it("sends one message for two calls with the same id", async () => {
    const client = await connect(await relayUrl())
    const first = await client.send("#general", "x", { id: "once" })
    const second = await client.send("#general", "x", { id: "once" })
    expect(second).toEqual({ ...first, isDuplicate: true })
  })

  it("delivers the numbers and keys of parts exactly as they were sent", async () => {
    const server = await relayUrl()
    const [ann, bob] = [await connect(server, { name: "ann" }), await connect(server)]
    for (const client of [ann, bob]) await client.join("#general")
    const messages = collect(bob)
    const data = { 2: 9007199254740991, 10: -0.1, b: 1.7976931348623157e308, a: [5e-324, 1e21] }
    await ann.send("#general", "numbers", { parts: [{ kind: "data", data }] })
    await until("it has arrived", () => messages.length > 0)
    expect(JSON.stringify(messages[0]?.parts)).toBe(JSON.stringify([{ kind: "data", data }]))
  })

  it.each([
    ["NaN", { n: Number.NaN }, "parts[0].data.n"],
    ["a big integer", { list: [1n] }, "parts[0].data.list[0]"],
    ["a date", { day: new Date(0) }, "parts[0].data.day"],
    ["a hole", [1, undefined], "parts[0].data[1]"],
  ])("refuses %s in parts, which JSON would change, and names its path", async (_what, data, path) => {
    const client = await connect(await relayUrl())
    await expect(client.send("#general", "x", { parts: [{ kind: "data", data }] })).rejects.toMatchObject({
      code: "INVALID_MSG",
      message: expect.stringContaining(`${path}: `),
    })
  })

  it("refuses such a value in its card", async () => {
    const client = new AgentChatClient({
      server: await relayUrl(),
      name: "bob",
      card: { meta: { n: Infinity } },
    })
    onTestFinished(() => client.disconnect())
    await expect(client.connect()).rejects.toMatchObject({
      message: expect.stringContaining("card.meta.n: "),
    })
  })

  it.each([0, -1, Number.NaN, Infinity, 315_360_000_001])(
    "refuses a handshakeMs of %d by name",
    async (handshakeMs) => {
      const client = new AgentChatClient({ server: await relayUrl(), name: "bob", handshakeMs })
      await expect(client.connect()).rejects.toMatchObject({
        message: expect.stringMatching(/^handshakeMs: /),
      })
    },
  )

  it("accepts a handshakeMs above 24.8 days", async () => {
    const client = await connect(await relayUrl(), { handshakeMs: 30 * 86_400_000 })
    expect(await client.ping()).toBeGreaterThanOrEqual(0)
  })

  it("creates an invisible channel and admits one agent", async () => {
    const url = await relayUrl()
    const alice = await connect(url, { name: "alice" })
    const bob = await connect(url)
    await alice.createChannel("#secret", { inviteOnly: true })
    await expect(bob.join("#secret")).rejects.toMatchObject({ code: "CHANNEL_NOT_FOUND" })
    expect((await bob.listChannels()).map(({ name }) => name)).not.toContain("#secret")
    const invited = once(bob, "invite")
    await alice.invite("#secret", "@bob")
    expect(await invited).toMatchObject([{ channel: "#secret", from: alice.agentId }])
    const came = once(alice, "agent_joined")
    await bob.join("#secret")
    expect(await came).toMatchObject([{ channel: "#secret", agent: bob.agentId }])
    expect((await alice.listAgents("#secret")).map(({ name }) => name).sort()).toEqual(["alice", "bob"])
  })

  it("gets the candidates for an ambiguous name", async () => {
    const url = await relayUrl()
    const [one, two, three] = [await connect(url), await connect(url), await connect(url, { name: "alice" })]
    await expect(three.dm("@bob", "hi")).rejects.toMatchObject({
      code: "AMBIGUOUS_NAME",
      candidates: expect.arrayContaining([one.agentId, two.agentId]) as string[],
    })
  })

  it("proves its key to a relay that also accepts the older handshake", async () => {
    const identity = newIdentity()
    const client = await connect(await relayUrl({ compat: true }), { identity, compat: true })
    expect(client.agentId).toBe(identity.agentId)
  })

  it("reconnects after a restart of the relay and rejoins its channels", async () => {
    const first = await startRelay({ port: 0, host: "127.0.0.1", clock: systemClock, log: () => {} })
    const client = await connect(first.url, { reconnect: true, random: () => 0.01 })
    await client.join("#general")
    await client.createChannel("#project")
    const lost = once(client, "disconnect")
    await first.stop()
    expect(await lost).toMatchObject([{ code: "SHUTTING_DOWN" }, true])
    const back = once(client, "reconnect")
    const url = await relayUrl({ port: first.port })
    await back
    const other = await connect(url, { name: "alice" })
    expect((await other.listAgents("#project")).map(({ id }) => id)).toEqual([client.agentId])
    expect((await other.listAgents("#general")).map(({ id }) => id)).toEqual([client.agentId])
  })

  it("claims files, sees the claims of others, and releases its own", async () => {
    const url = await relayUrl()
    const [alice, bob] = await Promise.all([
      connect(url, { name: "alice", identity: newIdentity() }),
      connect(url, { identity: newIdentity() }),
    ])
    const made = await alice.claimPaths("acme/shop", ["src/a.ts", "doc/**"], { note: "parser", seconds: 60 })
    expect(made).toMatchObject({ owner: alice.agentId, paths: ["src/a.ts", "doc/**"], note: "parser" })
    expect(made.expires_ts - made.ts).toBe(60_000)
    await expect(bob.claimPaths("acme/shop", ["src"])).rejects.toMatchObject({
      ...{ code: "CLAIMED", message: expect.stringContaining(String(alice.agentId)) },
    })
    expect(await bob.claims("acme/shop")).toEqual([made])
    expect(await bob.claims("acme/other")).toEqual([])
    expect(await bob.releasePaths()).toEqual([])
    expect(await alice.releasePaths("acme/shop", ["src/a.ts"])).toEqual(["src/a.ts"])
    expect((await bob.claimPaths("acme/shop", ["src"])).owner).toBe(bob.agentId)
    expect(await alice.releasePaths()).toEqual(["doc/**"])
    const [left, ...others] = await bob.claims()
    expect([left?.paths, others]).toEqual([["src"], []])
  })

  it("cannot claim files without an identity", async () => {
    const client = await connect(await relayUrl())
    await expect(client.claimPaths("acme/shop", ["src"])).rejects.toMatchObject({ code: "IDENTITY_REQUIRED" })
  })
})
