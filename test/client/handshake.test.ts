import { once } from "node:events"
import { type AddressInfo, createServer, type Socket } from "node:net"
import { describe, expect, it, onTestFinished } from "vitest"
import { systemClock } from "../../src/base/clock.js"
import { Connection, type ConnectOptions } from "../../src/client/connection.js"
import type { ChatError } from "../../src/protocol/errors.js"
import { until } from "../kit/condition.js"
import { FakeClock } from "../kit/fake-clock.js"
import { FakeRelay, type FakeRelayOptions, type FakeSession, msg, welcome } from "../kit/fake-relay.js"
import { newIdentity } from "../kit/identity.js"
import { openSession } from "../kit/session.js"

describe("Connection.open", () => {
  it("identifies with name, role and card and keeps WELCOME", async () => {
    const card = { skills: ["review"] }
    const { relay, connection } = await openSession({}, { role: "builder", card })
    expect((await relay.session()).frames).toEqual([{ type: "IDENTIFY", name: "bob", role: "builder", card }])
    expect(connection.welcome).toMatchObject({ agent_id: "@aaaaaaaa", limits: { rate_per_s: 1 } })
  })

  it("proves its key to a relay that sends a challenge", async () => {
    const identity = newIdentity()
    const { relay, connection } = await openSession({}, { identity })
    expect(connection.welcome.agent_id).toBe(identity.agentId)
    const [identify, verify] = (await relay.session()).frames
    expect(identify).toMatchObject({ pubkey: identity.did })
    expect(verify).toMatchObject({ type: "VERIFY_IDENTITY", challenge_id: "c1" })
    expect(JSON.stringify(verify)).not.toContain("signature")
  })

  it.each([
    ["another relay's id", (id: string) => welcome("bob", id, "relay-2"), "for another relay"],
    ["another agent's id", () => welcome("bob", "@0000000000000000"), "another agent id"],
  ])("refuses a relay that welcomes it with %s", async (_what, answer, message) => {
    const identity = newIdentity()
    const error = await refusal(
      { answers: { VERIFY_IDENTITY: () => answer(identity.agentId) } },
      { identity },
    )
    expect(error.code).toBe("VERIFICATION_FAILED")
    expect(error.message).toContain(message)
  })

  it("refuses a relay that does not ask for proof of its key", async () => {
    const identity = newIdentity()
    const error = await refusal(
      { answers: { IDENTIFY: () => welcome("bob", identity.agentId) } },
      { identity },
    )
    expect(error.code).toBe("VERIFICATION_FAILED")
  })

  it("signs nothing if it named no key", async () => {
    const challenge = { type: "CHALLENGE", challenge_id: "c", nonce: "n", aud: "a", expires_ms: 1 }
    expect((await refusal({ answers: { IDENTIFY: () => challenge } })).code).toBe("UNSUPPORTED")
  })

  it("fails with the relay's error code", async () => {
    const answer = { type: "ERROR", code: "VERIFICATION_FAILED", message: "no" }
    const error = await refusal({ answers: { VERIFY_IDENTITY: () => answer } }, { identity: newIdentity() })
    expect(error).toMatchObject({ code: "VERIFICATION_FAILED", message: "no" })
  })

  it.each([
    [4001, "SESSION_DISPLACED"],
    [4003, "HANDSHAKE_TIMEOUT"],
    [1001, "SHUTTING_DOWN"],
    [1011, "UNREACHABLE"],
  ])("fails when the relay closes with %i instead of a welcome", async (code, expected) => {
    const IDENTIFY = (_frame: object, { socket }: FakeSession) => {
      socket.close(code)
      return undefined
    }
    const error = await refusal({ answers: { IDENTIFY } })
    expect(error.code).toBe(expected)
  })

  it("gives up on a relay that accepts the socket and sends nothing", async () => {
    const clock = new FakeClock()
    const relay = await FakeRelay.start({ answers: { IDENTIFY: () => undefined } })
    const opening = Connection.open(
      { url: relay.url, name: "bob", clock },
      { onMessage: fail, onClose: fail },
    )
    opening.catch(() => {})
    const session = await relay.session()
    await session.received("IDENTIFY")
    clock.advance(10_000)
    await expect(opening).rejects.toMatchObject({ code: "HANDSHAKE_TIMEOUT" })
    await until("the socket closed", () => session.socket.readyState === session.socket.CLOSED)
    expect(clock.pending).toEqual([])
  })

  it("gives up on a port that accepts the connection and never answers the upgrade", async () => {
    const { port } = await silentServer()
    const url = `ws://127.0.0.1:${port}`
    const opening = Connection.open({ url, name: "bob", clock: systemClock, handshakeMs: 50 }, silent)
    await expect(opening).rejects.toMatchObject({
      code: "HANDSHAKE_TIMEOUT",
      message: `${url}: no welcome within 50 ms`,
    })
  })

  it("gives up on a relay that sends anything but WELCOME", async () => {
    const noise = Array.from({ length: 200 }, () => ({ type: "PONG", ts: 1 }))
    expect((await refusal({ answers: { IDENTIFY: () => noise } })).code).toBe("UNSUPPORTED")
  })

  it("reports an address where nothing listens", async () => {
    const relay = await FakeRelay.start()
    await relay.stop()
    const opening = Connection.open({ url: "ws://127.0.0.1:1", name: "bob", clock: systemClock }, silent)
    await expect(opening).rejects.toMatchObject({
      code: "UNREACHABLE",
      message: "ws://127.0.0.1:1: nothing listens there (ECONNREFUSED)",
    })
  })

  it("refuses addresses with a password before connecting", async () => {
    const url = "ws://user:secret@127.0.0.1:1"
    const opening = Connection.open({ url, name: "bob", clock: systemClock }, silent)
    await expect(opening).rejects.toMatchObject({ code: "USAGE" })
  })

  it("holds frames that arrive with WELCOME until the caller has run", async () => {
    const early = [welcome("bob", "@aaaaaaaa"), msg("1"), msg("2"), msg("3")]
    const { messages } = await openSession({ answers: { IDENTIFY: () => early } })
    expect(messages).toEqual([])
    await until("three messages", () => messages.length === 3)
    expect(messages.map((message) => message.type === "MSG" && message.msg_id)).toEqual(["1", "2", "3"])
  })

  it("reports an end that arrives with WELCOME after the messages before it", async () => {
    const { messages, ends } = await openSession({
      answers: {
        IDENTIFY: (_frame, session) => {
          session.send(welcome("bob", "@aaaaaaaa"), msg("1"))
          session.socket.close(1001)
          return undefined
        },
      },
    })
    await until("the end", () => ends.length === 1)
    expect(messages).toHaveLength(1)
    expect(ends[0]?.code).toBe("SHUTTING_DOWN")
  })

  it("gives up on a port that does not speak WebSocket", async () => {
    const { port } = await silentServer((socket) => void socket.end("HTTP/1.1 200 OK\r\n\r\nhello"))
    const opening = Connection.open(
      { url: `ws://127.0.0.1:${port}`, name: "bob", clock: systemClock },
      silent,
    )
    await expect(opening).rejects.toMatchObject({ code: "UNREACHABLE" })
  })
})

const silent = { onMessage: () => {}, onClose: () => {} }

function fail(): void {
  throw new Error("was called")
}

async function silentServer(onSocket: (socket: Socket) => void = () => {}): Promise<AddressInfo> {
  const sockets: Socket[] = []
  const server = createServer((socket) => {
    sockets.push(socket)
    socket.on("error", () => {})
    onSocket(socket)
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return server.address() as AddressInfo
}

function refusal(options: FakeRelayOptions, connect: Partial<ConnectOptions> = {}): Promise<ChatError> {
  return openSession(options, connect).then(
    () => Promise.reject(new Error("was not refused")),
    (error: unknown) => error as ChatError,
  )
}
