import { describe, expect, it } from "vitest"
import { noTracer } from "../../../src/base/tracer.js"
import type { SignedDraft } from "../../../src/client/deals/deal-engine.js"
import type { Ack } from "../../../src/daemon/delivery/acks.js"
import type { OutboxLine } from "../../../src/daemon/outbox/outbox.js"
import { OutboxSender, type SenderOptions } from "../../../src/daemon/outbox/sender.js"
import type { ClientFrame } from "../../../src/protocol/client-messages.js"
import type { AgentRef } from "../../../src/protocol/names.js"
import type { ServerMessage } from "../../../src/protocol/server-messages.js"
import type { Draft } from "../../../src/protocol/statements.js"
import { until } from "../../kit/condition.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { welcome } from "../../kit/fake-relay.js"

interface Sent {
  readonly type: string
  readonly id: string
}

const unsigned: SenderOptions["signer"]["sign"] = () => Promise.reject(new Error("unexpected draft"))

/** A sender between a list of lines and a list of sent frames. */
function senderOf(
  limits: object = { rate_per_s: 1_000_000, burst: 1_000_000 },
  { sign = unsigned, guard = () => "go" }: { sign?: typeof unsigned; guard?: () => "go" | "wait" } = {},
) {
  const clock = new FakeClock()
  const waiting: OutboxLine[] = []
  const taken: OutboxLine[] = []
  const settled: string[] = []
  const rejected: string[] = []
  const sent: Sent[] = []
  const acks: Ack[] = []
  const unavailable: (string | undefined)[] = []
  const outbox = {
    get pending() {
      return waiting.length
    },
    take: (max: number) => {
      const lines = waiting.splice(0, max)
      taken.push(...lines)
      return lines
    },
    takeOvertaking: () => [],
    release: () => {
      waiting.unshift(...taken.splice(0).filter(({ at }) => !settled.includes(at)))
    },
    rejectLine: (line: OutboxLine) => {
      rejected.push(line.id)
      line.settle()
    },
  }
  const sender = new OutboxSender({
    tracer: noTracer,
    outbox,
    clock,
    acks: {
      append: (ack: Ack) => void acks.push(ack),
      lineOf: (id: string) => acks.find((ack) => ack.id === id)?.line_sha256,
      wasAccepted: ({ id, sha256 }) => acks.some((ack) => ack.id === id && ack.line_sha256 === sha256),
    },
    effects: { accepted: () => {}, rejected: () => {} },
    breaker: { verdict: guard },
    names: { attach: () => {}, idOf: () => undefined, accepted: () => {}, refused: () => {} },
    signer: {
      ...{ sign, signClaim: (claim) => claim, signAnswer: (done) => done, markStale: () => {} },
      signMessage: (frame) => frame,
    },
    approvals: { gate: () => undefined },
    onUnavailable: (reason) => unavailable.push(reason?.code),
  })
  const write = (
    id: string,
    frame: ClientFrame | Draft = { type: "MSG", to: "#general", content: id },
    sha256 = `sha-${id}`,
  ) => {
    const at = `${waiting.length}:${id}:${taken.length}`
    waiting.push({ at, id, sha256, frame, settle: () => void settled.push(at) } as OutboxLine)
    sender.send()
  }
  const session = {
    welcome: welcome("bob", "@aaaaaaaa", "relay-1", limits) as ServerMessage<"WELCOME">,
    bufferedBytes: 0,
    send: (frame: ClientFrame) => void sent.push({ type: frame.type, id: frame.id ?? "" }),
  }
  return {
    clock,
    sender,
    write,
    session,
    sent,
    settled,
    rejected,
    acks,
    unavailable,
    ids: () => sent.map(({ id }) => id),
  }
}

const ack = (re: string): ServerMessage => ({
  type: "ACK",
  re,
  msg_id: `me.${re}`,
  ts: 7,
  state: "accepted",
  seq: 3,
})
const tooFast = (re: string, ms = 500): ServerMessage => ({
  type: "ERROR",
  re,
  code: "RATE_LIMITED",
  message: "too fast",
  retry_after_ms: ms,
})

describe("the outbox sender", () => {
  it("sends in order, and settles a line only once it is answered", () => {
    const { sender, write, session, ids, settled, acks } = senderOf()
    sender.attach(session)
    for (const id of ["a", "b", "c"]) write(id)
    expect(ids()).toEqual(["a", "b", "c"])
    expect(settled).toEqual([])
    expect(sender.answer(ack("a"))).toBe(true)
    expect(settled).toHaveLength(1)
    expect(acks).toEqual([
      { line_sha256: "sha-a", id: "a", msg_id: "me.a", state: "accepted", ts: 7, evidence: { seq: 3 } },
    ])
  })

  it("rejects another line of the same id, and sends the same line again", () => {
    const { sender, write, session, ids, settled, rejected } = senderOf()
    sender.attach(session)
    write("a")
    write("a", { type: "MSG", to: "#general", content: "other" }, "sha-other")
    write("a")
    expect(ids()).toEqual(["a"])
    sender.answer(ack("a"))
    expect(rejected).toEqual(["a"])
    expect(ids()).toEqual(["a", "a"])
    sender.answer(ack("a"))
    expect(settled).toHaveLength(3)
  })

  it("sends requests before a message that waits for the rate, and none before a JOIN", () => {
    const { sender, write, session, ids, clock } = senderOf({ rate_per_s: 1, burst: 1 })
    sender.attach(session)
    for (const id of ["a", "b"]) write(id)
    write("q", { type: "LIST_AGENTS" })
    expect(ids()).toEqual(["a", "q"])
    expect(sender.wait).toMatchObject({ reason: "rate", message: "the relay's rate" })
    expect(sender.wait?.until).toBeGreaterThan(clock.now())
    write("j", { type: "JOIN", channel: "#x" })
    write("p", { type: "PING" })
    expect(ids()).toEqual(["a", "q"])
    clock.advance(1_100)
    expect(ids()).toEqual(["a", "q", "b", "j", "p"])
    expect(sender.wait).toBeUndefined()
  })

  it("lets requests share an id", () => {
    const { sender, write, session, ids, rejected } = senderOf()
    sender.attach(session)
    write("q", { type: "PING" })
    write("q", { type: "LIST_CHANNELS" }, "sha-other")
    sender.answer({ type: "PONG", re: "q", ts: 1 })
    expect(ids()).toEqual(["q", "q"])
    expect(rejected).toEqual([])
  })

  it("sends nothing without a session, and everything once there is one", () => {
    const { sender, write, session, ids } = senderOf()
    write("a")
    expect(ids()).toEqual([])
    sender.attach(session)
    expect(ids()).toEqual(["a"])
  })

  it("keeps at most 256 lines in flight", () => {
    const { sender, write, session, ids } = senderOf()
    sender.attach(session)
    for (let i = 0; i < 400; i++) write(`m${i}`)
    expect(ids()).toHaveLength(256)
    sender.answer(ack("m0"))
    expect(ids().at(-1)).toBe("m256")
  })

  it("keeps to the relay's rate: a burst of 10, then 0.98 per second", () => {
    const { clock, sender, write, session, ids } = senderOf({ rate_per_s: 1, burst: 10 })
    sender.attach(session)
    for (let i = 0; i < 30; i++) write(`m${i}`)
    expect(ids()).toHaveLength(10)
    clock.advance(10_000)
    expect(ids()).toHaveLength(19)
    clock.advance(20_000)
    expect(ids()).toEqual(Array.from({ length: 30 }, (_, i) => `m${i}`))
  })

  it("counts long lines as the relay does, and sends one of any length once the burst is unused", () => {
    const { clock, sender, write, session, ids } = senderOf({ rate_per_s: 1, burst: 4, rate_bytes: 1_000 })
    sender.attach(session)
    const long = (content: string): ClientFrame => ({ type: "MSG", to: "#general", content })
    write("three", long("x".repeat(2_000)))
    write("one")
    write("nine", long("ü".repeat(4_000)))
    write("last")
    expect(ids()).toEqual(["three", "one"])
    clock.advance(4_000)
    expect(ids()).toHaveLength(2)
    clock.advance(1_000)
    expect(ids()).toHaveLength(3)
    clock.advance(5_000)
    expect(ids()).toHaveLength(3)
    clock.advance(2_000)
    expect(ids()).toEqual(["three", "one", "nine", "last"])
  })

  it("keeps its rate count over a lost session, as the relay does", () => {
    const { clock, sender, write, session, ids } = senderOf({ rate_per_s: 1, burst: 2 })
    sender.attach(session)
    for (const id of ["a", "b"]) write(id)
    sender.answer(ack("a"))
    sender.answer(ack("b"))
    sender.detach()
    sender.attach(session)
    write("c")
    expect(ids()).toEqual(["a", "b"])
    clock.advance(1_100)
    expect(ids()).toEqual(["a", "b", "c"])
  })

  it("restarts its rate count with another relay or other limits", () => {
    for (const other of [{ rate_per_s: 2 }, { server_id: "relay-2" }]) {
      const { sender, write, session, ids } = senderOf({ rate_per_s: 1, burst: 1 })
      sender.attach(session)
      write("a")
      write("b")
      sender.answer(ack("a"))
      sender.detach()
      const { welcome: before } = session
      const limits = { ...before.limits, ...other }
      sender.attach({ ...session, welcome: { ...before, ...other, limits } })
      expect(ids()).toEqual(["a", "b"])
    }
  })

  it("does not count frames that are not messages", () => {
    const { sender, write, session, ids } = senderOf({ rate_per_s: 1, burst: 1 })
    sender.attach(session)
    write("j", { type: "JOIN", channel: "#a" })
    write("k", { type: "JOIN", channel: "#b" })
    write("m")
    expect(ids()).toEqual(["j", "k", "m"])
  })

  it("sends lines refused with RATE_LIMITED again, in order and under the same ids", () => {
    const { clock, sender, write, session, ids, rejected, settled } = senderOf()
    sender.attach(session)
    for (const id of ["a", "b", "c"]) write(id)
    sender.answer(ack("a"))
    sender.answer(tooFast("b"))
    sender.answer(tooFast("c"))
    write("d")
    expect(ids()).toEqual(["a", "b", "c"])
    clock.advance(500)
    expect(ids()).toEqual(["a", "b", "c", "b", "c", "d"])
    expect([rejected, settled.length]).toEqual([[], 1])
  })

  it("sends refused lines again in their order, whichever refusal came first", () => {
    const { clock, sender, write, session, ids } = senderOf()
    sender.attach(session)
    for (const id of ["a", "b", "c", "d"]) write(id)
    for (const id of ["d", "a", "c"]) sender.answer(tooFast(id))
    sender.answer(ack("b"))
    write("e")
    clock.advance(500)
    expect(ids()).toEqual(["a", "b", "c", "d", "a", "c", "d", "e"])
  })

  it("waits for the answer to a line before one that was refused", () => {
    const { clock, sender, write, session, ids } = senderOf()
    sender.attach(session)
    for (const id of ["a", "b", "c"]) write(id)
    sender.answer(tooFast("b"))
    sender.answer(ack("c"))
    clock.advance(500)
    write("d")
    expect(ids()).toEqual(["a", "b", "c"])
    sender.answer(tooFast("a"))
    clock.advance(500)
    expect(ids()).toEqual(["a", "b", "c", "a", "b", "d"])
  })

  it("keeps a draft that waits while the one before it waits for the rate", async () => {
    const sign = (_draft: Draft, key: string) =>
      Promise.resolve({ statement: { id: key.split(" ")[0] }, isKnown: false } as SignedDraft)
    const { clock, sender, write, session, ids } = senderOf({ rate_per_s: 1, burst: 1 }, { sign })
    const sent = async (count: number) => await until(`${count} are sent`, () => ids().length === count)
    sender.attach(session)
    write("first", { type: "PROPOSAL", to: "@bob" as AgentRef, task: "one" })
    await sent(1)
    write("second", { type: "REJECT", proposal_id: "prop_2" })
    sender.answer(tooFast("first"))
    clock.advance(500)
    expect(ids()).toEqual(["first"])
    clock.advance(1_000)
    await sent(2)
    sender.answer({ type: "ERROR", re: "first", code: "AGENT_NOT_FOUND", message: "nobody" })
    await sent(3)
    expect(ids()).toEqual(["first", "first", "second"])
  })

  it("sends all messages its own guard held, however many there are", () => {
    let verdict: "go" | "wait" = "wait"
    const { sender, write, session, ids } = senderOf(undefined, { guard: () => verdict })
    sender.attach(session)
    for (let i = 0; i < 300; i++) write(`m${i}`)
    expect(ids()).toEqual([])
    verdict = "go"
    sender.send()
    for (let i = 0; i < 300; i++) sender.answer(ack(`m${i}`))
    expect(ids()).toEqual(Array.from({ length: 300 }, (_, i) => `m${i}`))
  })

  it("rejects a line that the relay refuses for good", () => {
    const { sender, write, session, rejected, settled } = senderOf()
    sender.attach(session)
    write("a")
    sender.answer({ type: "ERROR", re: "a", code: "AGENT_NOT_FOUND", message: "nobody" })
    expect([rejected, settled.length]).toEqual([["a"], 1])
  })

  it("sends unanswered lines again after a lost session, and no answered one", () => {
    const { sender, write, session, ids } = senderOf()
    sender.attach(session)
    for (const id of ["a", "b", "c"]) write(id)
    sender.answer(ack("a"))
    sender.detach()
    sender.attach(session)
    expect(ids()).toEqual(["a", "b", "c", "b", "c"])
  })

  it("settles both of two lines with the same id", () => {
    const { sender, write, session, settled } = senderOf()
    sender.attach(session)
    write("same")
    write("same")
    sender.answer(ack("same"))
    sender.answer(ack("same"))
    expect(settled).toHaveLength(2)
    expect(sender.answer(ack("same"))).toBe(false)
  })

  it("waits while the socket is full", () => {
    const { sender, write, session, ids } = senderOf()
    session.bufferedBytes = 2 * 1024 * 1024
    sender.attach(session)
    write("a")
    expect(ids()).toEqual([])
    session.bufferedBytes = 0
    sender.send()
    expect(ids()).toEqual(["a"])
  })

  it("does not take answers that belong to no line", () => {
    const { sender, session } = senderOf()
    sender.attach(session)
    expect(sender.answer({ type: "PONG", ts: 1 })).toBe(false)
    expect(sender.answer(ack("unknown"))).toBe(false)
  })

  it("retries a line that the relay cannot store, and reports why until it is accepted", () => {
    const { clock, sender, write, session, ids, rejected, settled, unavailable } = senderOf()
    sender.attach(session)
    write("a")
    const down = { type: "ERROR", re: "a", code: "UNAVAILABLE", message: "no store" } as const
    sender.answer(down)
    clock.advance(1_000)
    sender.answer(down)
    clock.advance(1_000)
    expect([ids(), rejected, settled]).toEqual([["a", "a", "a"], [], []])
    sender.answer(ack("a"))
    expect([unavailable, settled.length]).toEqual([["UNAVAILABLE", "UNAVAILABLE", undefined], 1])
    write("b")
    sender.answer({ ...down, re: "b" })
    sender.detach()
    expect(unavailable.slice(3)).toEqual(["UNAVAILABLE", undefined])
  })

  it("retries AGENT_NOT_FOUND for 5 s longer than the relay was away after it restarted", () => {
    const { clock, sender, write, session, ids, rejected, settled } = senderOf()
    const unknown = { type: "ERROR", re: "a", code: "AGENT_NOT_FOUND", message: "to: not known" } as const
    const restarted = { ...session, welcome: { ...session.welcome, server_id: "relay-2" } }
    sender.attach(session)
    sender.detach()
    clock.advance(2_000)
    sender.attach(session)
    write("x")
    sender.answer({ ...unknown, re: "x" })
    expect(rejected).toEqual(["x"])
    sender.detach()
    clock.advance(2_000)
    sender.attach(restarted)
    write("a")
    write("b")
    sender.answer(unknown)
    sender.answer(ack("b"))
    clock.advance(1_000)
    expect([ids(), rejected]).toEqual([["x", "a", "b", "a"], ["x"]])
    sender.answer(ack("a"))
    expect(settled).toHaveLength(3)
    clock.advance(6_000)
    write("c")
    sender.answer({ ...unknown, re: "c" })
    expect(rejected).toEqual(["x", "c"])
  })

  it("retries AGENT_NOT_FOUND for 65 s in the first session if lines waited for it, as after a reboot", () => {
    const { clock, sender, write, session, ids, rejected } = senderOf()
    write("a")
    sender.attach(session)
    const unknown = { type: "ERROR", re: "a", code: "AGENT_NOT_FOUND", message: "to: not known" } as const
    sender.answer(unknown)
    clock.advance(1_000)
    expect([ids(), rejected]).toEqual([["a", "a"], []])
    clock.advance(64_000)
    sender.answer(unknown)
    expect(rejected).toEqual(["a"])
  })

  it("retries AGENT_NOT_FOUND for 65 s at most, and reports the reason", () => {
    const { clock, sender, write, session, rejected, unavailable } = senderOf()
    const unknown = { type: "ERROR", re: "a", code: "AGENT_NOT_FOUND", message: "to: not known" } as const
    sender.attach(session)
    sender.detach()
    clock.advance(8 * 3_600_000)
    sender.attach({ ...session, welcome: { ...session.welcome, server_id: "relay-2" } })
    clock.advance(64_000)
    write("a")
    sender.answer(unknown)
    expect([rejected, unavailable]).toEqual([[], ["AGENT_NOT_FOUND"]])
    clock.advance(1_000)
    sender.answer(unknown)
    expect([rejected, unavailable]).toEqual([["a"], ["AGENT_NOT_FOUND", undefined]])
  })
})
