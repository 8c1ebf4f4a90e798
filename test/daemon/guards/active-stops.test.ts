import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { until } from "../../kit/condition.js"
import { DaemonHarness } from "../../kit/daemon-harness.js"
import { FakeRelay } from "../../kit/fake-relay.js"

const ts = 1_800_000_000_000
const reason = "30 times somebody came back to speak here"
const guard = { layer: "conversation", scope: "#general", lifted_by: "progress", evidence: ["b.1"] } as const
const hour = 3_600_000

/** A daemon on a relay that refuses every message to the channel but a status, until the test changes that. */
async function stopped(options: { serverId?: string; daemon?: DaemonHarness } = {}) {
  const { serverId = "relay-1", daemon = new DaemonHarness() } = options
  const state = { refuses: true }
  const relay = await FakeRelay.start({
    serverId,
    answers: {
      MSG: ({ id, kind }) => {
        const msgId = `${daemon.self.slice(1)}.${String(id)}`
        if (!state.refuses || kind === "status")
          return { type: "ACK", re: id, ts, state: "accepted", msg_id: msgId }
        const refused = { type: "ERROR", code: "GUARDED", message: reason, retry_after_ms: hour, guard }
        const report = { type: "GUARD", state: "tripped", ...guard, reason, retry_after_ms: hour, ts }
        return [report, { ...refused, re: id }]
      },
    },
  })
  await daemon.start(relay)
  const session = await relay.session()
  await until("online", () => daemon.status.connected)
  const refuse = async (id: string) => {
    daemon.write({ to: "#general", content: id, id })
    await until(`${id} is rejected`, () => isRejected(daemon, id))
  }
  return { daemon, relay, session, state, refuse }
}

const isRejected = ({ paths }: DaemonHarness, id: string) =>
  existsSync(paths.rejected) && readFileSync(paths.rejected, "utf8").includes(`"${id}"`)
const guardLines = (daemon: DaemonHarness) => daemon.inbox.filter(({ type }) => type === "GUARD")
const shownStops = (daemon: DaemonHarness) => {
  daemon.sweep()
  return daemon.status.guards.map(({ layer, scope }) => `${layer} ${scope}`)
}

describe("an active stop", () => {
  it("is reported in one inbox line with a hint and the id of the rejected line", async () => {
    const { daemon, refuse } = await stopped()
    for (const id of ["m1", "m2", "m3"]) await refuse(id)
    expect(await daemon.lines("GUARD")).toMatchObject([{ state: "tripped", ...guard, id: "m1", reason }])
    expect(guardLines(daemon)[0]?.["hint"]).toContain("refused lines are held")
    expect(guardLines(daemon)[0]).toMatchObject({ retry_after_ms: hour })
  })

  it("is not reported again while lines are refused", async () => {
    const { daemon, refuse } = await stopped()
    await refuse("m1")
    daemon.write({ to: "#general", content: "build is green", kind: "status", id: "s1" })
    await daemon.acksWith("accepted")
    expect(shownStops(daemon)).toEqual(["conversation #general"])
    await refuse("m2")
    expect(guardLines(daemon)).toHaveLength(1)
  })

  it("survives a restart of the daemon, and is reported as lifted after it", async () => {
    const { daemon, relay, refuse } = await stopped()
    await refuse("m1")
    daemon.sweep()
    await daemon.start(relay)
    await until("online again", () => relay.sessions.length === 2 && daemon.status.connected)
    expect(shownStops(daemon)).toEqual(["conversation #general"])
    daemon.write({ to: "#general", content: "m2", id: "m2" })
    await until("m2 is rejected", () => isRejected(daemon, "m2"))
    expect(guardLines(daemon)).toHaveLength(1)
    const report = { type: "GUARD", state: "lifted", ...guard, reason: "an operator has lifted it", ts }
    relay.sessions[1]?.send(report, report)
    const lines = await daemon.lines("GUARD", 2)
    expect(lines.map(({ state }) => state)).toEqual(["tripped", "lifted"])
    expect(lines[1]?.["hint"]).toContain("guard release --all")
    expect(shownStops(daemon)).toEqual([])
  })

  it("ends when the daemon connects to another relay", async () => {
    const { daemon, refuse } = await stopped()
    await refuse("m1")
    daemon.sweep()
    await stopped({ serverId: "relay-2", daemon })
    expect(shownStops(daemon)).toEqual([])
  })

  it("ends when a message is accepted, and is reported again when the relay stops the agent again", async () => {
    const { daemon, state, refuse } = await stopped()
    await refuse("m1")
    state.refuses = false
    daemon.write({ to: "#general", content: "on again", id: "m2" })
    await daemon.acksWith("accepted")
    expect(shownStops(daemon)).toEqual([])
    state.refuses = true
    await refuse("m3")
    expect(await daemon.lines("GUARD", 2)).toMatchObject([{ id: "m1" }, { id: "m3" }])
    expect(shownStops(daemon)).toEqual(["conversation #general"])
  })

  it("is not reported to an agent that it does not affect", async () => {
    const { daemon, session } = await stopped()
    const report = { type: "GUARD", ...guard, reason, ts }
    const own = { ...report, scope: `${daemon.self} in #general` }
    session.send(
      { ...report, state: "tripped" },
      { ...report, state: "lifted" },
      { ...own, state: "tripped" },
    )
    expect(await daemon.lines("GUARD")).toMatchObject([{ state: "tripped", scope: own.scope }])
    expect(guardLines(daemon)[0]?.["hint"]).toContain("finish work")
    const mentions = { ...report, layer: "mentions", state: "tripped" }
    session.send(
      { ...mentions, scope: `@bbbbbbbb to ${daemon.self} in #general` },
      { ...mentions, scope: `@bbbbbbbb in @bbbbbbbb ${daemon.self}` },
      { ...mentions, scope: `@bbbbbbbb ${daemon.self}` },
    )
    expect((await daemon.lines("GUARD", 2))[1]).toMatchObject({ scope: `@bbbbbbbb ${daemon.self}` })
  })

  it("is announced by one warning, and only to the agent that it affects", async () => {
    const { daemon, session } = await stopped()
    const warned = { type: "GUARD", state: "warned", ...guard, reason: "8 of 16 are used", ts }
    session.send(
      { ...warned, layer: "conversation", scope: `@bbbbbbbb in #general` },
      { ...warned, layer: "hops", scope: `@bbbbbbbb ${daemon.self}` },
      { ...warned, layer: "pair", scope: `@bbbbbbbb ${daemon.self}` },
      { ...warned, layer: "conversation", scope: "#general" },
      { ...warned, layer: "conversation", state: "tripped", scope: `${daemon.self} in #general` },
    )
    const lines = await daemon.lines("GUARD", 2)
    expect(lines.map(({ state, layer }) => [state, layer])).toEqual([
      ["warned", "hops"],
      ["tripped", "conversation"],
    ])
    expect(lines[0]?.["hint"]).toContain("finish something")
  })

  it("ends when its time is over", async () => {
    const { daemon, refuse } = await stopped()
    await refuse("m1")
    await daemon.lines("GUARD", 1)
    expect(shownStops(daemon)).toEqual(["conversation #general"])
    daemon.clock.advance(hour + 1)
    expect(shownStops(daemon)).toEqual([])
  })

  it("survives damaged entries in memory.json", async () => {
    const { daemon, relay, refuse } = await stopped()
    await refuse("m1")
    daemon.sweep()
    await daemon.stop()
    const memory = JSON.parse(readFileSync(daemon.paths.memory, "utf8")) as { stops: { stops: unknown[] } }
    const damaged = [["x", { stop: {} }], 7, ["y"], null]
    memory.stops.stops.push(...damaged)
    writeFileSync(daemon.paths.memory, JSON.stringify(memory))
    await daemon.start(relay)
    await until("online again", () => relay.sessions.length === 2 && daemon.status.connected)
    expect(shownStops(daemon)).toEqual(["conversation #general"])
  })
})
