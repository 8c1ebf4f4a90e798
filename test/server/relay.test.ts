import { createServer, type Server } from "node:net"
import { describe, expect, it, onTestFinished } from "vitest"
import { systemClock } from "../../src/base/clock.js"
import { formatDidKey } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import { ChatError } from "../../src/protocol/errors.js"
import { protocolSchema } from "../../src/protocol/json-schema.js"
import { startRelay } from "../../src/server/relay.js"
import { TestRelay } from "../kit/relay.js"
import { hasProgram } from "../kit/requires.js"
import { makeCertificate } from "../kit/tls.js"

async function failureOf(promise: Promise<unknown>): Promise<ChatError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof ChatError) return error
  throw new Error("no ChatError was thrown")
}

function listenSomewhere(): Promise<Server> {
  const server = createServer()
  onTestFinished(() => void server.close())
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)))
}

function portOf(server: Server): number {
  const address = server.address()
  if (typeof address !== "object" || address === null) throw new Error("the server does not listen")
  return address.port
}

const quiet = { host: "127.0.0.1", clock: systemClock, log: () => {} } as const

describe("a relay's HTTP side", () => {
  it("answers /health", async () => {
    const relay = await TestRelay.start({ name: "test", version: "1.2.3" })
    await relay.enter("bob")
    relay.clock.advance(5_500)
    const response = await fetch(`http://127.0.0.1:${relay.relay.port}/health`)
    expect(response.headers.get("content-type")).toBe("application/json")
    expect(await response.json()).toEqual({
      ok: true,
      name: "test",
      server_id: relay.relay.serverId,
      version: "1.2.3",
      uptime_s: 5,
      sessions: 1,
      agents: 1,
      channels: 3,
      store: { kind: "memory", reachable: true },
    })
  })

  it("answers 426 at / and 404 elsewhere", async () => {
    const relay = await TestRelay.start()
    const statusOf = async (path: string, method = "GET") =>
      (await fetch(`http://127.0.0.1:${relay.relay.port}${path}`, { method })).status
    expect(await statusOf("/")).toBe(426)
    expect(await statusOf("/nothing")).toBe(404)
    expect(await statusOf("/health", "POST")).toBe(404)
    expect(await statusOf("/health?x=1")).toBe(200)
  })

  it("publishes its messages as JSON Schema", async () => {
    const relay = await TestRelay.start()
    const response = await fetch(`http://127.0.0.1:${relay.relay.port}/schema`)
    expect(response.headers.get("content-type")).toBe("application/schema+json")
    expect(await response.json()).toEqual(JSON.parse(JSON.stringify(protocolSchema())))
  })

  it("refuses web pages of other sites", async () => {
    const relay = await TestRelay.start()
    const port = relay.relay.port
    await expect(relay.connect(["Origin: https://evil.example"])).rejects.toThrow("403")
    await expect(relay.connect(["Origin: null"])).rejects.toThrow("403")
    const wire = await relay.connect([`Origin: http://127.0.0.1:${port}`])
    expect(await wire.ask({ type: "PING" })).toMatchObject({ type: "PONG" })
  })

  it("refuses connections beyond limits.sessions", async () => {
    const relay = await TestRelay.start({ limits: { sessions: 2 } })
    const first = await relay.connect()
    await relay.connect()
    await expect(relay.connect()).rejects.toThrow("503")
    first.socket.destroy()
    await expect.poll(() => relay.relay.health()).toMatchObject({ sessions: 1 })
    await relay.connect()
  })
})

describe("startRelay", () => {
  it("reports a port in use, with a hint", async () => {
    const port = portOf(await listenSomewhere())
    const error = await failureOf(startRelay({ ...quiet, port }))
    expect(error).toMatchObject({
      code: "ALREADY_RUNNING",
      message: `port ${port} of 127.0.0.1 is held by another program`,
    })
    expect(error.hint).toContain("--port")
  })

  it("reports an address it cannot listen on", async () => {
    const error = await failureOf(startRelay({ ...quiet, host: "203.0.113.1", port: 0 }))
    expect(error).toMatchObject({ code: "USAGE", message: expect.stringContaining("203.0.113.1") })
  })

  it("reports an invalid certificate", async () => {
    const error = await failureOf(startRelay({ ...quiet, port: 0, tls: { cert: "x", key: "x" } }))
    expect(error).toMatchObject({ code: "USAGE", message: expect.stringContaining("tls") })
  })

  it.runIf(hasProgram("openssl"))("takes another certificate while it runs, and no broken one", async () => {
    const [old, renewed] = [makeCertificate("old"), makeCertificate("renewed")]
    const relay = await startRelay({ ...quiet, port: 0, tls: old })
    onTestFinished(() => relay.stop())
    const { connect } = await import("node:tls")
    const nameOf = (): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const socket = connect({ port: relay.port, host: "127.0.0.1", rejectUnauthorized: false }, () => {
          resolve(socket.getPeerCertificate().subject.CN)
          socket.destroy()
        }).on("error", reject)
      })
    expect(await nameOf()).toBe("old")
    const operators = [formatDidKey(generateKeyPair().publicKey)]
    for (const tls of [
      { cert: renewed.cert, key: old.key },
      { cert: "x", key: "x" },
    ]) {
      expect(() => relay.reload({ operators, tls })).toThrow(expect.objectContaining({ code: "USAGE" }))
      expect(await nameOf()).toBe("old")
    }
    relay.reload({ tls: renewed })
    expect(await nameOf()).toBe("renewed")
    expect(() => relay.reload({ tls: old, operators: ["nonsense"] })).toThrow(ChatError)
    expect(await nameOf()).toBe("renewed")
  })

  it.runIf(hasProgram("openssl"))("speaks TLS", async () => {
    const tls = makeCertificate("localhost")
    const relay = await startRelay({ ...quiet, port: 0, tls })
    onTestFinished(() => relay.stop())
    expect(relay.url).toBe(`wss://127.0.0.1:${relay.port}`)
    const { WebSocket } = await import("../../src/base/websocket.js")
    const socket = new WebSocket(relay.url, { rejectUnauthorized: false })
    onTestFinished(() => socket.terminate())
    const welcome = new Promise<string>((resolve) => {
      socket.on("message", (data: Buffer) => resolve(data.toString()))
    })
    socket.on("open", () => socket.send('{"type":"IDENTIFY","name":"bob"}'))
    expect(JSON.parse(await welcome)).toMatchObject({ type: "WELCOME", name: "bob" })
  })

  it("has a new id at each start", async () => {
    const [a, b] = [await TestRelay.start(), await TestRelay.start()]
    expect(a.relay.serverId).not.toBe(b.relay.serverId)
  })

  it("opens the default channels", async () => {
    const relay = await TestRelay.start()
    const { wire } = await relay.enter("bob", "#general", "#agents", "#skills")
    await wire.ask({ type: "LEAVE", channel: "#skills" })
    expect(await wire.ask({ type: "JOIN", channel: "#skills" })).toMatchObject({ type: "JOINED" })
  })
})

describe("Relay.stop", () => {
  it("sends SHUTTING_DOWN, ends all sessions and frees the port", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob")
    const unnamed = await relay.connect()
    await relay.relay.stop()
    expect(await bob.wire.next("ERROR")).toMatchObject({ code: "SHUTTING_DOWN" })
    expect(await bob.wire.ended()).toEqual({ code: 1001, reason: "SHUTTING_DOWN" })
    expect(await unnamed.ended()).toMatchObject({ code: 1001 })
    const again = await startRelay({ ...quiet, port: relay.relay.port })
    await again.stop()
    expect(relay.log.at(-1)).toBe("stopped")
  })

  it("does not wait for peers that do not answer", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob")
    bob.wire.socket.removeAllListeners("data")
    bob.wire.socket.pause()
    const stopped = relay.relay.stop()
    relay.clock.advance(3_000)
    await stopped
    await relay.relay.stop()
  })
})
