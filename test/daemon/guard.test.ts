import { mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { workingDirectoryOf } from "../../src/daemon/guards/circuit-breaker.js"
import { until } from "../kit/condition.js"
import { DaemonRoom } from "../kit/daemon-room.js"
import { FakeRelay, msg } from "../kit/fake-relay.js"

const ts = 1_800_000_000_000
const guard = { layer: "pair", scope: "@a @b", lifted_by: "operator", evidence: ["b.1"] } as const

async function running(refuses: boolean, guards = {}) {
  const refusal = { type: "ERROR", code: "GUARDED", message: "20 turns in a minute", guard }
  const relay = await FakeRelay.start({
    answers: {
      MSG: ({ id }) =>
        refuses
          ? { ...refusal, re: id }
          : {
              type: "ACK",
              re: id,
              ts,
              state: "accepted",
              msg_id: `${room.self.slice(1)}.${String(id)}`,
              to: "@bbbbbbbb",
            },
    },
  })
  const room = new DaemonRoom()
  await room.start(relay, { guards })
  const session = await relay.session()
  await until("online", () => room.status.connected)
  return { relay, room, session }
}

describe("a daemon whose agent is stopped by a guard", () => {
  it("rejects each line and reports the stop once", async () => {
    const { room, session } = await running(true)
    for (const id of ["m1", "m2", "m3"]) room.write({ to: "@bob", content: id, id })
    const [line] = await room.lines("GUARD")
    expect(line).toMatchObject({ state: "tripped", ...guard, id: "m1", reason: "20 turns in a minute" })
    await session.heard("MSG", 3)
    const kept = () => readFileSync(room.paths.rejected, "utf8").trim().split("\n")
    await until("three kept lines", () => kept().length === 3)
    expect(JSON.parse(kept()[2] ?? "")).toMatchObject({ id: "m3", code: "GUARDED", guard })
    expect(room.acks).toEqual([])
    room.sweep()
    expect(room.status.guards).toMatchObject([
      { layer: "pair", scope: "@a @b", reason: "20 turns in a minute" },
    ])
    session.say({ type: "GUARD", state: "tripped", ...guard, reason: "again", ts })
    session.say({ type: "GUARD", state: "lifted", ...guard, reason: "an operator has lifted it", ts })
    const lines = await room.lines("GUARD", 2)
    expect(lines.map(({ state }) => state)).toEqual(["tripped", "lifted"])
    room.sweep()
    expect(room.status.guards).toEqual([])
  })

  it("stops an agent that only answers, also after a restart", async () => {
    const { relay, room, session } = await running(false, { breakerWarn: 1, breakerPause: 3, breakerStop: 3 })
    for (let turn = 0; turn < 4; turn++) {
      session.say(msg(`bbbbbbbb.${turn}`, { to: room.self }))
      await room.lines("MSG", turn + 1)
      room.write({ to: "@bbbbbbbb", content: `answer ${turn}` })
      await room.rungs("accepted", turn + 1)
    }
    const stops = await room.lines("GUARD", 2)
    expect(stops.map(({ state, layer }) => [state, layer])).toEqual([
      ["warned", "breaker"],
      ["tripped", "breaker"],
    ])
    room.write({ to: "@bbbbbbbb", content: "one more" })
    await until("it is kept", () => readFileSync(room.paths.rejected, "utf8").includes("one more"))
    await room.start(relay, { guards: { breakerStop: 3 } })
    await until("online again", () => room.status.connected)
    expect(room.status.guards).toMatchObject([{ layer: "breaker", lifted_by: "operator" }])
    room.write({ to: "@bbbbbbbb", content: "still here" })
    await until("it is kept too", () => readFileSync(room.paths.rejected, "utf8").includes("still here"))
    room.resetBreaker()
    room.write({ to: "@bbbbbbbb", content: "on again" })
    await room.rungs("accepted", 5)
  })

  it("does not stop an agent that commits its work", async () => {
    const { room, session } = await running(false, { breakerWarn: 3, breakerPause: 4, breakerStop: 4 })
    const logs = join(workingDirectoryOf(room.paths.dir), ".git", "logs")
    mkdirSync(logs, { recursive: true })
    for (let turn = 0; turn < 8; turn++) {
      session.say(msg(`bbbbbbbb.${turn}`, { to: room.self }))
      await room.lines("MSG", turn + 1)
      // The file system may store only coarse times, so the test sets them.
      if (turn % 2 === 0) {
        writeFileSync(join(logs, "HEAD"), "")
        utimesSync(join(logs, "HEAD"), turn + 1, turn + 1)
      }
      room.write({ to: "@bbbbbbbb", content: `answer ${turn}` })
      await room.rungs("accepted", turn + 1)
    }
    room.sweep()
    expect(room.status.breaker).toMatchObject({ tripped: false })
    expect(room.status.guards).toEqual([])
  })
})
