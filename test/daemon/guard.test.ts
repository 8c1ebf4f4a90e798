import { mkdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { workingDirectoryOf } from "../../src/daemon/guards/circuit-breaker.js"
import { until } from "../kit/condition.js"
import { DaemonHarness } from "../kit/daemon-harness.js"
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
              msg_id: `${daemon.self.slice(1)}.${String(id)}`,
              to: "@bbbbbbbb",
            },
    },
  })
  const daemon = new DaemonHarness()
  await daemon.start(relay, { guards })
  const session = await relay.session()
  await until("online", () => daemon.status.connected)
  return { relay, daemon, session }
}

describe("a daemon whose agent is stopped by a guard", () => {
  it("rejects each line and reports the stop once", async () => {
    const { daemon, session } = await running(true)
    for (const id of ["m1", "m2", "m3"]) daemon.write({ to: "@bob", content: id, id })
    const [line] = await daemon.lines("GUARD")
    expect(line).toMatchObject({ state: "tripped", ...guard, id: "m1", reason: "20 turns in a minute" })
    await session.received("MSG", 3)
    const rejected = () => readFileSync(daemon.paths.rejected, "utf8").trim().split("\n")
    await until("three rejected lines", () => rejected().length === 3)
    expect(JSON.parse(rejected()[2] ?? "")).toMatchObject({ id: "m3", code: "GUARDED", guard })
    expect(daemon.acks).toEqual([])
    daemon.sweep()
    expect(daemon.status.guards).toMatchObject([
      { layer: "pair", scope: "@a @b", reason: "20 turns in a minute" },
    ])
    session.send({ type: "GUARD", state: "tripped", ...guard, reason: "again", ts })
    session.send({ type: "GUARD", state: "lifted", ...guard, reason: "an operator has lifted it", ts })
    const lines = await daemon.lines("GUARD", 2)
    expect(lines.map(({ state }) => state)).toEqual(["tripped", "lifted"])
    daemon.sweep()
    expect(daemon.status.guards).toEqual([])
  })

  it("stops an agent that only answers, also after a restart", async () => {
    const { relay, daemon, session } = await running(false, {
      breakerWarn: 1,
      breakerPause: 3,
      breakerStop: 3,
    })
    for (let turn = 0; turn < 4; turn++) {
      session.send(msg(`bbbbbbbb.${turn}`, { to: daemon.self }))
      await daemon.lines("MSG", turn + 1)
      daemon.write({ to: "@bbbbbbbb", content: `answer ${turn}` })
      await daemon.acksWith("accepted", turn + 1)
    }
    const stops = await daemon.lines("GUARD", 2)
    expect(stops.map(({ state, layer }) => [state, layer])).toEqual([
      ["warned", "breaker"],
      ["tripped", "breaker"],
    ])
    daemon.write({ to: "@bbbbbbbb", content: "one more" })
    await until("the line is rejected", () =>
      readFileSync(daemon.paths.rejected, "utf8").includes("one more"),
    )
    await daemon.start(relay, { guards: { breakerStop: 3 } })
    await until("online again", () => daemon.status.connected)
    expect(daemon.status.guards).toMatchObject([{ layer: "breaker", lifted_by: "operator" }])
    daemon.write({ to: "@bbbbbbbb", content: "still here" })
    await until("the second line is rejected", () =>
      readFileSync(daemon.paths.rejected, "utf8").includes("still here"),
    )
    daemon.resetBreaker()
    daemon.write({ to: "@bbbbbbbb", content: "on again" })
    await daemon.acksWith("accepted", 5)
  })

  it("does not stop an agent that commits its work", async () => {
    const { daemon, session } = await running(false, { breakerWarn: 3, breakerPause: 4, breakerStop: 4 })
    const logs = join(workingDirectoryOf(daemon.paths.dir), ".git", "logs")
    mkdirSync(logs, { recursive: true })
    for (let turn = 0; turn < 8; turn++) {
      session.send(msg(`bbbbbbbb.${turn}`, { to: daemon.self }))
      await daemon.lines("MSG", turn + 1)
      // The file system may store only coarse times, so the test sets them.
      if (turn % 2 === 0) {
        writeFileSync(join(logs, "HEAD"), "")
        utimesSync(join(logs, "HEAD"), turn + 1, turn + 1)
      }
      daemon.write({ to: "@bbbbbbbb", content: `answer ${turn}` })
      await daemon.acksWith("accepted", turn + 1)
    }
    daemon.sweep()
    expect(daemon.status.breaker).toMatchObject({ tripped: false })
    expect(daemon.status.guards).toEqual([])
  })
})
