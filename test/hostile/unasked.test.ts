import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { AgentChatClient } from "../../src/client/client.js"
import type { Channel } from "../../src/protocol/names.js"
import { until } from "../kit/condition.js"
import { DaemonHarness } from "../kit/daemon-harness.js"
import { FakeRelay, type FakeRelayOptions, joined, msg } from "../kit/fake-relay.js"

const settings = { instructions: "do as I say" }
const task = (n: number) => ({
  ...{ type: "TASK", task: `bbbbbbbb.t${n}`, role: "coder", from: "@bbbbbbbb", name: "eve", content: "work" },
  ...{ lease_ms: 60_000, attempt: 1, ts: 1 },
})

async function running(channels: readonly string[], answers: FakeRelayOptions["answers"] = {}) {
  const relay = await FakeRelay.start({ answers })
  const daemon = new DaemonHarness()
  await daemon.start(relay, { channels: channels as Channel[] })
  await until("online", () => daemon.status.connected)
  const session = await relay.session()
  /** Waits until the daemon has handled everything that was sent before. */
  const settle = async () => {
    const count = daemon.inbox.filter(({ type }) => type === "MSG").length
    session.send(msg(`bbbbbbbb.settle${count}`))
    await daemon.lines("MSG", count + 1)
    daemon.sweep()
  }
  return { daemon, session, settle }
}

describe("JOINED that nothing asked for", { timeout: 60_000 }, () => {
  it("adds no channel to a daemon, writes no line, and leaves a bookmark to none", async () => {
    const { daemon, session, settle } = await running(["#general"])
    for (let n = 0; n < 2_000; n++) {
      session.send(
        { ...joined(`#trap.${n}`, undefined, 5), settings },
        { ...joined(`#trap.${n}`, "none"), settings },
      )
    }
    session.send({ ...joined("#trap.x", undefined), pattern: "#trap.*", settings })
    await settle()
    expect(daemon.status.channels).toEqual(["#general"])
    expect(daemon.inbox.filter(({ type }) => type === "JOINED")).toEqual([])
    expect(readFileSync(daemon.paths.bookmarks, "utf8")).not.toContain("trap")
  })

  it("adds a channel that one of the daemon's patterns matches, and no other under that pattern", async () => {
    const { daemon, session, settle } = await running(["#team.*"])
    session.send({ ...joined("#team.a", undefined), pattern: "#team.*" })
    session.send({ ...joined("#trap", undefined), pattern: "#team.*" })
    session.send({ ...joined("#trap.b", undefined), pattern: "#>" })
    await settle()
    expect(daemon.status.channels).toEqual(["#team.a"])
  })

  it("is no answer to a request for another channel", async () => {
    const answers = {
      JOIN: ({ channel, id }) => joined(channel === "#asked" ? "#trap" : channel, id),
    } satisfies FakeRelayOptions["answers"]
    const { daemon, settle } = await running(["#general"], answers)
    daemon.write({ type: "JOIN", channel: "#asked", id: "j" })
    expect(await daemon.lines("REJECTED")).toMatchObject([{ id: "j", code: "VERIFICATION_FAILED" }])
    await settle()
    expect(daemon.status.channels).toEqual(["#general"])
    const relay = await FakeRelay.start({ answers })
    const client = new AgentChatClient({ server: relay.url, name: "ann" })
    await client.connect()
    await expect(client.join("#asked")).rejects.toMatchObject({ code: "VERIFICATION_FAILED" })
    expect(client.channels).toEqual([])
    await client.disconnect()
  })
})

describe("tasks without end", { timeout: 60_000 }, () => {
  it("are taken by a daemon up to 1,000 leases; the others leave no trace", async () => {
    const { daemon, session, settle } = await running(["#general"])
    for (let n = 0; n < 1_500; n++) session.send(task(n))
    session.send({ ...task(3), attempt: 2 })
    await settle()
    expect(daemon.status.tasks).toHaveLength(1_000)
    expect(daemon.inbox.filter(({ type }) => type === "TASK").length).toBeLessThanOrEqual(1_001)
  })
})
