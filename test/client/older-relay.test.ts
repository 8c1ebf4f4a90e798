import { describe, expect, it, onTestFinished } from "vitest"
import { systemClock } from "../../src/base/clock.js"
import { Connection, type ConnectOptions } from "../../src/client/connection.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { until } from "../kit/condition.js"
import type { FakeRelay, FakeRelayOptions } from "../kit/fake-relay.js"
import { newIdentity } from "../kit/identity.js"
import { startOlderRelay } from "../kit/older-relay.js"

interface Opened {
  readonly relay: FakeRelay
  readonly connection: Connection
  readonly messages: ServerMessage[]
}

async function open(
  answers: FakeRelayOptions["answers"] = {},
  options: Partial<ConnectOptions> = {},
): Promise<Opened> {
  const relay = await startOlderRelay(answers)
  const messages: ServerMessage[] = []
  const connection = await Connection.open(
    { url: relay.url, name: "bob", clock: systemClock, compat: true, ...options },
    { onMessage: (message) => messages.push(message), onClose: () => {} },
  )
  onTestFinished(() => connection.close())
  return { relay, connection, messages }
}

describe("a relay of the first AgentChat", () => {
  it("is refused without the option compat", async () => {
    const hint = "allow it with --compat"
    await expect(open({}, { compat: false })).rejects.toMatchObject({ code: "UNSUPPORTED", hint })
  })

  it("gets no signature without the option compat", async () => {
    const relay = await startOlderRelay({
      IDENTIFY: () => ({ type: "CHALLENGE", challenge_id: "c", nonce: "n" }),
    })
    const options = { url: relay.url, name: "bob", clock: systemClock, identity: newIdentity() }
    await expect(Connection.open(options, { onMessage: () => {}, onClose: () => {} })).rejects.toMatchObject({
      code: "UNSUPPORTED",
    })
    expect((await relay.session()).frames.map(({ type }) => type)).toEqual(["IDENTIFY"])
  })

  it("accepts a key with the older proof", async () => {
    const { relay, connection } = await open({}, { identity: newIdentity() })
    expect(connection.welcome).toMatchObject({ agent_id: "@361d642d", server: "old", protocol: 0 })
    const [identify, proof] = (await relay.session()).frames
    expect(identify).toMatchObject({ pubkey: expect.stringMatching(/^-----BEGIN PUBLIC KEY-----/) as string })
    expect(Object.keys(proof ?? {}).sort()).toEqual(["challenge_id", "signature", "timestamp", "type"])
  })

  it("answers requests without knowing ids", async () => {
    const { connection } = await open()
    const answers = await Promise.all([
      connection.request({ type: "JOIN", channel: "#general" }),
      connection.request({ type: "LIST_CHANNELS" }),
      connection.request({ type: "LIST_AGENTS", channel: "#general" }),
      connection.request({ type: "CREATE_CHANNEL", channel: "#new" }),
      connection.request({ type: "LEAVE", channel: "#new" }),
      connection.request({ type: "INVITE", channel: "#new", agent: "@eve" }),
      connection.request({ type: "PING" }),
    ])
    expect(answers).toMatchObject([
      { type: "JOINED", channel: "#general", agents: ["@older123", "@bbbbbbbb"], count: 2, seq: 0 },
      {
        type: "CHANNELS",
        list: [
          { name: "#general", agents: 2 },
          { name: "#agents", agents: 0 },
        ],
      },
      { type: "AGENTS", list: ["@bbbbbbbb", "@cccccccc"], roster: [{ name: "bbbbbbbb" }, { name: "eve" }] },
      { type: "JOINED", channel: "#new", roster: [{ id: "@older123", name: "bob" }] },
      { type: "LEFT", channel: "#new" },
      { type: "ACK", state: "done" },
      { type: "PONG" },
    ])
  })

  it("has carried out a frame if nothing comes before the PONG", async () => {
    const { relay, connection, messages } = await open()
    const ack = await connection.request({ type: "MSG", to: "#general", content: "hi", id: "m1" })
    expect(ack).toMatchObject({ type: "ACK", re: "m1", state: "accepted", msg_id: "older123.m1" })
    expect((await relay.session()).frames.slice(1).map(({ type }) => type)).toEqual(["MSG", "PING"])
    expect(messages).toEqual([])
  })

  it("gets each frame after the answer to the one before, so that errors match their frame", async () => {
    const { relay, connection } = await open({
      MSG: ({ content }) =>
        content === "bad"
          ? { type: "ERROR", code: "CHANNEL_NOT_FOUND", message: "no such channel" }
          : undefined,
    })
    const send = (content: string) => connection.request({ type: "MSG", to: "#general", content })
    const outcomes = await Promise.allSettled([send("1"), send("bad"), send("2")])
    expect(outcomes.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled"])
    expect(
      (await relay.session()).frames
        .slice(1)
        .map(({ type }) => type)
        .join(" "),
    ).toBe("MSG PING MSG PING MSG PING")
  })

  it("answers frames of send as well", async () => {
    const { connection, messages } = await open()
    connection.send({ type: "MSG", to: "#general", content: "hi", id: "line-1" })
    connection.send({ type: "RECEIVED", ids: ["x"] })
    connection.send({ type: "SET_PRESENCE", status: "idle", id: "line-2" })
    await until("both answers", () => messages.length === 2)
    expect(messages).toMatchObject([
      { type: "ACK", re: "line-1" },
      { type: "ERROR", re: "line-2", code: "INVALID_MSG" },
    ])
  })

  it("answers an unsupported request with UNSUPPORTED", async () => {
    const { connection } = await open({ LIST_CHANNELS: () => undefined })
    await expect(connection.request({ type: "LIST_CHANNELS" })).rejects.toMatchObject({ code: "UNSUPPORTED" })
  })

  it("gets its messages completed, with the same id for the same message", async () => {
    const { relay, connection, messages } = await open()
    await connection.request({ type: "JOIN", channel: "#general" })
    await connection.request({ type: "JOIN", channel: "#general" })
    const session = await relay.session()
    session.send(
      { type: "AGENT_JOINED", channel: "#general", agent: "@cccccccc" },
      { type: "MSG", from: 1, to: "#general", content: "x", ts: 1 },
      "[]",
      "{",
    )
    await connection.request({ type: "PING" })
    expect(messages).toHaveLength(3)
    expect(messages[0]).toMatchObject({
      from: "@bbbbbbbb",
      name: "bbbbbbbb",
      content: "earlier",
      hops: 0,
      replay: true,
    })
    expect(messages[1]).toEqual(messages[0])
    expect(messages[2]).toMatchObject({ type: "AGENT_JOINED", agent: "@cccccccc", name: "cccccccc" })
  })
})
