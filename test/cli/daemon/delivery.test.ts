import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Delivery, ladder, type Rung } from "../../../src/cli/daemon/delivery.js"
import type { Address } from "../../../src/protocol/names.js"

const ts = 1_800_000_000_000
const ann = "@aaaaaaaaaaaaaaaa"
const bob = "@bbbbbbbbbbbbbbbb"
const accepted = { state: "accepted", ts, msg_id: "x.1", to: bob }
const reply = { type: "MSG", from: bob, name: "bob", content: "yes", ts, msg_id: "b.1", in_reply_to: "x.1" }

function deliver(target: string, wanted: Rung, ...rungs: object[]): Delivery {
  const delivery = new Delivery(target as Address, wanted)
  for (const rung of rungs) delivery.take({ ...rung })
  return delivery
}
const rung = (state: string, by = bob) => ({ state, ts, by, msg_id: "x.1" })

describe("a delivery", () => {
  it("is reached by the wanted rung or one above it, and by none below", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...ladder.slice(0, 3)),
        fc.constantFrom(...ladder.slice(1, 3)),
        (wanted, state) => {
          const { isReached } = deliver("@bob", wanted, accepted, rung(state))
          expect(isReached).toBe(ladder.indexOf(state) >= ladder.indexOf(wanted))
        },
      ),
    )
  })

  it("is answered by the answer itself, whose text is what was wanted", () => {
    const delivery = deliver("@bob", "answered", accepted, rung("retrieved"), rung("answered"))
    expect(delivery).toMatchObject({ isReached: false, isOver: false, state: "answered" })
    expect(delivery.hear(reply)).toBe(true)
    expect(delivery).toMatchObject({ isReached: true, msgId: "x.1", reply: { content: "yes", from: bob } })
    expect(delivery.rungs.map(({ state }) => state)).toEqual(["accepted", "retrieved", "answered"])
  })

  it("takes rungs of its own message only", () => {
    const delivery = deliver("@bob", "mirrored", accepted, { ...rung("mirrored"), msg_id: "x.2" })
    expect(delivery).toMatchObject({ isReached: false, state: "accepted" })
  })

  it("is not answered by a stranger, by another answer, or by oneself", () => {
    const delivery = deliver("@bob", "answered", accepted)
    const others = [{ from: ann }, { in_reply_to: "x.2" }, { self: true }, { type: "NOTICE" }]
    for (const other of others) expect(delivery.hear({ ...reply, ...other })).toBe(false)
    expect(delivery.isReached).toBe(false)
  })

  it("of a task is answered by who claimed it, and over when nobody could do it", () => {
    const task = deliver("+reviewer", "answered", { ...accepted, to: undefined }, rung("claimed"))
    expect(task.hear({ ...reply, from: ann })).toBe(false)
    expect(task.hear(reply)).toBe(true)
    const given = deliver("+reviewer", "answered", accepted, rung("claimed"), {
      ...rung("failed"),
      reason: "no",
    })
    expect(given).toMatchObject({ isOver: true, isReached: false, state: "failed" })
  })

  it("stands at written before the relay has it", () => {
    expect(deliver("@bob", "mirrored")).toMatchObject({ state: "written", msgId: undefined, rungs: [] })
  })
})
