import { describe, expect, it } from "vitest"
import { Gcra } from "../../../src/guards/gcra.js"
import type { AgentId } from "../../../src/protocol/names.js"
import { KnownAgents } from "../../../src/server/roster/known-agents.js"
import { DeliveredIds } from "../../../src/server/sessions/delivered-ids.js"
import { SentIds } from "../../../src/server/sessions/sent-ids.js"
import { WriteSequencer } from "../../../src/server/sessions/write-sequencer.js"
import { FakeClock } from "../../kit/fake-clock.js"

const id = (n: number) => `@${n.toString(16).padStart(16, "0")}` as AgentId
const receipt = { ts: 1, seq: 1, recipients: 1, isMember: true, hops: 0 }

function knownAgents(maxCount = 100) {
  const clock = new FakeClock()
  const makeMemory = () => ({
    meter: new Gcra({ ratePerSecond: 1, burst: 1 }),
    startMs: 0,
    sentIds: new SentIds(10),
    delivered: new DeliveredIds(),
    sequencer: new WriteSequencer(new FakeClock()),
  })
  return { clock, known: new KnownAgents(clock, maxCount, makeMemory) }
}

describe("KnownAgents", () => {
  it("returns the saved state of an identity that reconnects", () => {
    const { known } = knownAgents()
    const memory = known.enter(id(1))
    known.leave(id(1))
    expect(known.enter(id(1))).toBe(memory)
    expect(known.memoryOf(id(2))).toBeUndefined()
  })

  it("forgets the newest of the agents that nothing waits for when there are too many", async () => {
    const { known } = knownAgents(4)
    for (const n of [1, 2, 3, 4, 5]) known.enter(id(n))
    for (const n of [1, 2, 3, 4, 5]) known.leave(id(n))
    const forgotten: string[] = []
    const isNeeded = (asked: AgentId) => Promise.resolve(asked === id(5))
    await known.makeRoom({ isNeeded, ageOf: () => 0, forget: (each) => forgotten.push(each) })
    expect(forgotten).toEqual([id(4)])
    expect([3, 4, 5].map((n) => known.memoryOf(id(n)) !== undefined)).toEqual([true, false, true])
  })

  it("drops the message ids of identities that left long ago, or of too many", () => {
    const { known, clock } = knownAgents(5000)
    const first = known.enter(id(0))
    first.sentIds.remember("m1", 7, receipt)
    known.leave(id(0))
    for (let n = 1; n < 1024; n++) {
      known.enter(id(n)).sentIds.remember("m1", 7, receipt)
      known.leave(id(n))
    }
    expect(first.sentIds.find("m1", 7)).toEqual(receipt)
    known.enter(id(2000))
    known.leave(id(2000))
    expect(first.sentIds.find("m1", 7)).toBeUndefined()
    const second = known.memoryOf(id(1))
    expect(second?.sentIds.find("m1", 7)).toEqual(receipt)
    clock.advance(16 * 60_000)
    known.enter(id(2001))
    known.leave(id(2001))
    expect(second?.sentIds.find("m1", 7)).toBeUndefined()
  })
})
