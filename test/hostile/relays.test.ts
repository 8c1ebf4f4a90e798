import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { describe, expect, it, onTestFinished } from "vitest"
import { until } from "../kit/condition.js"
import { DaemonHarness } from "../kit/daemon-harness.js"
import { FakeRelay, type FakeRelayOptions, welcome } from "../kit/fake-relay.js"

const refusals = [
  "AUTH_REQUIRED",
  "IDENTITY_REQUIRED",
  "INVALID_MSG",
  "INVALID_NAME",
  "OPERATOR_REQUIRED",
  "SESSION_DISPLACED",
  "UNSUPPORTED",
  "VERIFICATION_FAILED",
]

/** Starts a daemon on a relay that behaves in a scripted way. */
async function meet(options: FakeRelayOptions, daemon = new DaemonHarness()) {
  const relay = await FakeRelay.start(options)
  await daemon.start(relay)
  return { relay, daemon }
}

/** Waits until the daemon waits for its next attempt, and returns why. */
async function waiting(daemon: DaemonHarness) {
  await until("a wait", () => daemon.status.state === "waiting" && daemon.status.reason !== null)
  return daemon.status.reason
}

/** Lets a daemon make its next attempt, and waits for that session. */
async function retry(daemon: DaemonHarness, relay: FakeRelay, index: number) {
  daemon.clock.advance(60_000)
  return relay.session(index)
}

const displace = { type: "SESSION_DISPLACED", reason: "elsewhere", ts: 1 }

describe("a program that answers at the address of the relay", { timeout: 60_000 }, () => {
  it.each(refusals)("ends no daemon with %s before WELCOME", async (code) => {
    const error = { type: "ERROR", code, message: "no" }
    const { relay, daemon } = await meet({ answers: { IDENTIFY: () => error } })
    expect(await waiting(daemon)).toMatchObject({ code })
    await retry(daemon, relay, 1)
  })

  it.each([
    ["the welcome of another agent", welcome("x", "@bbbbbbbbbbbbbbbb", "relay-1")],
    ["the handshake of the first AgentChat", { type: "CHALLENGE", challenge_id: "c", nonce: "n" }],
    ["text that is no message", "hello"],
  ])("ends no daemon with %s", async (_, answer) => {
    const { relay, daemon } = await meet({ answers: { IDENTIFY: () => answer } })
    if (typeof answer === "string") {
      await (await relay.session()).received("IDENTIFY")
      daemon.clock.advance(10_000)
    }
    await waiting(daemon)
    await retry(daemon, relay, 1)
  })

  it("ends no daemon by closing with 4001 before WELCOME, or by speaking HTTP", async () => {
    const { relay, daemon } = await meet({ onConnect: ({ socket }) => socket.close(4001) })
    expect(await waiting(daemon)).toMatchObject({ code: "SESSION_DISPLACED" })
    await retry(daemon, relay, 1)
    const server = createServer((_request, response) => void response.writeHead(404).end("no"))
    await new Promise<void>((resolve) => void server.listen(0, "127.0.0.1", resolve))
    onTestFinished(() => void server.close())
    const other = new DaemonHarness()
    await other.start({ url: `ws://127.0.0.1:${(server.address() as AddressInfo).port}` })
    expect(await waiting(other)).toMatchObject({ code: "UNREACHABLE" })
  })

  it("displaces no daemon that knows another relay, however often", async () => {
    const daemon = new DaemonHarness()
    const honest = await FakeRelay.start({ serverId: "honest" })
    const { port } = honest
    await daemon.start(honest)
    await until("online", () => daemon.status.connected)
    daemon.sweep()
    await honest.stop()
    await waiting(daemon)
    const rogue = await FakeRelay.start({ serverId: "rogue", port })
    for (const index of [0, 1, 2]) {
      const session = await retry(daemon, rogue, index)
      await until("online", () => daemon.status.connected)
      session.send(displace)
      expect(await waiting(daemon)).toMatchObject({ code: "SESSION_DISPLACED" })
    }
  })

  it("is believed when the relay that the daemon knows displaces it", async () => {
    const { relay, daemon } = await meet({ serverId: "honest" })
    await until("online", () => daemon.status.connected)
    ;(await relay.session()).send(displace)
    await until("the end", () => daemon.status.state === "stopped")
    expect(daemon.status.reason).toMatchObject({ code: "SESSION_DISPLACED" })
  })
})

describe("limits that no relay has", { timeout: 60_000 }, () => {
  it.each([
    { rate_per_s: 0 },
    { rate_per_s: 1e-300 },
    { rate_per_s: -1 },
    { rate_per_s: 1e300 },
    { burst: 0 },
    { burst: 1e-300 },
    { frame_bytes: 0 },
    { frame_bytes: 2 ** 53 - 1 },
    { buffer: 2 ** 53 - 1 },
  ])("%j make the daemon wait for another relay, and the status says why", async (limits) => {
    const harness: { daemon?: DaemonHarness } = {}
    const answers: FakeRelayOptions["answers"] = {
      VERIFY_IDENTITY: () => welcome("bob", harness.daemon?.self ?? "", "relay-1", limits),
    }
    harness.daemon = new DaemonHarness()
    const { relay, daemon } = await meet({ answers }, harness.daemon)
    const [name = ""] = Object.keys(limits)
    const message = expect.stringContaining(`limits.${name}`) as string
    expect(await waiting(daemon)).toMatchObject({ code: "UNSUPPORTED", message })
    daemon.write({ to: "#general", content: "x" })
    await retry(daemon, relay, 1)
    await waiting(daemon)
    expect(relay.sessions.flatMap(({ frames }) => frames).some(({ type }) => type === "MSG")).toBe(false)
  })

  it("a pause over a minute is a problem in the status until a line passes", async () => {
    const day = 86_400_000
    const asked = { times: 0 }
    const { relay, daemon } = await meet({
      answers: {
        MSG: ({ id }) => {
          const passed = { type: "ACK", re: id, msg_id: `x.${String(id)}`, ts: 1, state: "accepted", seq: 1 }
          const refused = {
            type: "ERROR",
            re: id,
            code: "RATE_LIMITED",
            message: "slow",
            retry_after_ms: day,
          }
          return asked.times++ === 0 ? refused : passed
        },
      },
    })
    await until("online", () => daemon.status.connected)
    daemon.write({ to: "#general", content: "x" })
    await (await relay.session()).received("MSG")
    await until("the problem", () => daemon.status.problems.some(({ where }) => where === "relay"))
    expect(daemon.status.problems).toMatchObject([{ code: "RATE_LIMITED", where: "relay" }])
    expect(daemon.status.problems[0]?.message).toContain("86400 s")
    daemon.clock.advance(day)
    await until("no problem", () => {
      daemon.sweep()
      return daemon.status.problems.length === 0
    })
  })

  it("a relay that refuses for 0 ms is not asked again at once", async () => {
    const { relay, daemon } = await meet({
      answers: {
        MSG: ({ id }) => ({ type: "ERROR", re: id, code: "RATE_LIMITED", message: "now", retry_after_ms: 0 }),
      },
    })
    await until("online", () => daemon.status.connected)
    const session = await relay.session()
    daemon.write({ to: "#general", content: "x" })
    await until("the wait", () => {
      daemon.sweep()
      return daemon.status.outbox.waits.some(({ reason }) => reason === "rate")
    })
    daemon.sweep()
    expect(session.frames.filter(({ type }) => type === "MSG")).toHaveLength(1)
  })
})
