import { mkdirSync, readFileSync, rmSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { ReaderCursor } from "../../src/daemon/inbox/reader-cursor.js"
import { until } from "../kit/condition.js"
import { DaemonHarness } from "../kit/daemon-harness.js"
import { TestRelay } from "../kit/relay.js"

async function startRelay() {
  const relay = await TestRelay.start()
  return { relay, url: `ws://127.0.0.1:${relay.relay.port}` }
}

async function join(
  server: { readonly url: string },
  daemon = new DaemonHarness(),
  nick = "bob",
): Promise<DaemonHarness> {
  await daemon.start(server, { nick: nick as never })
  await until("online", () => daemon.status.connected)
  return daemon
}

/** Sweeps until a condition holds. */
async function swept(what: string, rooms: readonly DaemonHarness[], holds: () => boolean): Promise<void> {
  await until(
    what,
    () => {
      for (const daemon of rooms) daemon.sweep()
      return holds()
    },
    30_000,
  )
}

describe("daemons on a relay", { timeout: 90_000 }, () => {
  it("do not reject a line that was accepted, and is sent again because of a crash", async () => {
    const server = await startRelay()
    const alice = await join(server, undefined, "alice")
    const create = { type: "CREATE_CHANNEL", channel: "#plans", id: "m1" }
    for (let n = 0; n < 2; n++) alice.write(create)
    alice.write({ type: "CREATE_CHANNEL", channel: "#plans", id: "m2" })
    const rejected = await alice.lines("REJECTED")
    expect(rejected.map(({ id, code }) => [id, code])).toEqual([["m2", "CHANNEL_EXISTS"]])
    expect(alice.acks.map(({ id, state }) => [id, state])).toEqual([["m1", "accepted"]])
  })

  it("see the delivery status of a message from accepted to answered", async () => {
    const server = await startRelay()
    const alice = await join(server, undefined, "alice")
    const bob = await join(server)
    alice.write({ to: "@bob", content: "hi", id: "m1" })
    await alice.acksWith("mirrored")
    expect(alice.acks.map(({ state }) => state)).toEqual(["accepted", "mirrored"])
    const [line] = await bob.lines("MSG")
    ReaderCursor.open(bob.paths, "me").confirm(Number(line?.["seq"]))
    await swept("retrieved", [bob], () => alice.acks.some(({ state }) => state === "retrieved"))
    bob.write({ to: alice.self, content: "yes", in_reply_to: line?.["msg_id"] })
    await alice.acksWith("answered")
    const all = alice.acks
    expect(all.map(({ state, by }) => [state, by])).toEqual([
      ["accepted", undefined],
      ["mirrored", bob.self],
      ["retrieved", bob.self],
      ["answered", bob.self],
    ])
    expect(new Set(all.map(({ line_sha256 }) => line_sha256)).size).toBe(1)
  })

  it("save their channels before the ack of a line that changed them", async () => {
    const daemon = await join(await startRelay())
    const saved = () => JSON.parse(readFileSync(daemon.paths.bookmarks, "utf8")) as { channels: object }
    daemon.write({ type: "CREATE_CHANNEL", channel: "#made", id: "c" })
    await daemon.acksWith("accepted")
    expect(Object.keys(saved().channels)).toEqual(["#general", "#made"])
    daemon.write({ type: "LEAVE", channel: "#general", id: "l" })
    await daemon.acksWith("accepted", 2)
    expect(Object.keys(saved().channels)).toEqual(["#made"])
  })

  it("write no ack of a line while the state it changed cannot be saved", async () => {
    const daemon = await join(await startRelay())
    rmSync(daemon.paths.bookmarks, { force: true })
    mkdirSync(daemon.paths.bookmarks)
    daemon.write({ type: "CREATE_CHANNEL", channel: "#made", id: "j" })
    await until("the problem", () => daemon.status.problems.some(({ where }) => where === "bookmarks"))
    daemon.sweep()
    expect(daemon.acks).toEqual([])
    rmSync(daemon.paths.bookmarks, { recursive: true })
    await swept("the ack", [daemon], () => daemon.acks.some(({ id }) => id === "j"))
  })

  it("forget a task before the ack of its DONE", async () => {
    const server = await startRelay()
    const alice = await join(server, undefined, "alice")
    const bob = await join(server)
    bob.write({ type: "SET_PRESENCE", status: "idle", role: "coder" })
    alice.write({ to: "+coder", content: "do it" })
    const [task] = await bob.lines("TASK")
    bob.write({ type: "DONE", task: String(task?.["task"]), id: "d" })
    await until("the ack", () => bob.acks.some(({ id }) => id === "d"))
    expect(JSON.parse(readFileSync(bob.paths.memory, "utf8"))).toMatchObject({ tasks: [] })
  })

  it("deliver a task to a worker, and its answer to the agent that asked", async () => {
    const server = await startRelay()
    const alice = await join(server, undefined, "alice")
    const bob = await join(server)
    bob.write({ type: "SET_PRESENCE", status: "idle", role: "coder" })
    await until("presence", () => bob.status.presence?.role === "coder")
    alice.write({ to: "+coder", content: "build it", id: "t1" })
    const [task] = await bob.lines("TASK")
    expect(task).toMatchObject({ role: "coder", from: alice.self, content: "build it", attempt: 1 })
    bob.write({ type: "SET_PRESENCE", status: "working" })
    await until(
      "the task is held",
      () => bob.status.tasks.length === 1 && bob.status.presence?.status === "working",
    )
    bob.write({ type: "DONE", task: task?.["task"], content: "built" })
    expect(await alice.lines("MSG")).toMatchObject([{ from: bob.self, content: "built" }])
    await alice.acksWith("answered")
    expect(alice.acks.map(({ state }) => state).filter((state) => state !== "mirrored")).toEqual([
      "accepted",
      "claimed",
      "answered",
    ])
    await swept("the end of the task", [bob], () => bob.status.tasks.length === 0)
  })

  it("join channels that match a pattern, and keep those joined by name when they leave it", async () => {
    const server = await startRelay()
    const bob = await join(server)
    bob.write({ type: "CREATE_CHANNEL", channel: "#team.mine" })
    bob.write({ type: "JOIN", channel: "#team.>" })
    await swept("the pattern", [bob], () => bob.status.patterns.length === 1)
    const alice = await join(server, undefined, "alice")
    alice.write({ type: "CREATE_CHANNEL", channel: "#team.new", instructions: "be brief" })
    await swept("the new channel", [bob], () => bob.status.channels.includes("#team.new"))
    expect(await bob.lines("JOINED")).toMatchObject([{ channel: "#team.new", pattern: "#team.>" }])
    alice.write({ to: "#team.new", content: "one" })
    alice.write({ to: "#team.mine", content: "two" })
    await bob.lines("MSG", 2)
    bob.write({ type: "LEAVE", channel: "#team.>" })
    await swept("the end of it", [bob], () => bob.status.patterns.length === 0)
    expect(bob.status.channels).toEqual(["#general", "#team.mine"])
    bob.sweep()
    bob.write({ type: "PING", id: "p" })
    await until("the answer", () => bob.acks.some(({ id }) => id === "p"))
    alice.write({ to: "#team.new", content: "three" })
    alice.write({ to: "#team.mine", content: "four" })
    const received = await bob.lines("MSG", 3)
    expect(received.map(({ content }) => content)).toEqual(["one", "two", "four"])
    await join(server, bob)
    expect(bob.status.channels).toEqual(["#general", "#team.mine"])
  })
})
