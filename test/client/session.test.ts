import { describe, expect, it, onTestFinished } from "vitest"
import { Backoff } from "../../src/client/backoff.js"
import { ReconnectingSession, sessionSteps } from "../../src/client/session.js"
import type { ChatError } from "../../src/protocol/errors.js"
import { until } from "../kit/condition.js"
import { FakeClock } from "../kit/fake-clock.js"
import { FakeRelay, type FakeRelayOptions } from "../kit/fake-relay.js"

async function openSession(options: FakeRelayOptions & { url?: string } = {}) {
  const relay = await FakeRelay.start(options)
  const clock = new FakeClock()
  const events: string[] = []
  const errors: ChatError[] = []
  const session = new ReconnectingSession(
    {
      clock,
      random: () => 0.5,
      retry: "always",
      connectOptions: () => Promise.resolve({ url: options.url ?? relay.url, name: "bob", clock }),
    },
    {
      onOnline: () => events.push("online"),
      onMessage: (message) => events.push(message.type),
      onLost: (error, retryInMs) => {
        events.push(retryInMs === undefined ? "stopped" : `waiting ${retryInMs}`)
        errors.push(error)
      },
    },
  )
  onTestFinished(() => session.close())
  session.connect().catch(() => {})
  return { relay, clock, events, errors, session }
}

/** Waits of a session whose random numbers are all 0.5. */
function waits(count: number): number[] {
  const backoff = new Backoff()
  return Array.from({ length: count }, () => backoff.next(() => 0.5))
}

describe("a session that always retries", () => {
  it("has no transition out of stopped but connecting again", () => {
    expect(sessionSteps).toMatchObject({
      connecting: { opened: "online" },
      waiting: { connect: "connecting" },
    })
    expect(Object.keys(sessionSteps.stopped)).toEqual(["connect"])
  })

  it("reconnects after each loss, with longer and longer waits", async () => {
    const { relay, clock, events } = await openSession({ answers: { IDENTIFY: () => undefined } })
    for (const [round, waitMs] of waits(12).entries()) {
      const session = await relay.session(round)
      session.socket.terminate()
      await until(`wait ${round}`, () => events.at(-1) === `waiting ${waitMs}` && events.length === round + 1)
      clock.advance(waitMs)
    }
    await relay.session(12)
  })

  it("times out a relay that never answers the handshake, and retries", async () => {
    const { relay, clock, events, errors } = await openSession({ answers: { IDENTIFY: () => undefined } })
    await (await relay.session()).received("IDENTIFY")
    clock.advance(10_000)
    await until("the wait", () => events.includes("waiting 500"))
    expect(errors[0]?.code).toBe("HANDSHAKE_TIMEOUT")
    clock.advance(500)
    await relay.session(1)
  })

  it("keeps increasing the wait when the relay drops it right after WELCOME", async () => {
    const { relay, clock, events } = await openSession()
    for (const [round, waitMs] of waits(8).entries()) {
      await until("online", () => events.filter((name) => name === "online").length === round + 1)
      ;(await relay.session(round)).socket.terminate()
      await until("the wait", () => events.at(-1) === `waiting ${waitMs}`)
      clock.advance(waitMs)
    }
  })

  it("starts with a short wait again after a session that lasted 10 s", async () => {
    const { relay, clock, events } = await openSession()
    for (let round = 0; round < 3; round++) {
      await until("online", () => events.filter((name) => name === "online").length === round + 1)
      clock.advance(15_000)
      ;(await relay.session(round)).socket.terminate()
      await until("the wait", () => events.at(-1) === "waiting 500")
      clock.advance(500)
    }
  })

  it("stops when the same identity connects elsewhere", async () => {
    const { relay, events, errors, clock } = await openSession()
    await until("online", () => events.includes("online"))
    const { socket } = await relay.session()
    socket.send(JSON.stringify({ type: "SESSION_DISPLACED", reason: "elsewhere", ts: 1 }))
    socket.close(4001)
    await until("the end", () => events.includes("stopped"))
    expect(errors.at(-1)?.code).toBe("SESSION_DISPLACED")
    clock.advance(120_000)
    expect(relay.sessions).toHaveLength(1)
  })

  it("connects again when a late connection of its own process took it over", async () => {
    const { relay, events, errors, clock } = await openSession()
    await until("online", () => events.includes("online"))
    const first = await relay.session()
    const { process, attempt } = first.frames.find((frame) => frame.type === "IDENTIFY") ?? {}
    expect(process).toMatch(/^[\w-]{12}$/)
    first.send({ type: "SESSION_DISPLACED", reason: "elsewhere", process, ts: 1 })
    await until("the loss", () => events.some((event) => event.startsWith("waiting")))
    expect(errors[0]).toMatchObject({ code: "UNREACHABLE", message: expect.stringContaining("this process") })
    clock.advance(120_000)
    const second = await relay.session(1)
    const again = await until("IDENTIFY", () => second.frames.find((frame) => frame.type === "IDENTIFY"))
    expect(again).toMatchObject({ process, attempt: Number(attempt) + 1 })
  })

  it("reads nothing while it is paused, and the next connection starts paused too", async () => {
    const { relay, clock, events, session } = await openSession()
    await until("online", () => events.includes("online"))
    session.setPaused(true)
    ;(await relay.session()).socket.terminate()
    await until("the wait", () => events.includes("waiting 500"))
    clock.advance(500)
    const { socket } = await relay.session(1)
    await until("online again", () => events.at(-1) === "online")
    const control = await openSession({ url: relay.url })
    const other = await relay.session(2)
    await until("the control session online", () => control.events.includes("online"))
    const notice = JSON.stringify({ type: "TASK_LOST", task: "t", reason: "x".repeat(100_000), ts: 1 })
    for (let i = 0; i < 300; i++) socket.send(notice)
    for (let i = 0; i < 300; i++) other.socket.send(notice)
    const received = (names: readonly string[]) => names.filter((name) => name === "TASK_LOST").length
    await until("the control to have read all", () => received(control.events) === 300)
    expect(received(events)).toBeLessThan(100)
    session.setPaused(false)
    await until("all of it", () => received(events) === 300)
  })

  it("can be closed in every state, and then makes no further attempt", async () => {
    const online = await openSession()
    await until("online", () => online.events.includes("online"))
    await online.session.close()
    await online.session.close()
    const waiting = await openSession({ answers: { IDENTIFY: () => undefined } })
    ;(await waiting.relay.session()).socket.terminate()
    await until("the wait", () => waiting.events.includes("waiting 500"))
    await waiting.session.close()
    const connecting = await openSession({ answers: { IDENTIFY: () => undefined } })
    await connecting.relay.session()
    await connecting.session.close()
    for (const { events, session, clock, relay } of [online, waiting, connecting]) {
      expect(session.state).toBe("stopped")
      const before = events.length
      clock.advance(120_000)
      expect(events).toHaveLength(before)
      expect(relay.sessions).toHaveLength(1)
    }
  })
})
