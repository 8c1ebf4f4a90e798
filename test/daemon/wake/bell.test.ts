import { existsSync, mkdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { describeProcess } from "../../../src/daemon/files/process-record.js"
import { ReaderCursor } from "../../../src/daemon/inbox/reader-cursor.js"
import { Claim, claimRecord } from "../../../src/daemon/process/pid-file.js"
import { confirmRing, confirmWait, newNonce } from "../../../src/daemon/wake/echo.js"
import { generateKeyPair } from "../../../src/identity/signer.js"
import type { Channel } from "../../../src/protocol/names.js"
import type { RosterEntry, ServerMessage } from "../../../src/protocol/server-messages.js"
import { maxLeaseMs } from "../../../src/protocol/wake.js"
import { until } from "../../kit/condition.js"
import { DaemonHarness } from "../../kit/daemon-harness.js"
import { type TestAgent, TestRelay } from "../../kit/relay.js"
import { StubSession } from "../../kit/stub-session.js"

/** bob's daemon with an idle session, and ann, who writes to bob. */
async function scene(change: (session: StubSession) => void = () => {}) {
  const relay = await TestRelay.start()
  const daemon = new DaemonHarness(relay.clock)
  const session = new StubSession(daemon)
  change(session)
  await daemon.start(relay.relay, { channels: ["#general" as Channel] }, session)
  await until("online", () => daemon.status.channels.includes("#general"))
  daemon.sweep()
  await session.settle()
  const ann = await relay.enterAs(generateKeyPair(), "ann", "#general")
  const send = async (content: string, more: object = {}) => {
    await ann.wire.ask({ type: "MSG", to: daemon.self, content, ...more })
    const line = await until("the line", () => daemon.inbox.find((each) => each["content"] === content))
    await until("a look at the line", () => {
      daemon.clock.advance(20)
      daemon.sweep()
      const memory = JSON.parse(readFileSync(daemon.paths.memory, "utf8")) as { wake?: { seq?: number } }
      return (memory.wake?.seq ?? 0) >= Number(line["seq"])
    })
  }
  return { relay, daemon, session, ann, send }
}

async function entryOf({ wire }: TestAgent, id: string): Promise<RosterEntry | undefined> {
  const answer = (await wire.ask({ type: "LIST_AGENTS", agent: id })) as ServerMessage<"AGENTS">
  return answer.roster[0]
}

async function stagesFor({ wire }: TestAgent) {
  const messages = await wire.settle()
  return messages.flatMap((message) => (message.type === "DELIVERY" ? [[message.state, message.method]] : []))
}

describe("an idle session", () => {
  it("is rung for a direct message, and its echo proves it to everybody", async () => {
    const { daemon, session, ann, send } = await scene()
    await send("secret words")
    const ring = await session.ring()
    expect(ring).toMatch(
      /^agentchat-ring [0-9a-f]{32}: 1 unread message .*1 from @[0-9a-f]{16} "ann" unverified/,
    )
    expect(ring).not.toContain("secret words")
    expect(daemon.status.wake.proven).toBeNull()
    await session.answer(ring)
    await until("the lease", () => daemon.status.wake.proven ?? undefined)
    expect(daemon.status.wake).toMatchObject({ ring: null, failed: null })
    await expect.poll(async () => (await entryOf(ann, daemon.self))?.wakeable?.method).toBe("stub-door")
    expect(await stagesFor(ann)).toEqual(
      expect.arrayContaining([
        ["mirrored", undefined],
        ["rung", "stub-door"],
        ["in_context", "hook"],
      ]),
    )
  })

  it("is rung once for several messages, and again for those that come after its echo", async () => {
    const { session, send } = await scene()
    await send("one")
    const ring = await session.ring()
    await send("two")
    await session.pass(5_000)
    expect(session.rings).toHaveLength(1)
    await session.answer(ring)
    await send("three")
    expect(await session.ring(2)).toContain("1 unread message")
  })

  it.each([
    ["a message of kind status", { kind: "status" }],
    ["an ack", { kind: "ack" }],
    ["an automatic message", { kind: "auto" }],
  ])("is not rung for %s", async (_name, more) => {
    const { session, send } = await scene()
    await send("quiet", more)
    await session.pass(5_000)
    expect(session.rings).toEqual([])
  })

  it("is not rung for a message that was read in the meantime", async () => {
    const { daemon, session, send } = await scene((each) => (each.isBusy = true))
    await send("early")
    ReaderCursor.open(daemon.paths, "me").confirm(100)
    session.hook(false)
    await session.pass(5_000)
    expect(session.rings).toEqual([])
  })

  it("that reads without an echo withdraws its ring, and no failure is counted", async () => {
    const { daemon, session, send } = await scene()
    await send("one")
    await session.ring()
    ReaderCursor.open(daemon.paths, "me").confirm(100)
    daemon.sweep()
    await until("no ring", () => {
      daemon.clock.advance(20)
      daemon.sweep()
      return daemon.status.wake.ring === null
    })
    await session.pass(70_000)
    expect(daemon.status.wake.failed).toBeNull()
    expect(session.rings).toHaveLength(1)
  })

  it("is not rung while it works, but once when it is idle again, for all that came", async () => {
    const { session, send } = await scene((each) => (each.isBusy = true))
    await send("one")
    await send("hello all", { to: "#general" })
    await session.pass(10_000)
    expect(session.rings).toEqual([])
    session.hook(false)
    expect(await session.ring()).toContain("2 unread messages")
    await session.pass(5_000)
    expect(session.rings).toHaveLength(1)
  })

  it("is rung once its door opens, for all that came while it was closed", async () => {
    const { daemon, session, send } = await scene((each) => (each.isClosed = true))
    await send("one")
    await send("hello all", { to: "#general" })
    await session.pass(10_000)
    expect([session.rings, daemon.status.wake.doors, daemon.status.wake.failed]).toEqual([
      ...[[], ["stub-door"], null],
    ])
    session.isClosed = false
    session.hook(false)
    expect(await session.ring()).toContain("2 unread messages")
  })

  it("is rung while it works for what concerns it alone, if the harness keeps the ring until a tool call has ended", async () => {
    const { session, send } = await scene((each) => {
      each.isBusy = true
      each.queues = true
    })
    await send("hello all", { to: "#general" })
    await session.pass(70_000)
    expect(session.rings).toEqual([])
    await send("one")
    expect(await session.ring()).toContain("1 unread message")
  })
})

describe("a ring that fails", () => {
  it.each(["ECONNREFUSED", "EPERM", "no living process is on the thread"])(
    "with %s is tried again later and later, and the message stays in the inbox",
    async (reason) => {
      const { daemon, session, send } = await scene((each) => (each.refusal = reason))
      await send("one")
      await until("the failure", () => {
        daemon.clock.advance(20)
        daemon.sweep()
        return daemon.status.wake.failed ?? undefined
      })
      expect(daemon.status.wake.failed).toMatchObject({ method: "stub-door", reason })
      session.refusal = undefined
      await session.pass(20_000)
      expect(session.rings).toEqual([])
      await session.pass(11_000)
      expect(await session.ring()).toContain("1 unread message")
      expect(daemon.inbox.filter(({ content }) => content === "one")).toHaveLength(1)
    },
  )

  it("because nobody echoes withdraws the lease, and rings six times at most", async () => {
    const { daemon, session, ann, send } = await scene()
    await send("one")
    await session.answer(await session.ring())
    await expect.poll(async () => (await entryOf(ann, daemon.self))?.wakeable).toBeDefined()
    await send("two")
    await session.ring(2)
    await session.pass(61_000)
    await expect.poll(async () => (await entryOf(ann, daemon.self))?.wakeable).toBeUndefined()
    for (let hour = 0; hour < 20; hour++) await session.pass(3_600_000)
    expect(session.rings.length).toBeLessThanOrEqual(7)
    const before = session.rings.length
    session.hook(false)
    expect(await session.ring(before + 1)).toContain("1 unread message")
  })

  it("is proven by no other number than its own", async () => {
    const { daemon, session, send } = await scene()
    await send("one")
    await session.ring()
    confirmRing(daemon.paths, newNonce(), daemon.clock.now())
    daemon.sweep()
    await session.settle()
    expect(daemon.status.wake.proven).toBeNull()
  })
})

describe("a lease", () => {
  it("ends 6 hours after its echo, and with its session", async () => {
    const { daemon, session, ann, send } = await scene()
    await send("one")
    await session.answer(await session.ring())
    await until("the lease", () => daemon.status.wake.proven ?? undefined)
    daemon.clock.advance(maxLeaseMs)
    expect((await entryOf(ann, daemon.self))?.wakeable).toBeUndefined()
    await send("two")
    await session.answer(await session.ring(2))
    await expect.poll(async () => (await entryOf(ann, daemon.self))?.wakeable).toBeDefined()
    session.isThere = false
    session.hook(false)
    await session.settle()
    await expect.poll(async () => (await entryOf(ann, daemon.self))?.wakeable).toBeUndefined()
  })

  it("is shown again by a daemon that was restarted", async () => {
    const { relay, daemon, session, ann, send } = await scene()
    await send("one")
    await session.answer(await session.ring())
    await until("the lease", () => daemon.status.wake.proven ?? undefined)
    await daemon.stop()
    await daemon.start(relay.relay, {}, session)
    await expect.poll(async () => (await entryOf(ann, daemon.self))?.wakeable?.method).toBe("stub-door")
    expect(existsSync(daemon.paths.echoes)).toBe(false)
  })
})

describe("attention", () => {
  const rows: [attention: string, channel: string, direct: boolean, mention: boolean, ambient: boolean][] = [
    ["open", "open", true, true, true],
    ["focus", "open", true, true, false],
    ["dnd", "open", false, false, false],
    ["open", "quiet", true, true, false],
    ["focus", "quiet", true, true, false],
    ["open", "muted", true, false, false],
    ["dnd", "muted", false, false, false],
  ]

  it.each(rows)("%s, in a channel that is %s: direct %s, mention %s, ambient %s", async (...row) => {
    const [attention, channel, ...expected] = row
    const { daemon, session, send } = await scene()
    daemon.write({ type: "SET_PRESENCE", status: "idle", attention })
    daemon.write({ type: "SET_ATTENTION", channel: "#general", attention: channel })
    await daemon.acksWith("accepted", 2)
    const isRung: boolean[] = []
    const tries = [{}, { to: "#general", mentions: [daemon.self] }, { to: "#general" }]
    for (const [index, more] of tries.entries()) {
      const before = session.rings.length
      await send(`message ${index}`, more)
      await session.pass(3_000)
      isRung.push(session.rings.length > before)
      if (isRung[index] === true) await session.answer(session.rings.at(-1) ?? "")
      await session.settle()
    }
    expect(isRung).toEqual(expected)
  })

  it("is in the roster and over restarts, with the channels", async () => {
    const { relay, daemon, session, ann } = await scene()
    daemon.write({ type: "SET_PRESENCE", status: "idle", attention: "dnd" })
    daemon.write({ type: "SET_ATTENTION", channel: "#general", attention: "muted" })
    await daemon.acksWith("accepted", 2)
    await daemon.stop()
    await daemon.start(relay.relay, {}, session)
    await until("online", () => daemon.status.connected)
    await expect.poll(async () => (await entryOf(ann, daemon.self))?.attention).toBe("dnd")
    expect(daemon.status.wake.channels).toEqual({ "#general": "muted" })
    expect(readFileSync(daemon.paths.memory, "utf8")).toContain("muted")
  })
})

describe("a `wait` that runs", () => {
  it("takes the place of a ring, and proves by its echo that it ended with a message", async () => {
    const { daemon, session, ann, send } = await scene()
    mkdirSync(daemon.paths.waits, { recursive: true })
    const holder = { process: describeProcess(process.pid), socket: "" }
    const claim = await claimRecord(join(daemon.paths.waits, "wait-me.json"), holder, daemon.clock)
    await until("the number that it returns", () => {
      daemon.clock.advance(20)
      daemon.sweep()
      return daemon.status.wake.waits && existsSync(join(daemon.paths.echoes, "wait"))
    })
    await send("one")
    expect(session.rings).toEqual([])
    ReaderCursor.open(daemon.paths, "me").take([1, 2, 3], "wait")
    if (claim instanceof Claim) claim.release()
    expect(confirmWait(daemon.paths, daemon.clock.now())).toBe(true)
    daemon.sweep()
    await until("the lease", () => daemon.status.wake.proven ?? undefined)
    expect(daemon.status.wake.proven).toMatchObject({ method: "wait" })
    expect(await stagesFor(ann)).toEqual(expect.arrayContaining([["in_context", "wait"]]))
    for (let minute = 0; minute < 3; minute++) await session.pass(61_000)
    expect(daemon.status.wake.proven).toBeNull()
    expect(session.rings).toEqual([])
  })
})

describe("a test of waking", () => {
  it("rings although nothing is unread, and its echo proves it", async () => {
    const { daemon, session } = await scene()
    expect(await daemon.testWake()).toBe("stub-door")
    expect(session.rings[0]).toContain("Nothing is unread")
    await session.answer(session.rings[0] ?? "")
    await until("the lease", () => daemon.status.wake.proven ?? undefined)
  })

  it.each([
    [
      "there is no session",
      (session: StubSession) => (session.isThere = false),
      "no session of a coding harness",
    ],
    ["the door is dead", (session: StubSession) => (session.refusal = "EPERM"), "cannot be rung: EPERM"],
    ["the session works", (session: StubSession) => (session.isBusy = true), "the session is working"],
  ])("says why it cannot ring: %s", async (_name, change, message) => {
    const { daemon } = await scene(change)
    await expect(daemon.testWake()).rejects.toThrow(message)
  })
})
