import { request } from "node:http"
import { describe, expect, it } from "vitest"
import { PageRules } from "../../src/base/page-rules.js"
import { TestRelay } from "../kit/relay.js"

function refusal(listensOn: string, host: string, origin?: string, allowed: readonly string[] = []) {
  const headers = { host, ...(origin !== undefined && { origin }) }
  return new PageRules(listensOn, allowed).refusal({ headers })
}

describe("a relay", () => {
  it.each([
    ["127.0.0.1", "127.0.0.1:6667", undefined],
    ["127.0.0.1", "localhost:6667", "http://localhost:6667"],
    ["localhost", "LOCALHOST:6667", "http://localhost:6667"],
    ["::1", "[::1]:6667", undefined],
    ["127.0.0.1", "chat.example.org", "https://chat.example.org", ["https://chat.example.org"]],
    ["127.0.0.1", "127.0.0.1:6667", "https://chat.example.org", ["https://chat.example.org"]],
    ["chat.local", "chat.local:6667", "http://chat.local:6667"],
    ["192.168.1.5", "192.168.1.5:6667", "http://192.168.1.5:6667"],
    ["0.0.0.0", "192.168.1.5:6667", "http://192.168.1.5:6667"],
    ["0.0.0.0", "proxy.example.org", undefined],
  ])("that listens on %s answers a request to %s of the page %s", (listensOn, host, origin, allowed = []) => {
    expect(refusal(listensOn, host, origin, allowed)).toBeUndefined()
  })

  it.each([
    ["127.0.0.1", "evil.example:6667", "http://evil.example:6667"],
    ["127.0.0.1", "evil.example:6667", undefined],
    ["127.0.0.1", "127.0.0.1.evil.example:6667", undefined],
    ["127.0.0.1", "127.0.0.1:6667", "http://127.0.0.1:8080"],
    ["127.0.0.1", "localhost:6667", "null"],
    ["127.0.0.1", "192.168.1.5:6667", undefined],
    ["chat.local", "evil.example:6667", undefined],
    ["192.168.1.5", "evil.example:6667", "http://evil.example:6667"],
    ["0.0.0.0", "evil.example:6667", "http://evil.example:6667"],
    ["0.0.0.0", "192.168.1.5:6667", "https://evil.example"],
    ["127.0.0.1", "a b", undefined],
  ])("that listens on %s refuses a request to %s of the page %s", (listensOn, host, origin) => {
    expect(refusal(listensOn, host, origin)).toBeTypeOf("string")
  })
})

/** Sends a GET request. */
function get(port: number, path: string, headers: Readonly<Record<string, string>>) {
  return new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
    const sent = request({ host: "127.0.0.1", port, path, headers }, (response) => {
      let body = ""
      response.setEncoding("utf8").on("data", (text: string) => (body += text))
      response.on("end", () => resolve({ status: response.statusCode, body }))
    })
    sent.on("error", reject).end()
  })
}

describe("HTTP", () => {
  it("refuses a page that points its own name at the relay, with the reason in body and log", async () => {
    const { relay, log } = await TestRelay.start()
    for (const upgrade of [{}, { Connection: "Upgrade", Upgrade: "websocket" }]) {
      const answer = await get(relay.port, "/health", { Host: "evil.example", ...upgrade })
      expect(answer).toEqual({ status: 403, body: "this server is not named evil.example\n" })
      expect(log.at(-1)).toBe("refused a request from 127.0.0.1: this server is not named evil.example")
    }
  })

  it("lets in the pages of allowed origins", async () => {
    const relay = await TestRelay.start({ allowedOrigins: ["https://chat.example.org"] })
    await relay.connect(["Origin: https://chat.example.org"])
    await expect(relay.connect(["Origin: https://evil.example"])).rejects.toThrow("403")
  })

  it("answers a request that offers another protocol as if it had not", async () => {
    const { relay } = await TestRelay.start()
    const h2c = {
      Connection: "Upgrade, HTTP2-Settings",
      Upgrade: "h2c",
      "HTTP2-Settings": "AAMAAABkAAQAAP__",
    }
    const { status, body } = await get(relay.port, "/health", h2c)
    expect([status, JSON.parse(body)]).toMatchObject([200, { ok: true }])
    expect((await get(relay.port, "/nothing", h2c)).status).toBe(404)
  })

  it("answers /health with 503 while the store cannot be reached", async () => {
    const { LastingEngine } = await import("../kit/engine.js")
    const backbone = (await LastingEngine.make()).lend()
    const { relay } = await TestRelay.start({ backbone })
    backbone.setReachable(false)
    expect((await get(relay.port, "/health", {})).status).toBe(503)
  })
})
