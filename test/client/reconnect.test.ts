import { once } from "node:events"
import { describe, expect, it, onTestFinished } from "vitest"
import { Backoff } from "../../src/client/backoff.js"
import { AgentChatClient, type AgentChatClientOptions, type ChatError } from "../../src/index.js"
import { until } from "../kit/condition.js"
import { FakeClock } from "../kit/fake-clock.js"
import { FakeRelay, type FakeRelayOptions, joined, msg, welcome } from "../kit/fake-relay.js"

interface Setting {
  readonly relay: FakeRelay
  readonly client: AgentChatClient
  readonly clock: FakeClock
  readonly events: string[]
}

async function connect(
  relayOptions: FakeRelayOptions = {},
  options: Partial<AgentChatClientOptions> = {},
): Promise<Setting> {
  const relay = await FakeRelay.start(relayOptions)
  const clock = new FakeClock()
  const client = new AgentChatClient({
    server: relay.url,
    name: "bob",
    reconnect: true,
    clock,
    random: () => 0.5,
    ...options,
  })
  onTestFinished(() => client.disconnect())
  const events: string[] = []
  client.on("disconnect", (error, willReconnect) => events.push(`disconnect ${error.code} ${willReconnect}`))
  client.on("reconnect", () => events.push("reconnect"))
  client.on("displaced", () => events.push("displaced"))
  client.on("error", (error) => events.push(`error ${error.code}`))
  await client.connect()
  return { relay, client, clock, events }
}

describe("a client that reconnects", () => {
  it("reopens a lost session and continues reading where it stopped", async () => {
    const { relay, client, clock, events } = await connect({
      answers: { JOIN: ({ channel, id }) => joined(channel, id, 4) },
    })
    await client.join("#general")
    await client.join("#agents")
    client.on("message", () => {})
    const first = await relay.session()
    first.send(msg("bbbbbbbb.5", { seq: 5 }), msg("bbbbbbbb.6", { seq: 6 }))
    await client.ping()
    first.socket.terminate()
    await until("the loss", () => events.length === 1)
    await expect(client.send("#general", "x")).rejects.toMatchObject({ code: "UNREACHABLE" })
    clock.advance(500)
    await once(client, "reconnect")
    expect(events).toEqual(["disconnect UNREACHABLE true", "reconnect"])
    expect(await (await relay.session(1)).received("JOIN", 2)).toMatchObject([
      { channel: "#general", since: 6 },
      { channel: "#agents", since: 4 },
    ])
    expect(client.channels).toEqual(["#general", "#agents"])
  })

  it("rejoins its patterns after their channels, and does not recreate channels that are gone", async () => {
    const { relay, client, clock } = await connect({
      answers: {
        JOIN: ({ channel, id }) =>
          channel === "#team.gone"
            ? { type: "ERROR", re: id, code: "CHANNEL_NOT_FOUND", message: "gone" }
            : { ...joined(channel, id, 4), ...(channel === "#team.>" ? { pattern: channel } : {}) },
      },
    })
    await client.join("#team.>")
    const first = await relay.session()
    first.send({ ...joined("#team.a", undefined, 7), pattern: "#team.>" })
    first.send({ ...joined("#team.gone", undefined, 2), pattern: "#team.>" })
    await client.ping()
    first.socket.terminate()
    await once(client, "disconnect")
    clock.advance(500)
    await once(client, "reconnect")
    const { frames } = await relay.session(1)
    expect(frames.filter(({ type }) => type === "JOIN")).toMatchObject([
      { channel: "#team.a", since: 7 },
      { channel: "#team.gone", since: 2 },
      { channel: "#team.>" },
    ])
    expect(frames.some(({ type }) => type === "CREATE_CHANNEL")).toBe(false)
    expect(client).toMatchObject({ channels: ["#team.a"], patterns: ["#team.>"] })
  })

  it("retries forever, with longer and longer waits", async () => {
    const { relay, clock, events } = await connect()
    const { port } = relay
    await relay.stop()
    await until("the loss", () => events.length === 1)
    const backoff = new Backoff()
    let waitMs = 0
    while (waitMs < 30_000) {
      waitMs = backoff.next(() => 0.5)
      const before = events.length
      expect(clock.pending).toEqual([waitMs])
      clock.advance(waitMs)
      await until("the next try", () => events.length > before)
    }
    expect(new Set(events)).toEqual(new Set(["disconnect UNREACHABLE true"]))
    await FakeRelay.start({ port })
    clock.advance(30_000)
    await until("the session", () => events.at(-1) === "reconnect")
  })

  it("joins a restarted relay as a newcomer and recreates its channels", async () => {
    const { relay, client, clock, events } = await connect()
    await client.join("#general")
    await client.createChannel("#project")
    const { port } = relay
    await relay.stop()
    await until("the loss", () => events.length === 1)
    const restarted = await FakeRelay.start({
      port,
      serverId: "relay-2",
      answers: {
        JOIN: ({ channel, id }) =>
          channel === "#general"
            ? joined(channel, id)
            : { type: "ERROR", re: id, code: "CHANNEL_NOT_FOUND", message: "no such channel" },
      },
    })
    clock.advance(500)
    await once(client, "reconnect")
    const session = await restarted.session()
    expect(await session.received("JOIN", 2)).toEqual([
      { type: "JOIN", channel: "#general", id: expect.any(String) as string },
      { type: "JOIN", channel: "#project", id: expect.any(String) as string },
    ])
    expect(await session.received("CREATE_CHANNEL")).toMatchObject([
      { channel: "#project", invite_only: false },
    ])
  })

  it("reports a channel it cannot rejoin and keeps the others", async () => {
    let refuses = false
    const { relay, client, clock, events } = await connect({
      answers: {
        JOIN: ({ channel, id }) =>
          refuses && channel === "#a"
            ? { type: "ERROR", re: id, code: "LIMIT_REACHED", message: "full" }
            : joined(channel, id),
      },
    })
    await client.join("#a")
    await client.join("#b")
    refuses = true
    ;(await relay.session()).socket.terminate()
    await until("the loss", () => events.length === 1)
    clock.advance(500)
    await until("the session", () => events.at(-1) === "reconnect")
    expect(events).toEqual(["disconnect UNREACHABLE true", "error LIMIT_REACHED", "reconnect"])
  })

  it("does not reconnect when it is displaced", async () => {
    const { relay, client, clock, events } = await connect()
    await client.join("#general")
    ;(await relay.session()).socket.close(4001)
    await until("the end", () => events.length === 2)
    expect(events).toEqual(["displaced", "disconnect SESSION_DISPLACED false"])
    expect(clock.pending).toEqual([])
    expect(client.channels).toEqual([])
  })

  it("stops when the relay refuses it", async () => {
    let isWelcome = true
    const refused = { type: "ERROR", code: "VERIFICATION_FAILED", message: "no" }
    const { relay, clock, events } = await connect({
      answers: { IDENTIFY: ({ name }) => (isWelcome ? welcome(name, "@aaaaaaaa") : refused) },
    })
    isWelcome = false
    ;(await relay.session()).socket.terminate()
    await until("the loss", () => events.length === 1)
    clock.advance(500)
    await until("the end", () => events.length === 2)
    expect(events[1]).toBe("disconnect VERIFICATION_FAILED false")
    expect(clock.pending).toEqual([])
  })

  it("reconnects at once on connect(), and not at all after disconnect()", async () => {
    const { relay, client, clock, events } = await connect()
    ;(await relay.session()).socket.terminate()
    await until("the loss", () => events.length === 1)
    await client.connect()
    await until("the session", () => events.at(-1) === "reconnect")
    ;(await relay.session(1)).socket.terminate()
    await until("the next loss", () => events.length === 3)
    await client.disconnect()
    expect(clock.pending).toEqual([])
    clock.advance(3_600_000)
    expect(relay.sessions).toHaveLength(2)
    expect(events).toHaveLength(3)
  })
})

describe("a client without reconnect", () => {
  it("reports the lost session and stays disconnected", async () => {
    const { relay, client, clock, events } = await connect({}, { reconnect: false })
    await client.join("#general")
    const lost = once(client, "disconnect")
    ;(await relay.session()).socket.close(1001)
    const [error] = (await lost) as [ChatError]
    expect(error.code).toBe("SHUTTING_DOWN")
    expect(events).toEqual(["disconnect SHUTTING_DOWN false"])
    expect(clock.pending).toEqual([])
    expect(client).toMatchObject({ isConnected: false, channels: [] })
  })
})
