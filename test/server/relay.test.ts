import { execFileSync } from "node:child_process"
import { readFileSync } from "node:fs"
import { createServer, type Server } from "node:net"
import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { systemClock } from "../../src/base/clock.js"
import { ChatError } from "../../src/protocol/errors.js"
import { startRelay } from "../../src/server/relay.js"
import { TestRelay } from "../kit/relay.js"
import { hasProgram } from "../kit/requires.js"
import { temporaryDirectory } from "../kit/temporary.js"

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
  it("tells its health", async () => {
    const house = await TestRelay.start({ name: "test", version: "1.2.3" })
    await house.enter("bob")
    house.clock.advance(5_500)
    const response = await fetch(`http://127.0.0.1:${house.relay.port}/health`)
    expect(response.headers.get("content-type")).toBe("application/json")
    expect(await response.json()).toEqual({
      ok: true,
      name: "test",
      server_id: house.relay.serverId,
      version: "1.2.3",
      uptime_s: 5,
      sessions: 1,
      agents: 1,
      channels: 3,
      store: { kind: "memory", reachable: true },
    })
  })

  it("asks a browser at / to upgrade, and knows no other path", async () => {
    const house = await TestRelay.start()
    const statusOf = async (path: string, method = "GET") =>
      (await fetch(`http://127.0.0.1:${house.relay.port}${path}`, { method })).status
    expect(await statusOf("/")).toBe(426)
    expect(await statusOf("/nothing")).toBe(404)
    expect(await statusOf("/health", "POST")).toBe(404)
    expect(await statusOf("/health?x=1")).toBe(200)
  })

  it("refuses a page of another site, whose visitor did not ask to chat", async () => {
    const house = await TestRelay.start()
    const port = house.relay.port
    await expect(house.connect(["Origin: https://evil.example"])).rejects.toThrow("403")
    await expect(house.connect(["Origin: null"])).rejects.toThrow("403")
    const wire = await house.connect([`Origin: http://127.0.0.1:${port}`])
    expect(await wire.ask({ type: "PING" })).toMatchObject({ type: "PONG" })
  })

  it("holds no more connections than it may", async () => {
    const house = await TestRelay.start({ limits: { sessions: 2 } })
    const first = await house.connect()
    await house.connect()
    await expect(house.connect()).rejects.toThrow("503")
    first.socket.destroy()
    await expect.poll(() => house.relay.health()).toMatchObject({ sessions: 1 })
    await house.connect()
  })
})

describe("startRelay", () => {
  it("says that the port is held, and what to do", async () => {
    const port = portOf(await listenSomewhere())
    const error = await failureOf(startRelay({ ...quiet, port }))
    expect(error).toMatchObject({
      code: "ALREADY_RUNNING",
      message: `port ${port} of 127.0.0.1 is held by another program`,
    })
    expect(error.hint).toContain("--port")
  })

  it("says that it may not listen there", async () => {
    const error = await failureOf(startRelay({ ...quiet, host: "203.0.113.1", port: 0 }))
    expect(error).toMatchObject({ code: "USAGE", message: expect.stringContaining("203.0.113.1") })
  })

  it("says that a certificate is none", async () => {
    const error = await failureOf(startRelay({ ...quiet, port: 0, tls: { cert: "x", key: "x" } }))
    expect(error).toMatchObject({ code: "USAGE", message: expect.stringContaining("tls") })
  })

  it.runIf(hasProgram("openssl"))("speaks TLS", async () => {
    const dir = temporaryDirectory()
    const [key, cert] = [join(dir, "key.pem"), join(dir, "cert.pem")]
    const request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    execFileSync("openssl", [...request, "-subj", "/CN=localhost", "-keyout", key, "-out", cert], {
      stdio: "ignore",
    })
    const tls = { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") }
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

  it("gives every boot an id of its own", async () => {
    const [a, b] = [await TestRelay.start(), await TestRelay.start()]
    expect(a.relay.serverId).not.toBe(b.relay.serverId)
  })

  it("has the default channels", async () => {
    const house = await TestRelay.start()
    const { wire } = await house.enter("bob", "#general", "#agents", "#skills")
    await wire.ask({ type: "LEAVE", channel: "#skills" })
    expect(await wire.ask({ type: "JOIN", channel: "#skills" })).toMatchObject({ type: "JOINED" })
  })
})

describe("Relay.stop", () => {
  it("tells everybody, ends every session and frees the port", async () => {
    const house = await TestRelay.start()
    const bob = await house.enter("bob")
    const unnamed = await house.connect()
    await house.relay.stop()
    expect(await bob.wire.next("ERROR")).toMatchObject({ code: "SHUTTING_DOWN" })
    expect(await bob.wire.ended()).toEqual({ code: 1001, reason: "SHUTTING_DOWN" })
    expect(await unnamed.ended()).toMatchObject({ code: 1001 })
    const again = await startRelay({ ...quiet, port: house.relay.port })
    await again.stop()
    expect(house.log.at(-1)).toBe("stopped")
  })

  it("does not wait for ever for those who do not answer", async () => {
    const house = await TestRelay.start()
    const bob = await house.enter("bob")
    bob.wire.socket.removeAllListeners("data")
    bob.wire.socket.pause()
    const stopped = house.relay.stop()
    house.clock.advance(3_000)
    await stopped
    await house.relay.stop()
  })
})
