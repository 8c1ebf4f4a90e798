import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { basename, join } from "node:path"
import { describe, expect, it } from "vitest"
import { ReaderCursor } from "../../src/daemon/inbox/reader-cursor.js"
import type { Channel } from "../../src/protocol/names.js"
import { until } from "../kit/condition.js"
import { DaemonHarness } from "../kit/daemon-harness.js"
import { FakeRelay, type FakeRelayOptions, joined, msg } from "../kit/fake-relay.js"
import { startOlderRelay } from "../kit/older-relay.js"

const eve = "@bbbbbbbb"
const ts = 1_800_000_000_000
const done = ({ id }: { id?: string }) => ({ type: "ACK", re: id, ts, state: "done" })
const task = {
  task: "bbbbbbbb.t1",
  role: "coder",
  from: eve,
  name: "eve",
  content: "do it",
  lease_ms: 60_000,
}

async function running(answers: FakeRelayOptions["answers"] = {}) {
  const relay = await FakeRelay.start({
    answers: {
      MSG: ({ id, to }, { key }) => ({
        type: "ACK",
        re: id,
        ts,
        state: "accepted",
        msg_id: `${daemon.self.slice(1)}.${String(id)}`,
        ...(to.startsWith("#") ? { seq: 1 } : {}),
        ...(to === "@eve" && key !== undefined ? { to: eve } : {}),
      }),
      EXTEND: done,
      DONE: done,
      FAIL: done,
      ...answers,
    },
  })
  const daemon = new DaemonHarness()
  await daemon.start(relay)
  const session = await relay.session()
  await session.received("JOIN")
  await until("online", () => daemon.status.connected)
  return { relay, daemon, session }
}

describe("a daemon", { timeout: 60_000 }, () => {
  it("drops and logs a message whose id does not begin with its sender's id", async () => {
    const { daemon, session } = await running()
    session.send(
      msg("cccccccc.1", { to: daemon.self, content: "as eve" }),
      msg("bbbbbbbbx.1", { content: "as eve" }),
      msg("bbbbbbbb.2", { content: "eve" }),
    )
    expect((await daemon.lines("MSG")).map(({ content }) => content)).toEqual(["eve"])
    expect(daemon.log.match(/sender-mismatch/g)).toHaveLength(2)
    expect(await daemon.lines("NOTICE", 2)).toMatchObject([
      { code: "VERIFICATION_FAILED", message: expect.stringContaining("sender-mismatch") },
      { code: "VERIFICATION_FAILED" },
    ])
    const confirmed = await session.received("RECEIVED").catch(() => [])
    expect(confirmed.flatMap(({ ids = [] }) => ids)).toEqual([])
  })

  it("accepts any message id from an older relay", async () => {
    const relay = await startOlderRelay()
    const daemon = new DaemonHarness()
    await daemon.start(relay, { compat: true })
    expect((await daemon.lines("MSG"))[0]).toMatchObject({
      msg_id: expect.stringMatching(/^older\./),
      verified: false,
    })
  })

  it("records each delivery stage of its message, and drops what others claim", async () => {
    const { daemon, session } = await running()
    daemon.write({ to: "@eve", content: "hi", id: "m1" })
    const [accepted] = await daemon.acksWith("accepted")
    const msgId = String(accepted?.["msg_id"])
    expect(accepted).toMatchObject({ id: "m1", evidence: { to: eve } })
    session.send(
      { type: "DELIVERY", msg_id: msgId, state: "mirrored", by: "@cccccccc", ts },
      { type: "DELIVERY", msg_id: msgId, state: "mirrored", by: eve, ts },
      { type: "DELIVERY", msg_id: msgId, state: "retrieved", by: eve, ts },
      msg("bbbbbbbb.9", { to: daemon.self, in_reply_to: msgId }),
    )
    const [answered] = await daemon.acksWith("answered")
    expect(answered).toMatchObject({
      line_sha256: accepted?.["line_sha256"],
      id: "m1",
      msg_id: msgId,
      by: eve,
      evidence: { msg_id: "bbbbbbbb.9" },
    })
    expect(daemon.acks.map(({ state }) => state)).toEqual(["accepted", "mirrored", "retrieved", "answered"])
    expect(daemon.log).toContain("sender-mismatch")
  })

  it("sends a read receipt for a message on disk, also over a restart", async () => {
    const { relay, daemon, session } = await running()
    session.send(msg("bbbbbbbb.1", { to: daemon.self }), msg("bbbbbbbb.2"))
    await daemon.lines("MSG", 2)
    await until("the confirmation", () =>
      session.frames.some((f) => f.type === "RECEIVED" && f.ids?.length === 1),
    )
    daemon.sweep()
    expect(session.frames.some((frame) => frame.type === "RECEIVED" && frame.retrieved !== undefined)).toBe(
      false,
    )
    ReaderCursor.open(daemon.paths, "me").confirm(2)
    daemon.sweep()
    const receipts = () =>
      relay.sessions.flatMap(({ frames }) =>
        frames.flatMap((frame) => (frame.type === "RECEIVED" && frame.retrieved ? [frame.retrieved] : [])),
      )
    await until("the stage", () => receipts().length === 1)
    session.send(msg("bbbbbbbb.3", { to: daemon.self }))
    await daemon.lines("MSG", 3)
    await daemon.stop()
    ReaderCursor.open(daemon.paths, "me").confirm(3)
    daemon.clock.advance(60_000)
    await daemon.start(relay)
    await until("the other stage", () => {
      daemon.sweep()
      return receipts().length === 2
    })
    expect(receipts()).toEqual([["bbbbbbbb.1"], ["bbbbbbbb.3"]])
  })

  it("writes a task to the inbox once, confirms it, and renews it while the agent works", async () => {
    const { daemon, session } = await running()
    const first = { type: "TASK", ...task, attempt: 1, ts }
    session.send(first, first)
    const [line] = await daemon.lines("TASK")
    expect(line).toMatchObject({ ...task, attempt: 1 })
    await until("the confirmation", () =>
      session.frames.some((frame) => frame.type === "RECEIVED" && frame.ids?.includes(task.task)),
    )
    daemon.clock.advance(20_000)
    expect(session.frames.filter(({ type }) => type === "EXTEND")).toEqual([])
    daemon.write({ type: "SET_PRESENCE", status: "working", activity: "it" })
    await until("presence", () => daemon.status.presence?.status === "working")
    expect(daemon.status).toMatchObject({ presence: { activity: "it", since: ts }, tasks: [task.task] })
    daemon.clock.advance(0)
    await session.received("EXTEND")
    daemon.write({ type: "DONE", task: task.task, content: "done", id: "d1" })
    await session.received("DONE")
    await until("the end", () => {
      daemon.sweep()
      return daemon.status.tasks.length === 0
    })
    expect((await daemon.lines("TASK")).length).toBe(1)
  })

  it("reports a lost task once, whether a renewal or the relay reports it first", async () => {
    const { daemon, session } = await running({
      EXTEND: ({ id }) => ({ type: "ERROR", re: id, code: "LEASE_LOST", message: "another has it" }),
    })
    daemon.write({ type: "SET_PRESENCE", status: "working" })
    await until("presence", () => daemon.status.presence?.status === "working")
    session.send(
      { type: "TASK", ...task, attempt: 1, ts },
      { type: "TASK", ...task, task: "bbbbbbbb.t2", attempt: 1, ts },
    )
    await daemon.lines("TASK", 2)
    session.send({ type: "TASK_LOST", task: task.task, reason: "timeout", ts })
    await daemon.lines("TASK_LOST")
    daemon.clock.advance(20_000)
    await daemon.lines("TASK_LOST", 2)
    session.send({ type: "TASK_LOST", task: "bbbbbbbb.t2", reason: "timeout", ts }, msg("bbbbbbbb.8"))
    await daemon.lines("MSG")
    const lost = await daemon.lines("TASK_LOST", 2)
    expect(lost.map(({ task, reason }) => [task, reason])).toEqual([
      ["bbbbbbbb.t1", "timeout"],
      ["bbbbbbbb.t2", "another has it"],
    ])
  })

  it("sets its presence and renews its tasks again on the next session and after a restart", async () => {
    const { relay, daemon, session } = await running()
    session.send({ type: "TASK", ...task, attempt: 1, ts })
    await daemon.lines("TASK")
    daemon.write({ type: "SET_PRESENCE", status: "working", activity: "it" })
    await until("presence", () => daemon.status.presence?.status === "working")
    session.socket.terminate()
    await until("the loss", () => daemon.status.state === "waiting")
    daemon.clock.advance(1_000)
    const second = await relay.session(1)
    expect(await second.received("SET_PRESENCE")).toMatchObject([{ status: "working", activity: "it" }])
    daemon.clock.advance(19_000)
    await second.received("EXTEND")
    await daemon.start(relay)
    const third = await relay.session(2)
    expect(await third.received("SET_PRESENCE")).toMatchObject([{ status: "working" }])
    await until("online", () => daemon.status.connected)
    daemon.clock.advance(0)
    expect(await third.received("EXTEND")).toMatchObject([{ task: task.task }])
  })

  it("writes a channel's settings to the inbox once, and again when they change", async () => {
    const settings = { description: "builds", instructions: "be brief" }
    const { relay, daemon, session } = await running({
      JOIN: ({ channel, id }) => ({
        ...joined(channel, id),
        ...(channel === "#ops" && { settings }),
        ...(channel.endsWith(">") && { pattern: channel }),
      }),
    })
    daemon.write({ type: "JOIN", channel: "#ops" })
    expect(await daemon.lines("JOINED")).toMatchObject([{ channel: "#ops", settings }])
    daemon.write({ type: "JOIN", channel: "#team.>" })
    await until("the pattern", () => {
      daemon.sweep()
      return daemon.status.patterns.length === 1
    })
    session.send(
      { ...joined("#team.a", undefined), pattern: "#team.>" },
      { ...joined("#team.b", undefined), pattern: "#team.>", settings, durable: true },
      { type: "CHANNEL_CHANGED", channel: "#ops", by: eve, settings: { description: "x" }, ts },
    )
    await daemon.lines("CHANNEL_CHANGED")
    expect(await daemon.lines("JOINED", 2)).toMatchObject([{ channel: "#ops" }, { channel: "#team.b" }])
    daemon.sweep()
    expect(daemon.status).toMatchObject({
      channels: ["#general", "#ops", "#team.a", "#team.b"],
      durable: ["#team.b"],
      patterns: ["#team.>"],
    })
    daemon.write({ type: "LEAVE", channel: "#team.>" })
    expect((await session.received("LEAVE", 3)).map(({ channel }) => channel)).toEqual([
      "#team.>",
      "#team.a",
      "#team.b",
    ])
    await daemon.start(relay)
    const again = await relay.session(1)
    await until("online", () => daemon.status.connected)
    expect((await again.received("JOIN", 2)).map(({ channel }) => channel)).toEqual(["#general", "#ops"])
    expect(await daemon.lines("JOINED", 2)).toHaveLength(2)
  })

  it("joins patterns from the start", async () => {
    const relay = await FakeRelay.start()
    const daemon = new DaemonHarness()
    await daemon.start(relay, { channels: ["#a", "#team.>"] as Channel[] })
    const session = await relay.session()
    expect((await session.received("JOIN", 2)).map(({ channel }) => channel)).toEqual(["#a", "#team.>"])
  })

  it("rejects nothing while the relay cannot reach its store, and shows the problem in its status", async () => {
    const down = { type: "ERROR", code: "UNAVAILABLE", message: "the store is away", retry_after_ms: 500 }
    let isDown = true
    const { daemon, session } = await running({
      JOIN: ({ channel, id }) => (isDown ? { ...down, re: id } : joined(channel, id)),
      PING: ({ id }) => (isDown ? { ...down, re: id } : { type: "PONG", re: id, ts }),
    })
    daemon.write({ type: "PING", id: "p1" })
    await until("the problem", () => {
      daemon.sweep()
      return daemon.status.problems.some(({ where }) => where === "relay")
    })
    expect(daemon.status.problems.map(({ where, code }) => [where, code])).toContainEqual([
      "relay",
      "UNAVAILABLE",
    ])
    expect(daemon.status.outbox.pending).toBe(1)
    isDown = false
    await until("the answer", () => {
      daemon.clock.advance(1_000)
      daemon.sweep()
      return (
        daemon.status.outbox.pending === 0 &&
        daemon.status.channels.length === 1 &&
        daemon.status.problems.length === 0
      )
    })
    expect(await daemon.acksWith("accepted")).toMatchObject([{ id: "p1" }])
    expect(session.frames.filter(({ type }) => type === "JOIN").length).toBeGreaterThan(1)
    expect(daemon.inbox.filter(({ type }) => type === "REJECTED" || type === "NOTICE")).toEqual([])
  })

  it("writes no control, bidi or zero-width character to any file but the outbox", async () => {
    const hostile = "a\u0085\u009b31m\u202e\u200b\u2066\ufeff\u007f b"
    const { daemon, session } = await running({ SET_PRESENCE: done })
    daemon.write({ type: "SET_PRESENCE", id: "p", status: "working", activity: hostile })
    daemon.write({ to: "#general", content: hostile, kind: 7 })
    await until("presence", () => daemon.status.presence?.activity === hostile)
    session.send(msg("bbbbbbbb.1", { to: daemon.self, content: hostile }))
    await daemon.lines("MSG")
    await daemon.stop()
    expect(daemon.status).toMatchObject({ presence: { activity: hostile } })
    const names = readdirSync(daemon.paths.dir, { recursive: true, encoding: "utf8" })
    const files = names.map((each) => join(daemon.paths.dir, each)).filter((path) => statSync(path).isFile())
    const read = files.filter((path) => !path.includes("outbox"))
    expect(read.map((path) => basename(path))).toEqual(
      expect.arrayContaining(["inbox.jsonl", "status.json", "memory.json", "rejected.jsonl", "daemon.log"]),
    )
    for (const path of read) {
      expect(readFileSync(path, "utf8").replaceAll("\n", ""), path).not.toMatch(/[\p{Cc}\p{Cf}]/u)
    }
  })

  it("shows in its status that it cannot read the cursors, and continues", async () => {
    const { daemon } = await running()
    writeFileSync(daemon.paths.cursors, "not a directory")
    daemon.sweep()
    expect(daemon.status.problems).toMatchObject([{ where: "cursors", code: "FILE_FAILED" }])
  })
})
