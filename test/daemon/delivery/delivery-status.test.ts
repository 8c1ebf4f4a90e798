import { appendFileSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { type Ack, AckLog } from "../../../src/daemon/delivery/acks.js"
import { DeliveryStatus } from "../../../src/daemon/delivery/delivery-status.js"
import type { DeliveryState, ServerMessage } from "../../../src/protocol/server-messages.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const self = "@aaaaaaaaaaaaaaaa"
const bob = "@bbbbbbbbbbbbbbbb"
const mallory = "@cccccccccccccccc"
const idOf = (id: string) => `aaaaaaaaaaaaaaaa.${id}`

const delivery = (id: string, state: DeliveryState, by: string): ServerMessage<"DELIVERY"> => ({
  type: "DELIVERY",
  msg_id: idOf(id),
  state,
  by,
  ts: 9,
})
const reply = (id: string, from: string): ServerMessage<"MSG"> => ({
  type: "MSG",
  from,
  name: "x",
  to: self,
  content: "yes",
  ts: 10,
  msg_id: `${from.slice(1)}.r`,
  hops: 1,
  in_reply_to: idOf(id),
})

/** A ladder over a file of acks, as the daemon has it. */
function ladderOn(path = join(temporaryDirectory(), "acks.jsonl")) {
  const acks = AckLog.open(path)
  const logged: string[] = []
  const ladder = new DeliveryStatus(acks, (line) => logged.push(line))
  return {
    path,
    logged,
    ladder,
    /** What the pump and the daemon do when the relay takes a message. */
    accept: (id: string, to: string) => {
      const evidence = to.startsWith("#") ? { seq: 3 } : { to }
      const sha256 = `sha-${id}`
      acks.append({ line_sha256: sha256, id, msg_id: idOf(id), state: "accepted", ts: 1, evidence })
      ladder.accepted({ id, msgId: idOf(id), sha256, to })
    },
    deliver: (id: string, state: DeliveryState, by: string) => {
      ladder.delivered(delivery(id, state, by), self)
    },
    answer: (id: string, from: string) => {
      ladder.replied(reply(id, from), self)
    },
    flush: () => {
      acks.flush()
    },
    acks: () => {
      acks.flush()
      return readFileSync(path, "utf8")
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Ack)
    },
    rungs: () => {
      acks.flush()
      return readFileSync(path, "utf8")
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Ack)
        .map(({ id, state, by }) => `${id} ${state} ${by ?? ""}`.trimEnd())
    },
  }
}

describe("the delivery ladder", () => {
  it("tells each rung of a direct message once, with the line's own hash and who reached it", () => {
    const { accept, deliver, answer, acks } = ladderOn()
    accept("a", bob)
    for (let i = 0; i < 2; i++) {
      deliver("a", "mirrored", bob)
      deliver("a", "retrieved", bob)
      answer("a", bob)
    }
    const rung = { line_sha256: "sha-a", id: "a", msg_id: idOf("a") }
    expect(acks()).toEqual([
      { ...rung, state: "accepted", ts: 1, evidence: { to: bob } },
      { ...rung, state: "mirrored", ts: 9, by: bob },
      { ...rung, state: "retrieved", ts: 9, by: bob },
      { ...rung, state: "answered", ts: 10, by: bob, evidence: { msg_id: "bbbbbbbbbbbbbbbb.r" } },
    ])
  })

  it("believes nobody but whom the message was for", () => {
    const { accept, deliver, answer, rungs, logged } = ladderOn()
    accept("a", bob)
    deliver("a", "mirrored", mallory)
    deliver("a", "claimed", bob)
    answer("a", mallory)
    accept("c", "#general")
    deliver("c", "mirrored", bob)
    expect(rungs()).toEqual(["a accepted", "c accepted"])
    expect(logged).toHaveLength(3)
    expect(logged[0]).toMatch(/^sender-mismatch: @c{16} /)
  })

  it("counts an answer of anybody to what was said in a channel, and the first is enough", () => {
    const { accept, answer, rungs } = ladderOn()
    accept("c", "#general")
    answer("c", mallory)
    answer("c", bob)
    expect(rungs()).toEqual(["c accepted", `c answered ${mallory}`])
  })

  it("follows a task to whoever took it last", () => {
    const { accept, deliver, answer, rungs, logged } = ladderOn()
    accept("t", "+reviewer")
    deliver("t", "claimed", mallory)
    deliver("t", "mirrored", bob)
    deliver("t", "claimed", bob)
    answer("t", mallory)
    answer("t", bob)
    deliver("t", "failed", "+reviewer")
    expect(rungs()).toEqual([
      "t accepted",
      `t claimed ${mallory}`,
      `t claimed ${bob}`,
      `t answered ${bob}`,
      "t failed +reviewer",
    ])
    expect(logged).toHaveLength(1)
  })

  it("keeps what comes before the relay's own answer, and judges it then", () => {
    const { accept, deliver, answer, rungs } = ladderOn()
    deliver("a", "mirrored", mallory)
    deliver("a", "mirrored", bob)
    answer("a", bob)
    accept("a", bob)
    accept("t", "+reviewer")
    answer("t", bob)
    deliver("t", "claimed", bob)
    expect(rungs()).toEqual([
      "a accepted",
      `a mirrored ${bob}`,
      `a answered ${bob}`,
      "t accepted",
      `t claimed ${bob}`,
      `t answered ${bob}`,
    ])
  })

  it("knows after a restart what it sent and which rungs it told of", () => {
    const first = ladderOn()
    first.accept("a", bob)
    first.accept("c", "#general")
    first.accept("t", "+reviewer")
    first.deliver("a", "mirrored", bob)
    first.deliver("t", "claimed", bob)
    first.rungs()
    const second = ladderOn(first.path)
    second.deliver("a", "mirrored", bob)
    second.deliver("a", "retrieved", mallory)
    second.deliver("a", "retrieved", bob)
    second.answer("c", mallory)
    second.answer("t", bob)
    expect(second.rungs().slice(5)).toEqual([
      `a retrieved ${bob}`,
      `c answered ${mallory}`,
      `t answered ${bob}`,
    ])
    expect(second.acks().at(-1)).toMatchObject({ line_sha256: "sha-t" })
  })

  it("passes over what a user wrote into the file", () => {
    const { path, accept, flush } = ladderOn()
    accept("a", bob)
    flush()
    appendFileSync(path, 'mine\n7\n{"id":1,"state":"accepted","msg_id":2}\n')
    const again = ladderOn(path)
    again.deliver("a", "mirrored", bob)
    again.flush()
    expect(readFileSync(path, "utf8").split("\n").at(-2)).toContain(`"mirrored","ts":9,"by":"${bob}"`)
  })

  it("does not grow with what others say of messages that never were", () => {
    const { ladder, deliver, accept, rungs } = ladderOn()
    for (let i = 0; i < 400; i++) deliver(`n${i}`, "mirrored", bob)
    ladder.delivered({ ...delivery("x", "mirrored", bob), msg_id: "bbbbbbbbbbbbbbbb.x" }, self)
    accept("n0", bob)
    accept("n399", bob)
    expect(rungs()).toEqual(["n0 accepted", "n399 accepted", `n399 mirrored ${bob}`])
  })
})
