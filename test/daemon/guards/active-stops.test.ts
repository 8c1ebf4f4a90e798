import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { until } from "../../kit/condition.js"
import { DaemonRoom } from "../../kit/daemon-room.js"
import { FakeRelay } from "../../kit/fake-relay.js"

const ts = 1_800_000_000_000
const reason = "30 times somebody came back to speak here"
const room = { layer: "conversation", scope: "#general", lifted_by: "progress", evidence: ["b.1"] } as const
const hour = 3_600_000

/** A daemon on a relay that refuses every message to the channel but a status, until the test changes that. */
async function stopped(options: { serverId?: string; desk?: DaemonRoom } = {}) {
  const { serverId = "relay-1", desk = new DaemonRoom() } = options
  const state = { refuses: true }
  const relay = await FakeRelay.start({
    serverId,
    answers: {
      MSG: ({ id, kind }) => {
        const msgId = `${desk.self.slice(1)}.${String(id)}`
        if (!state.refuses || kind === "status")
          return { type: "ACK", re: id, ts, state: "accepted", msg_id: msgId }
        const refused = { type: "ERROR", code: "GUARDED", message: reason, retry_after_ms: hour, guard: room }
        const said = { type: "GUARD", state: "tripped", ...room, reason, retry_after_ms: hour, ts }
        return [said, { ...refused, re: id }]
      },
    },
  })
  await desk.start(relay)
  const session = await relay.session()
  await until("online", () => desk.status.connected)
  const refuse = async (id: string) => {
    desk.write({ to: "#general", content: id, id })
    await until(`${id} is kept`, () => isKept(desk, id))
  }
  return { desk, relay, session, state, refuse }
}

const isKept = ({ paths }: DaemonRoom, id: string) =>
  existsSync(paths.rejected) && readFileSync(paths.rejected, "utf8").includes(`"${id}"`)
const guardLines = (desk: DaemonRoom) => desk.inbox.filter(({ type }) => type === "GUARD")
const standing = (desk: DaemonRoom) => {
  desk.sweep()
  return desk.status.guards.map(({ layer, scope }) => `${layer} ${scope}`)
}

describe("an active stop", () => {
  it("is reported in one inbox line with a hint and the id of the rejected line", async () => {
    const { desk, refuse } = await stopped()
    for (const id of ["m1", "m2", "m3"]) await refuse(id)
    expect(await desk.lines("GUARD")).toMatchObject([{ state: "tripped", ...room, id: "m1", reason }])
    expect(guardLines(desk)[0]?.["hint"]).toContain("refused lines are held")
    expect(guardLines(desk)[0]).toMatchObject({ retry_after_ms: hour })
  })

  it("is not reported again while lines are refused", async () => {
    const { desk, refuse } = await stopped()
    await refuse("m1")
    desk.write({ to: "#general", content: "build is green", kind: "status", id: "s1" })
    await desk.rungs("accepted")
    expect(standing(desk)).toEqual(["conversation #general"])
    await refuse("m2")
    expect(guardLines(desk)).toHaveLength(1)
  })

  it("survives a restart of the daemon, and is reported as lifted after it", async () => {
    const { desk, relay, refuse } = await stopped()
    await refuse("m1")
    desk.sweep()
    await desk.start(relay)
    await until("online again", () => relay.sessions.length === 2 && desk.status.connected)
    expect(standing(desk)).toEqual(["conversation #general"])
    desk.write({ to: "#general", content: "m2", id: "m2" })
    await until("m2 is kept", () => isKept(desk, "m2"))
    expect(guardLines(desk)).toHaveLength(1)
    const said = { type: "GUARD", state: "lifted", ...room, reason: "an operator has lifted it", ts }
    relay.sessions[1]?.say(said, said)
    const lines = await desk.lines("GUARD", 2)
    expect(lines.map(({ state }) => state)).toEqual(["tripped", "lifted"])
    expect(lines[1]?.["hint"]).toContain("guard release --all")
    expect(standing(desk)).toEqual([])
  })

  it("ends when the daemon connects to another relay", async () => {
    const { desk, refuse } = await stopped()
    await refuse("m1")
    desk.sweep()
    await stopped({ serverId: "relay-2", desk })
    expect(standing(desk)).toEqual([])
  })

  it("ends when a message is accepted, and is reported again when the relay stops the agent again", async () => {
    const { desk, state, refuse } = await stopped()
    await refuse("m1")
    state.refuses = false
    desk.write({ to: "#general", content: "on again", id: "m2" })
    await desk.rungs("accepted")
    expect(standing(desk)).toEqual([])
    state.refuses = true
    await refuse("m3")
    expect(await desk.lines("GUARD", 2)).toMatchObject([{ id: "m1" }, { id: "m3" }])
    expect(standing(desk)).toEqual(["conversation #general"])
  })

  it("is not reported to an agent that it does not affect", async () => {
    const { desk, session } = await stopped()
    const said = { type: "GUARD", ...room, reason, ts }
    const own = { ...said, scope: `${desk.self} in #general` }
    session.say({ ...said, state: "tripped" }, { ...said, state: "lifted" }, { ...own, state: "tripped" })
    expect(await desk.lines("GUARD")).toMatchObject([{ state: "tripped", scope: own.scope }])
    expect(guardLines(desk)[0]?.["hint"]).toContain("finish work")
    const mentions = { ...said, layer: "mentions", state: "tripped" }
    session.say(
      { ...mentions, scope: `@bbbbbbbb to ${desk.self} in #general` },
      { ...mentions, scope: `@bbbbbbbb in @bbbbbbbb ${desk.self}` },
      { ...mentions, scope: `@bbbbbbbb ${desk.self}` },
    )
    expect((await desk.lines("GUARD", 2))[1]).toMatchObject({ scope: `@bbbbbbbb ${desk.self}` })
  })

  it("is announced by one warning, and only to the agent that it affects", async () => {
    const { desk, session } = await stopped()
    const warned = { type: "GUARD", state: "warned", ...room, reason: "8 of 16 are used", ts }
    session.say(
      { ...warned, layer: "conversation", scope: `@bbbbbbbb in #general` },
      { ...warned, layer: "hops", scope: `@bbbbbbbb ${desk.self}` },
      { ...warned, layer: "pair", scope: `@bbbbbbbb ${desk.self}` },
      { ...warned, layer: "conversation", scope: "#general" },
      { ...warned, layer: "conversation", state: "tripped", scope: `${desk.self} in #general` },
    )
    const lines = await desk.lines("GUARD", 2)
    expect(lines.map(({ state, layer }) => [state, layer])).toEqual([
      ["warned", "hops"],
      ["tripped", "conversation"],
    ])
    expect(lines[0]?.["hint"]).toContain("finish something")
  })

  it("ends when its time is over", async () => {
    const { desk, refuse } = await stopped()
    await refuse("m1")
    await desk.lines("GUARD", 1)
    expect(standing(desk)).toEqual(["conversation #general"])
    desk.clock.advance(hour + 1)
    expect(standing(desk)).toEqual([])
  })

  it("survives damaged entries in memory.json", async () => {
    const { desk, relay, refuse } = await stopped()
    await refuse("m1")
    desk.sweep()
    await desk.stop()
    const memory = JSON.parse(readFileSync(desk.paths.memory, "utf8")) as { stops: { stops: unknown[] } }
    const damaged = [["x", { stop: {} }], 7, ["y"], null]
    memory.stops.stops.push(...damaged)
    writeFileSync(desk.paths.memory, JSON.stringify(memory))
    await desk.start(relay)
    await until("online again", () => relay.sessions.length === 2 && desk.status.connected)
    expect(standing(desk)).toEqual(["conversation #general"])
  })
})
