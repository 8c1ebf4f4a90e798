import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import { generateKeyPair } from "../../src/identity/signer.js"
import { mayReadMetrics } from "../../src/server/metrics-access.js"
import { LastingEngine } from "../kit/engine.js"
import { TestRelay } from "../kit/relay.js"

const token = "0123456789abcdef0123456789abcdef"
const secret = "a-secret-word"

function get(relay: TestRelay, path: string, headers: Record<string, string> = {}): Promise<Response> {
  return fetch(`http://127.0.0.1:${relay.relay.port}${path}`, { headers })
}

/** A relay in which something of everything has happened. */
async function startBusy(): Promise<TestRelay> {
  const backbone = (await LastingEngine.make()).lend()
  const relay = await TestRelay.start({ metrics: {}, backbone })
  const bob = await relay.enterAs(generateKeyPair(), "bob", "#general")
  const ann = await relay.enter(secret, "#general")
  await ann.wire.answerTo({ type: "MSG", to: "#general", content: secret, kind: "request", id: secret })
  await ann.wire.answerTo({ type: "MSG", to: "#general", content: secret, kind: "request", id: secret })
  await ann.wire.ask({ type: "MSG", to: "@nobody", content: secret })
  await ann.wire.ask({ type: "JOIN", channel: `#${secret}` })
  await ann.wire.ask({ type: "MSG", to: bob.id, content: secret })
  const { msg_id: id } = await bob.wire.next("MSG").then(() => bob.wire.next("MSG"))
  bob.wire.say({ type: "RECEIVED", ids: [id] })
  await bob.wire.settle()
  return relay
}

it("counts messages by kind and outcome, other requests, stages and the time of the storage", async () => {
  const text = await (await get(await startBusy(), "/metrics")).text()
  const lines = text.split("\n")
  expect(lines).toContain('agentchat_messages_total{target="channel",kind="request",outcome="accepted"} 1')
  expect(lines).toContain('agentchat_messages_total{target="channel",kind="request",outcome="duplicate"} 1')
  expect(lines).toContain('agentchat_messages_total{target="agent",kind="none",outcome="AGENT_NOT_FOUND"} 1')
  expect(lines).toContain('agentchat_requests_total{type="JOIN",outcome="CHANNEL_NOT_FOUND"} 1')
  expect(lines).toContain('agentchat_delivery_total{stage="mirrored"} 1')
  expect(lines).toContain("agentchat_sessions 2")
  expect(lines).toContain("agentchat_store_reachable 1")
  expect(text).toMatch(/agentchat_store_seconds_count\{operation="append",result="ok"\} [1-9]/)
  expect(text).toMatch(/^nodejs_eventloop_lag_seconds/m)
})

it("shows no names, ids or texts", async () => {
  const text = await (await get(await startBusy(), "/metrics")).text()
  expect(text).not.toContain(secret)
  expect(text).not.toMatch(/@|#general/)
})

it("has every metric that the dashboard shows", async () => {
  const text = await (await get(await startBusy(), "/metrics")).text()
  const known = new Set([...text.matchAll(/^(?:# TYPE )?([a-z_0-9]+)/gm)].map(([, name]) => name))
  const path = fileURLToPath(new URL("../../deploy/grafana.json", import.meta.url))
  const dashboard = readFileSync(path, "utf8")
  const shown = new Set(dashboard.match(/\b(?:agentchat|nodejs|process)_[a-z_0-9]+/g))
  const missing = [...shown].filter(
    (name) => !known.has(name) && !known.has(name.replace(/_(?:bucket|count)$/, "")),
  )
  expect(shown.size).toBeGreaterThan(10)
  expect(missing).toEqual([])
})

it("is there only if it is asked for", async () => {
  const relay = await TestRelay.start()
  expect((await get(relay, "/metrics")).status).toBe(404)
})

it("is for this machine only, and not through a proxy on it", () => {
  const from = (remoteAddress: string, headers = {}) => ({ socket: { remoteAddress }, headers }) as never
  expect(mayReadMetrics(from("127.0.0.1"), undefined)).toBe(true)
  expect(mayReadMetrics(from("::ffff:127.0.0.1"), undefined)).toBe(true)
  expect(mayReadMetrics(from("10.0.0.7"), undefined)).toBe(false)
  expect(mayReadMetrics(from("127.0.0.1", { "x-forwarded-for": "10.0.0.7" }), undefined)).toBe(false)
  expect(mayReadMetrics(from("127.0.0.1", { via: "1.1 proxy" }), undefined)).toBe(false)
})

it("is for whoever has the token, if there is one", async () => {
  const relay = await TestRelay.start({ metrics: { token } })
  expect((await get(relay, "/metrics")).status).toBe(403)
  expect((await get(relay, "/metrics", { authorization: "Bearer wrong" })).status).toBe(403)
  expect((await get(relay, "/metrics", { authorization: `Bearer ${token}` })).status).toBe(200)
})

it("says on /ready whether the relay takes messages", async () => {
  const backbone = (await LastingEngine.make()).lend()
  const relay = await TestRelay.start({ backbone })
  expect((await get(relay, "/ready")).status).toBe(200)
  backbone.setReachable(false)
  expect((await get(relay, "/ready")).status).toBe(503)
  expect(await (await get(relay, "/ready")).text()).toBe("not ready\n")
})
