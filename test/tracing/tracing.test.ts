import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { expect, it, onTestFinished, vi } from "vitest"
import type { Span, Tracer } from "../../src/base/tracer.js"
import { openTracer } from "../../src/tracing/open-tracer.js"
import { TestRelay } from "../kit/relay.js"

const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

/** A tracer that remembers. */
function remember(): Tracer & { readonly spans: string[] } {
  const spans: string[] = []
  const start = (name: string, from: string | undefined): Span => {
    const id = String(spans.length + 1).padStart(16, "0")
    const context = `${from?.slice(0, 36) ?? `00-${"a".repeat(32)}-`}${id}-01`
    return { context, end: (outcome) => void spans.push(`${name} of ${from ?? "nothing"}: ${outcome}`) }
  }
  return { start, spans, close: () => Promise.resolve() }
}

it("continues the trace of a message in the relay, whose own span the recipients get", async () => {
  const tracer = remember()
  const relay = await TestRelay.start({ tracer })
  const ann = await relay.enter("ann", "#general")
  const bob = await relay.enter("bob", "#general")
  await ann.wire.ask({ type: "MSG", to: "#general", content: "hi", trace: parent })
  expect((await bob.wire.next("MSG")).trace).toBe(`${parent.slice(0, 36)}${"1".padStart(16, "0")}-01`)
  await ann.wire.ask({ type: "MSG", to: "@nobody", content: "hi", trace: parent })
  expect(tracer.spans).toEqual([
    `agentchat.relay of ${parent}: accepted`,
    `agentchat.relay of ${parent}: AGENT_NOT_FOUND`,
  ])
})

it("passes on no trace where the relay traces nothing, and refuses what is none", async () => {
  const relay = await TestRelay.start()
  const ann = await relay.enter("ann", "#general")
  const bob = await relay.enter("bob", "#general")
  const send = (trace: string) => ann.wire.ask({ type: "MSG", to: "#general", content: "hi", trace })
  await send(parent)
  expect(await bob.wire.next("MSG")).not.toHaveProperty("trace")
  for (const trace of [
    "hello",
    `${parent}x`,
    `01${parent.slice(2)}`,
    `00-${"0".repeat(32)}-b7ad6b7169203331-01`,
  ])
    expect(await send(trace)).toMatchObject({ code: "INVALID_MSG" })
})

it("sends spans to the collector that the environment names, without contents", async () => {
  const bodies: string[] = []
  const collector = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on("data", (chunk: Buffer) => chunks.push(chunk))
    request.on("end", () => {
      bodies.push(`${request.url ?? ""} ${Buffer.concat(chunks).toString()}`)
      response.writeHead(200, { "content-type": "application/json" }).end("{}")
    })
  }).listen(0, "127.0.0.1")
  onTestFinished(() => void collector.close())
  await once(collector, "listening")
  const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`
  vi.stubEnv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
  const tracer = await openTracer({ OTEL_EXPORTER_OTLP_ENDPOINT: endpoint }, "agentchat-test")
  const relay = await TestRelay.start({ tracer })
  const ann = await relay.enter("ann", "#general")
  const bob = await relay.enter("bob", "#general")
  await ann.wire.ask({ type: "MSG", to: "#general", content: "a-secret-word", trace: parent })
  const { trace = "" } = await bob.wire.next("MSG")
  expect(trace).toMatch(/^00-0af7651916cd43dd8448eb211c80319c-(?!b7ad6b7169203331)[0-9a-f]{16}-01$/)
  await tracer.close()
  expect(bodies).toHaveLength(1)
  expect(bodies[0]).toMatch(/^\/v1\/traces /)
  expect(bodies[0]).toContain("0af7651916cd43dd8448eb211c80319c")
  expect(bodies[0]).toContain("agentchat.relay")
  expect(bodies[0]).not.toMatch(/a-secret-word|#general|ann/)
})

it("traces nothing without a collector", async () => {
  const tracer = await openTracer({}, "agentchat-test")
  expect(tracer.start("x", parent).context).toBeUndefined()
})
