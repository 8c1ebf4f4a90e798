import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Delivery, type DeliveryStage, deliveryStages } from "../../../src/cli/relay/delivery.js"
import type { Address } from "../../../src/protocol/names.js"

const ts = 1_800_000_000_000
const ann = "@aaaaaaaaaaaaaaaa"
const bob = "@bbbbbbbbbbbbbbbb"
const accepted = { state: "accepted", ts, msg_id: "x.1", to: bob }
const reply = { type: "MSG", from: bob, name: "bob", content: "yes", ts, msg_id: "b.1", in_reply_to: "x.1" }

function deliver(target: string, wanted: DeliveryStage, ...stages: object[]): Delivery {
  const delivery = new Delivery(target as Address, wanted)
  for (const stage of stages) delivery.takeStage({ ...stage })
  return delivery
}
const stage = (state: string, by = bob) => ({ state, ts, by, msg_id: "x.1" })

describe("Delivery", () => {
  it("a delivery is complete at the wanted stage or a later one", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...deliveryStages.slice(0, 3)),
        fc.constantFrom(...deliveryStages.slice(1, 3)),
        (wanted, state) => {
          const { isReached } = deliver("@bob", wanted, accepted, stage(state))
          expect(isReached).toBe(deliveryStages.indexOf(state) >= deliveryStages.indexOf(wanted))
        },
      ),
    )
  })

  it("a delivery is answered once the answer itself has arrived", () => {
    const delivery = deliver("@bob", "answered", accepted, stage("retrieved"), stage("answered"))
    expect(delivery).toMatchObject({ isReached: false, isOver: false, state: "answered" })
    expect(delivery.takeMessage(reply)).toBe(true)
    expect(delivery).toMatchObject({ isReached: true, msgId: "x.1", reply: { content: "yes", from: bob } })
    expect(delivery.stages.map(({ state }) => state)).toEqual(["accepted", "retrieved", "answered"])
  })

  it("an answer that has to be signed counts only with a valid proof", () => {
    const hasProof = ({ answer }: Readonly<Record<string, unknown>>) => answer === "proof"
    const delivery = new Delivery("+human" as Address, "answered", hasProof)
    delivery.takeStage({ ...accepted, to: undefined })
    expect(delivery.takeMessage(reply)).toBe(false)
    expect(delivery.takeMessage({ ...reply, answer: "proof" })).toBe(true)
  })

  it("a question is over once it has expired, and is not reached", () => {
    const delivery = deliver("+human", "answered", { ...accepted, to: undefined })
    const expired = { type: "TASK_EXPIRED", task: "x.1", answer: "no", ts, msg_id: "x.1/expired" }
    delivery.takeMessage({ ...expired, task: "x.2" })
    expect(delivery.isOver).toBe(false)
    delivery.takeMessage(expired)
    expect(delivery).toMatchObject({ isReached: false, isOver: true, expiry: { answer: "no" } })
  })

  it("ignores stages of other messages", () => {
    const delivery = deliver("@bob", "mirrored", accepted, { ...stage("mirrored"), msg_id: "x.2" })
    expect(delivery).toMatchObject({ isReached: false, state: "accepted" })
  })

  it("a delivery ignores messages of other agents, answers to other messages, and its own agent's messages", () => {
    const delivery = deliver("@bob", "answered", accepted)
    const others = [{ from: ann }, { in_reply_to: "x.2" }, { self: true }, { type: "NOTICE" }]
    for (const other of others) expect(delivery.takeMessage({ ...reply, ...other })).toBe(false)
    expect(delivery.isReached).toBe(false)
  })

  it("takes the next direct message of the asked agent as the answer, unless it replies to something else", () => {
    const direct = { ...reply, in_reply_to: undefined, to: ann }
    const others = [
      { in_reply_to: "x.2" },
      { from: ann },
      { to: "#general" },
      { ts: ts - 1 },
      { kind: "status" },
      { kind: "auto" },
      { self: true },
    ]
    const delivery = deliver("@bob", "answered", accepted)
    for (const other of others) expect(delivery.takeMessage({ ...direct, ...other })).toBe(false)
    expect(delivery.takeMessage(direct)).toBe(true)
    expect(deliver("#general", "answered", { ...accepted, to: undefined }).takeMessage(direct)).toBe(false)
    expect(deliver("@bob", "answered").takeMessage(direct)).toBe(false)
  })

  it("the delivery of a task accepts the answer of its worker, and ends when the task fails", () => {
    const task = deliver("+reviewer", "answered", { ...accepted, to: undefined }, stage("claimed"))
    expect(task.takeMessage({ ...reply, from: ann })).toBe(false)
    expect(task.takeMessage(reply)).toBe(true)
    const given = deliver("+reviewer", "answered", accepted, stage("claimed"), {
      ...stage("failed"),
      reason: "no",
    })
    expect(given).toMatchObject({ isOver: true, isReached: false, state: "failed" })
  })

  it("a message is `written` before the relay accepts it", () => {
    expect(deliver("@bob", "mirrored")).toMatchObject({ state: "written", msgId: undefined, stages: [] })
  })
})
