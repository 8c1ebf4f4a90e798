import { describe, expect, it } from "vitest"
import type { Table } from "../../../src/backbone/backbone.js"
import { openMemoryBackbone } from "../../../src/backbone/memory/memory-backbone.js"
import type { AgentId, Channel } from "../../../src/protocol/names.js"
import { Bookmarks } from "../../../src/server/channels/bookmarks.js"
import type { Session } from "../../../src/server/sessions/session.js"
import { FakeClock } from "../../kit/fake-clock.js"

const bob = "@00000000000000b0" as AgentId
const [a, b] = ["#a" as Channel, "#b" as Channel]

/** The bookmarks of `count` relays over one store, and its table. */
async function relays(count: number) {
  const clock = new FakeClock()
  const backbone = await openMemoryBackbone({ clock })
  const gone = new Set<Bookmarks>()
  const open = async () => {
    const made: Bookmarks = await Bookmarks.open(backbone, {
      sessions: { find: () => (gone.has(made) ? undefined : (Object.create(null) as Session)) },
      clock,
      log: () => {},
    })
    return made
  }
  const bookmarks: Bookmarks[] = []
  for (let i = 0; i < count; i++) bookmarks.push(await open())
  const [east, west] = bookmarks
  if (east === undefined) throw new Error("at least one")
  return { clock, gone, east, west: west ?? east, open, table: await backbone.table("bookmark") }
}

async function stored(table: Table): Promise<unknown> {
  const row = await table.get(bob.slice(1))
  return row === undefined ? undefined : (JSON.parse(row.value) as unknown)
}

describe("bookmarks", () => {
  it("start with a membership, advance, and end with it", async () => {
    const { clock, east, open, table } = await relays(1)
    expect(await east.find(bob, a)).toBeUndefined()
    await east.add(bob, a, 3)
    for (const seq of [5, 4]) east.advance(bob, a, seq)
    expect(await east.find(bob, a)).toEqual({ from: 3, at: 5 })
    expect(await stored(table)).toEqual({ "#a": { from: 3, at: 3 } })
    clock.advance(1_000)
    await Promise.resolve()
    expect(await (await open()).find(bob, a)).toEqual({ from: 3, at: 5 })
    await east.remove(bob, a)
    east.advance(bob, a, 9)
    await east.save()
    expect(await stored(table)).toBeUndefined()
  })

  it("advance in a session that started before the progress of the previous one was written", async () => {
    const { east, table } = await relays(1)
    await east.add(bob, a, 0)
    east.advance(bob, a, 5)
    const forgotten = east.release(bob)
    await east.find(bob, a)
    await forgotten
    east.advance(bob, a, 9)
    await east.save()
    expect(await stored(table)).toEqual({ "#a": { from: 0, at: 9 } })
  })

  it("keep a channel joined on a new relay when the previous relay writes its progress late", async () => {
    const { east, west, table } = await relays(2)
    await east.add(bob, a, 0)
    east.advance(bob, a, 5)
    await west.find(bob, a)
    await west.add(bob, b, 7)
    await east.release(bob)
    expect(await stored(table)).toEqual({ "#a": { from: 0, at: 5 }, "#b": { from: 7, at: 7 } })
    west.advance(bob, b, 8)
    await west.save()
    expect(await stored(table)).toEqual({ "#a": { from: 0, at: 5 }, "#b": { from: 7, at: 8 } })
  })

  it("are read again when an agent returns that left while they were read", async () => {
    const { gone, east, west } = await relays(2)
    const looked = east.find(bob, a)
    gone.add(east)
    await Promise.all([looked, east.release(bob)])
    await west.add(bob, a, 3)
    gone.delete(east)
    expect(await east.find(bob, a)).toEqual({ from: 3, at: 3 })
  })

  it("do not restore a channel that was left, or joined again, on a new relay", async () => {
    const { east, west, table } = await relays(2)
    for (const channel of [a, b]) await east.add(bob, channel, 0)
    for (const channel of [a, b]) east.advance(bob, channel, 5)
    for (const channel of [a, b]) await west.remove(bob, channel)
    await west.add(bob, b, 3)
    await east.save()
    expect(await stored(table)).toEqual({ "#b": { from: 3, at: 3 } })
  })
})
