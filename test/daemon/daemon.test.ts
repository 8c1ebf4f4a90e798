import { writeFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { ReaderCursor } from "../../src/daemon/inbox/reader-cursor.js"
import type { Channel } from "../../src/protocol/names.js"
import { until } from "../kit/condition.js"
import { DaemonRoom } from "../kit/daemon-room.js"
import { FakeRelay, type FakeRelayOptions, joined, msg } from "../kit/fake-relay.js"

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
        msg_id: `${room.self.slice(1)}.${String(id)}`,
        ...(to.startsWith("#") ? { seq: 1 } : {}),
        ...(to === "@eve" && key !== undefined ? { to: eve } : {}),
      }),
      EXTEND: done,
      DONE: done,
      FAIL: done,
      ...answers,
    },
  })
  const room = new DaemonRoom()
  await room.start(relay)
  const session = await relay.session()
  await session.heard("JOIN")
  await until("online", () => room.status.connected)
  return { relay, room, session }
}

describe("a daemon", { timeout: 60_000 }, () => {
  it("drops and logs a message whose id does not begin with its sender's id", async () => {
    const { room, session } = await running()
    session.say(
      msg("cccccccc.1", { to: room.self, content: "as eve" }),
      msg("bbbbbbbbx.1", { content: "as eve" }),
      msg("bbbbbbbb.2", { content: "eve" }),
    )
    expect((await room.lines("MSG")).map(({ content }) => content)).toEqual(["eve"])
    expect(room.log.match(/sender-mismatch/g)).toHaveLength(2)
    const confirmed = await session.heard("RECEIVED").catch(() => [])
    expect(confirmed.flatMap(({ ids = [] }) => ids)).toEqual([])
  })

  it("accepts any message id from an older relay", async () => {
    const relay = await FakeRelay.start()
    const room = new DaemonRoom()
    await room.start(relay, { compat: true })
    const session = await relay.session()
    await session.heard("JOIN")
    session.say(msg("older.1"))
    await room.lines("MSG")
  })

  it("records each delivery stage of its message, and drops what others claim", async () => {
    const { room, session } = await running()
    room.write({ to: "@eve", content: "hi", id: "m1" })
    const [accepted] = await room.rungs("accepted")
    const msgId = String(accepted?.["msg_id"])
    expect(accepted).toMatchObject({ id: "m1", evidence: { to: eve } })
    session.say(
      { type: "DELIVERY", msg_id: msgId, state: "mirrored", by: "@cccccccc", ts },
      { type: "DELIVERY", msg_id: msgId, state: "mirrored", by: eve, ts },
      { type: "DELIVERY", msg_id: msgId, state: "retrieved", by: eve, ts },
      msg("bbbbbbbb.9", { to: room.self, in_reply_to: msgId }),
    )
    const [answered] = await room.rungs("answered")
    expect(answered).toMatchObject({
      line_sha256: accepted?.["line_sha256"],
      id: "m1",
      msg_id: msgId,
      by: eve,
      evidence: { msg_id: "bbbbbbbb.9" },
    })
    expect(room.acks.map(({ state }) => state)).toEqual(["accepted", "mirrored", "retrieved", "answered"])
    expect(room.log).toContain("sender-mismatch")
  })

  it("sends a read receipt for a message on disk, also over a restart", async () => {
    const { relay, room, session } = await running()
    session.say(msg("bbbbbbbb.1", { to: room.self }), msg("bbbbbbbb.2"))
    await room.lines("MSG", 2)
    await until("the confirmation", () =>
      session.frames.some((f) => f.type === "RECEIVED" && f.ids?.length === 1),
    )
    room.sweep()
    expect(session.frames.some((frame) => frame.type === "RECEIVED" && frame.retrieved !== undefined)).toBe(
      false,
    )
    ReaderCursor.open(room.paths, "me").confirm(2)
    room.sweep()
    const receipts = () =>
      relay.sessions.flatMap(({ frames }) =>
        frames.flatMap((frame) => (frame.type === "RECEIVED" && frame.retrieved ? [frame.retrieved] : [])),
      )
    await until("the stage", () => receipts().length === 1)
    session.say(msg("bbbbbbbb.3", { to: room.self }))
    await room.lines("MSG", 3)
    await room.stop()
    ReaderCursor.open(room.paths, "me").confirm(3)
    room.clock.advance(60_000)
    await room.start(relay)
    await until("the other stage", () => receipts().length === 2)
    expect(receipts()).toEqual([["bbbbbbbb.1"], ["bbbbbbbb.3"]])
  })

  it("writes a task to the inbox once, confirms it, and renews it while the agent works", async () => {
    const { room, session } = await running()
    const first = { type: "TASK", ...task, attempt: 1, ts }
    session.say(first, first)
    const [line] = await room.lines("TASK")
    expect(line).toMatchObject({ ...task, attempt: 1 })
    await until("the confirmation", () =>
      session.frames.some((frame) => frame.type === "RECEIVED" && frame.ids?.includes(task.task)),
    )
    room.clock.advance(20_000)
    expect(session.frames.filter(({ type }) => type === "EXTEND")).toEqual([])
    room.write({ type: "SET_PRESENCE", status: "working", activity: "it" })
    await until("presence", () => room.status.presence?.status === "working")
    expect(room.status).toMatchObject({ presence: { activity: "it", since: ts }, tasks: [task.task] })
    room.clock.advance(0)
    await session.heard("EXTEND")
    room.write({ type: "DONE", task: task.task, content: "done", id: "d1" })
    await session.heard("DONE")
    await until("the end", () => {
      room.sweep()
      return room.status.tasks.length === 0
    })
    expect((await room.lines("TASK")).length).toBe(1)
  })

  it("reports a lost task once, whether a renewal or the relay reports it first", async () => {
    const { room, session } = await running({
      EXTEND: ({ id }) => ({ type: "ERROR", re: id, code: "LEASE_LOST", message: "another has it" }),
    })
    room.write({ type: "SET_PRESENCE", status: "working" })
    await until("presence", () => room.status.presence?.status === "working")
    session.say(
      { type: "TASK", ...task, attempt: 1, ts },
      { type: "TASK", ...task, task: "bbbbbbbb.t2", attempt: 1, ts },
    )
    await room.lines("TASK", 2)
    session.say({ type: "TASK_LOST", task: task.task, reason: "timeout", ts })
    await room.lines("TASK_LOST")
    room.clock.advance(20_000)
    await room.lines("TASK_LOST", 2)
    session.say({ type: "TASK_LOST", task: "bbbbbbbb.t2", reason: "timeout", ts }, msg("bbbbbbbb.8"))
    await room.lines("MSG")
    const lost = await room.lines("TASK_LOST", 2)
    expect(lost.map(({ task, reason }) => [task, reason])).toEqual([
      ["bbbbbbbb.t1", "timeout"],
      ["bbbbbbbb.t2", "another has it"],
    ])
  })

  it("sets its presence and renews its tasks again on the next session and after a restart", async () => {
    const { relay, room, session } = await running()
    session.say({ type: "TASK", ...task, attempt: 1, ts })
    await room.lines("TASK")
    room.write({ type: "SET_PRESENCE", status: "working", activity: "it" })
    await until("presence", () => room.status.presence?.status === "working")
    session.socket.terminate()
    await until("the loss", () => room.status.state === "waiting")
    room.clock.advance(1_000)
    const second = await relay.session(1)
    expect(await second.heard("SET_PRESENCE")).toMatchObject([{ status: "working", activity: "it" }])
    room.clock.advance(19_000)
    await second.heard("EXTEND")
    await room.start(relay)
    const third = await relay.session(2)
    expect(await third.heard("SET_PRESENCE")).toMatchObject([{ status: "working" }])
    await until("online", () => room.status.connected)
    room.clock.advance(0)
    expect(await third.heard("EXTEND")).toMatchObject([{ task: task.task }])
  })

  it("writes a channel's settings to the inbox once, and again when they change", async () => {
    const settings = { description: "builds", instructions: "be brief" }
    const { relay, room, session } = await running({
      JOIN: ({ channel, id }) => ({
        ...joined(channel, id),
        ...(channel === "#ops" && { settings }),
        ...(channel.endsWith(">") && { pattern: channel }),
      }),
    })
    room.write({ type: "JOIN", channel: "#ops" })
    expect(await room.lines("JOINED")).toMatchObject([{ channel: "#ops", settings }])
    room.write({ type: "JOIN", channel: "#team.>" })
    await until("the pattern", () => {
      room.sweep()
      return room.status.patterns.length === 1
    })
    session.say(
      { ...joined("#team.a", undefined), pattern: "#team.>" },
      { ...joined("#team.b", undefined), pattern: "#team.>", settings, durable: true },
      { type: "CHANNEL_CHANGED", channel: "#ops", by: eve, settings: { description: "x" }, ts },
    )
    await room.lines("CHANNEL_CHANGED")
    expect(await room.lines("JOINED", 2)).toMatchObject([{ channel: "#ops" }, { channel: "#team.b" }])
    room.sweep()
    expect(room.status).toMatchObject({
      channels: ["#general", "#ops", "#team.a", "#team.b"],
      durable: ["#team.b"],
      patterns: ["#team.>"],
    })
    room.write({ type: "LEAVE", channel: "#team.>" })
    expect((await session.heard("LEAVE", 3)).map(({ channel }) => channel)).toEqual([
      "#team.>",
      "#team.a",
      "#team.b",
    ])
    await room.start(relay)
    const again = await relay.session(1)
    await until("online", () => room.status.connected)
    expect((await again.heard("JOIN", 2)).map(({ channel }) => channel)).toEqual(["#general", "#ops"])
    expect(await room.lines("JOINED", 2)).toHaveLength(2)
  })

  it("joins patterns from the start", async () => {
    const relay = await FakeRelay.start()
    const room = new DaemonRoom()
    await room.start(relay, { channels: ["#a", "#team.>"] as Channel[] })
    const session = await relay.session()
    expect((await session.heard("JOIN", 2)).map(({ channel }) => channel)).toEqual(["#a", "#team.>"])
  })

  it("rejects nothing while the relay cannot reach its store, and shows the problem in its status", async () => {
    const down = { type: "ERROR", code: "UNAVAILABLE", message: "the store is away", retry_after_ms: 500 }
    let isDown = true
    const { room, session } = await running({
      JOIN: ({ channel, id }) => (isDown ? { ...down, re: id } : joined(channel, id)),
      PING: ({ id }) => (isDown ? { ...down, re: id } : { type: "PONG", re: id, ts }),
    })
    room.write({ type: "PING", id: "p1" })
    await until("the problem", () => {
      room.sweep()
      return room.status.problems.some(({ where }) => where === "relay")
    })
    expect(room.status.problems.map(({ where, code }) => [where, code])).toContainEqual([
      "relay",
      "UNAVAILABLE",
    ])
    expect(room.status.outbox.pending).toBe(1)
    isDown = false
    await until("the answer", () => {
      room.clock.advance(1_000)
      room.sweep()
      return (
        room.status.outbox.pending === 0 &&
        room.status.channels.length === 1 &&
        room.status.problems.length === 0
      )
    })
    expect(await room.rungs("accepted")).toMatchObject([{ id: "p1" }])
    expect(session.frames.filter(({ type }) => type === "JOIN").length).toBeGreaterThan(1)
    expect(room.inbox.filter(({ type }) => type === "REJECTED" || type === "NOTICE")).toEqual([])
  })

  it("shows in its status that it cannot read the cursors, and continues", async () => {
    const { room } = await running()
    writeFileSync(room.paths.cursors, "not a directory")
    room.sweep()
    expect(room.status.problems).toMatchObject([{ where: "cursors", code: "FILE_FAILED" }])
  })
})
