import { expect, it } from "vitest"
import type { Backbone, Table } from "../../../src/backbone/backbone.js"
import { openMemoryBackbone } from "../../../src/backbone/memory/memory-backbone.js"
import { GuardStore } from "../../../src/server/guards/guard-store.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { lateTable } from "../../kit/late-table.js"
import { collectUncaught } from "../../kit/uncaught.js"

/** One relay's store of guards over a table that others share, and the stops it was asked to lift. */
async function open(table: Table, clock = new FakeClock()) {
  const lifted: (string | undefined)[] = []
  const backbone = {
    kind: "nats",
    isShared: true,
    table: () => Promise.resolve(table),
  } as unknown as Backbone
  const store = await GuardStore.open(backbone, {
    clock,
    log: () => {},
  })
  store.on("reset", (scope) => void lifted.push(scope))
  return { store, lifted }
}

it("reports everything that was lifted, in order and once, also what arrives late and together", async () => {
  const memory = await openMemoryBackbone({ clock: new FakeClock() })
  const table = await memory.table("guard")
  const before = await open(table)
  await before.store.spreadReset("r0", "#before")
  const view = lateTable(table)
  const [east, west] = [await open(table), await open(view.table)]
  await east.store.spreadReset("r1", "#a")
  await before.store.spreadReset("r2", "@b")
  await east.store.spreadReset("r3", undefined)
  view.deliver()
  expect(west.lifted).toEqual(["#a", "@b", undefined])
  expect(east.lifted).toEqual(["@b"])
  await west.store.spreadReset("r4", "#w")
  view.deliver()
  expect(west.lifted).toEqual(["#a", "@b", undefined])
  expect(before.lifted).toEqual(["#a", undefined, "#w"])
})

it("reads what a relay wrote that reports only the last one", async () => {
  const memory = await openMemoryBackbone({ clock: new FakeClock() })
  const table = await memory.table("guard")
  const { store, lifted } = await open(table)
  await table.put("reset", JSON.stringify({ id: "old", scope: "#a" }))
  await table.put("reset", JSON.stringify({ id: "bad", scope: "#b", earlier: [7, { id: 1 }, null] }))
  await table.put("reset", JSON.stringify({ id: "worse", scope: "#c", earlier: "x" }))
  expect(lifted).toEqual(["#a", "#b", "#c"])
  await store.spreadReset("own", "#d")
  expect(JSON.parse((await table.get("reset"))?.value ?? "")).toMatchObject({ id: "own", scope: "#d" })
})

it("goes on writing after an error that nobody expects, and writes what that one left", async () => {
  const memory = await openMemoryBackbone({ clock: new FakeClock() })
  const table = await memory.table("guard")
  const clock = new FakeClock()
  const { store } = await open(table, clock)
  const failure = new TypeError("a fault of the program")
  let isFaulty = true
  const makeState = () => {
    if (isFaulty) throw failure
    return "{}"
  }
  store.touch(makeState, () => [])
  const pass = async () => {
    clock.advance(3_000)
    await new Promise((resolve) => setImmediate(resolve))
  }
  expect(await collectUncaught(pass)).toEqual([failure])
  isFaulty = false
  await pass()
  expect((await table.get("state"))?.value).toBe("{}")
})
