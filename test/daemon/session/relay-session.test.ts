import { describe, expect, it } from "vitest"
import { Backoff } from "../../../src/client/backoff.js"
import { linkSteps, RelaySession } from "../../../src/daemon/session/relay-session.js"
import type { ChatError } from "../../../src/protocol/errors.js"
import { until } from "../../kit/condition.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { FakeRelay, type FakeRelayOptions } from "../../kit/fake-relay.js"

async function link(options: FakeRelayOptions & { url?: string } = {}) {
  const relay = await FakeRelay.start(options)
  const clock = new FakeClock()
  const told: string[] = []
  const reasons: (ChatError | undefined)[] = []
  const made = new RelaySession(
    { url: options.url ?? relay.url, name: "bob", clock },
    {
      onOnline: () => told.push("online"),
      onMessage: (message) => told.push(message.type),
      onWaiting: (reason, retryInMs) => {
        told.push(`waiting ${retryInMs}`)
        reasons.push(reason)
      },
      onStopped: (reason) => {
        told.push("stopped")
        reasons.push(reason)
      },
    },
    () => 0.5,
  )
  made.start()
  return { relay, clock, told, reasons, link: made }
}

/** What a link waits whose chances are all even. */
function waits(count: number): number[] {
  const backoff = new Backoff()
  return Array.from({ length: count }, () => backoff.next(() => 0.5))
}

describe("a daemon's session", () => {
  it("names every legal step, and none out of stopped but stopping again", () => {
    expect(linkSteps).toMatchObject({ connecting: { opened: "online" }, waiting: { retry: "connecting" } })
    expect(Object.keys(linkSteps.stopped)).toEqual(["stop"])
  })

  it("comes back after each loss, later and later, for ever", async () => {
    const { relay, clock, told } = await link({ answers: { IDENTIFY: () => undefined } })
    for (const [round, waitMs] of waits(12).entries()) {
      const session = await relay.session(round)
      session.socket.terminate()
      await until(`wait ${round}`, () => told.at(-1) === `waiting ${waitMs}` && told.length === round + 1)
      clock.advance(waitMs)
    }
    await relay.session(12)
  })

  it("gives up a relay that accepts and never answers, and tries again", async () => {
    const { relay, clock, told, reasons } = await link({ answers: { IDENTIFY: () => undefined } })
    await (await relay.session()).heard("IDENTIFY")
    clock.advance(10_000)
    await until("the wait", () => told.includes("waiting 500"))
    expect(reasons[0]?.code).toBe("HANDSHAKE_TIMEOUT")
    clock.advance(500)
    await relay.session(1)
  })

  it("waits longer and longer for a relay that drops it right after the welcome", async () => {
    const { relay, clock, told } = await link()
    for (const [round, waitMs] of waits(8).entries()) {
      await until("online", () => told.filter((word) => word === "online").length === round + 1)
      ;(await relay.session(round)).socket.terminate()
      await until("the wait", () => told.at(-1) === `waiting ${waitMs}`)
      clock.advance(waitMs)
    }
  })

  it("starts with a short wait again after a session that lasted", async () => {
    const { relay, clock, told } = await link()
    for (let round = 0; round < 3; round++) {
      await until("online", () => told.filter((word) => word === "online").length === round + 1)
      clock.advance(15_000)
      ;(await relay.session(round)).socket.terminate()
      await until("the wait", () => told.at(-1) === "waiting 500")
      clock.advance(500)
    }
  })

  it.each([
    ["VERIFICATION_FAILED", { type: "ERROR", code: "VERIFICATION_FAILED", message: "no" }],
    ["INVALID_NAME", { type: "ERROR", code: "INVALID_NAME", message: "no" }],
  ])("ends for good after %s", async (code, answer) => {
    const { told, reasons, clock } = await link({ answers: { IDENTIFY: () => answer } })
    await until("the end", () => told.includes("stopped"))
    expect(reasons[0]?.code).toBe(code)
    expect(clock.pending).toEqual([])
  })

  it("does not fight for an identity that connected elsewhere", async () => {
    const { relay, told, reasons, clock } = await link()
    await until("online", () => told.includes("online"))
    const { socket } = await relay.session()
    socket.send(JSON.stringify({ type: "SESSION_DISPLACED", reason: "elsewhere", ts: 1 }))
    socket.close(4001)
    await until("the end", () => told.includes("stopped"))
    expect(reasons.at(-1)?.code).toBe("SESSION_DISPLACED")
    clock.advance(120_000)
    expect(relay.sessions).toHaveLength(1)
  })

  it("is not read while too much waits here, nor is the one after it", async () => {
    const { relay, clock, told, link: held } = await link()
    await until("online", () => told.includes("online"))
    held.throttle(true)
    ;(await relay.session()).socket.terminate()
    await until("the wait", () => told.includes("waiting 500"))
    clock.advance(500)
    const { socket } = await relay.session(1)
    await until("online again", () => told.at(-1) === "online")
    const control = await link({ url: relay.url })
    const other = await relay.session(2)
    await until("the control online", () => control.told.includes("online"))
    const news = JSON.stringify({ type: "TASK_LOST", task: "t", reason: "x".repeat(100_000), ts: 1 })
    for (let i = 0; i < 300; i++) socket.send(news)
    for (let i = 0; i < 300; i++) other.socket.send(news)
    const heard = (words: readonly string[]) => words.filter((word) => word === "TASK_LOST").length
    await until("one who reads to have read", () => heard(control.told) === 300)
    expect(heard(told)).toBeLessThan(100)
    held.throttle(false)
    await until("all of it", () => heard(told) === 300)
  })

  it("stops when asked, in every state", async () => {
    const online = await link()
    await until("online", () => online.told.includes("online"))
    await online.link.stop()
    await online.link.stop()
    const waiting = await link({ answers: { IDENTIFY: () => undefined } })
    ;(await waiting.relay.session()).socket.terminate()
    await until("the wait", () => waiting.told.includes("waiting 500"))
    await waiting.link.stop()
    const connecting = await link({ answers: { IDENTIFY: () => undefined } })
    await connecting.relay.session()
    await connecting.link.stop()
    for (const { told, link: stopped, clock } of [online, waiting, connecting]) {
      expect(told.filter((word) => word === "stopped")).toHaveLength(1)
      expect(stopped.state).toBe("stopped")
      clock.advance(120_000)
      expect(told.at(-1)).toBe("stopped")
    }
  })
})
