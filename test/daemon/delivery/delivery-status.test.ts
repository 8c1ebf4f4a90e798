import { appendFileSync, mkdirSync, readFileSync } from "node:fs"
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

/** A delivery status over a file of acks, as the daemon has it. */
function statusOn(path = join(temporaryDirectory(), "acks.jsonl")) {
  const acks = new AckLog(path)
  const logged: string[] = []
  const confirmed: string[] = []
  const status = new DeliveryStatus(
    acks,
    (ids) => confirmed.push(...ids),
    (line) => logged.push(line),
  )
  return {
    path,
    confirmed,
    logged,
    status,
    /** Records a message as the sender does when the relay accepts it. */
    accept: (id: string, to: string) => {
      const evidence = to.startsWith("#") ? { seq: 3 } : { to }
      const sha256 = `sha-${id}`
      acks.append({ line_sha256: sha256, id, msg_id: idOf(id), state: "accepted", ts: 1, evidence })
      status.accepted({ id, msgId: idOf(id), sha256, to })
    },
    deliver: (id: string, state: DeliveryState, by: string) => {
      status.delivered(delivery(id, state, by), self)
    },
    answer: (id: string, from: string) => {
      status.replied(reply(id, from), self)
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
    stages: () => {
      acks.flush()
      return readFileSync(path, "utf8")
        .split("\n")
        .slice(0, -1)
        .map((line) => JSON.parse(line) as Ack)
        .map(({ id, state, by }) => `${id} ${state} ${by ?? ""}`.trimEnd())
    },
  }
}

describe("DeliveryStatus", () => {
  it("confirms a stage to the relay once its line is in acks.jsonl", () => {
    const directory = temporaryDirectory()
    const { status, accept, flush, confirmed } = statusOn(join(directory, "missing", "acks.jsonl"))
    accept("a", bob)
    const report = { ...delivery("a", "mirrored", bob), mail_id: "srv/1" }
    status.delivered(report, self)
    flush()
    expect(confirmed).toEqual([])
    mkdirSync(join(directory, "missing"))
    flush()
    expect(confirmed).toEqual(["srv/1"])
    status.delivered({ ...report, mail_id: "srv/2" }, self)
    flush()
    expect(confirmed).toEqual(["srv/1", "srv/2"])
  })

  it("confirms a stage that comes before the relay's answer to the message only with that answer", () => {
    const { status, accept, flush, confirmed } = statusOn()
    status.delivered({ ...delivery("a", "mirrored", bob), mail_id: "srv/1" }, self)
    flush()
    expect(confirmed).toEqual([])
    accept("a", bob)
    flush()
    expect(confirmed).toEqual(["srv/1"])
  })

  it("records each stage of a direct message once, with the hash of the line and the recipient", () => {
    const { accept, deliver, answer, acks } = statusOn()
    accept("a", bob)
    for (let i = 0; i < 2; i++) {
      deliver("a", "mirrored", bob)
      deliver("a", "retrieved", bob)
      answer("a", bob)
    }
    const stage = { line_sha256: "sha-a", id: "a", msg_id: idOf("a") }
    expect(acks()).toEqual([
      { ...stage, state: "accepted", ts: 1, evidence: { to: bob } },
      { ...stage, state: "mirrored", ts: 9, by: bob },
      { ...stage, state: "retrieved", ts: 9, by: bob },
      { ...stage, state: "answered", ts: 10, by: bob, evidence: { msg_id: "bbbbbbbbbbbbbbbb.r" } },
    ])
  })

  it("ignores reports that are not from the recipient", () => {
    const { accept, deliver, answer, stages, logged } = statusOn()
    accept("a", bob)
    deliver("a", "mirrored", mallory)
    deliver("a", "claimed", bob)
    answer("a", mallory)
    accept("c", "#general")
    deliver("c", "mirrored", bob)
    expect(stages()).toEqual(["a accepted", "c accepted"])
    expect(logged).toHaveLength(3)
    expect(logged[0]).toMatch(/^sender-mismatch: @c{16} /)
  })

  it("records the first answer of any agent to a channel post", () => {
    const { accept, answer, stages } = statusOn()
    accept("c", "#general")
    answer("c", mallory)
    answer("c", bob)
    expect(stages()).toEqual(["c accepted", `c answered ${mallory}`])
  })

  it("accepts reports on a task from the agent that claimed it last", () => {
    const { accept, deliver, answer, stages, logged } = statusOn()
    accept("t", "+reviewer")
    deliver("t", "claimed", mallory)
    deliver("t", "mirrored", bob)
    deliver("t", "claimed", bob)
    answer("t", mallory)
    answer("t", bob)
    deliver("t", "failed", "+reviewer")
    expect(stages()).toEqual([
      "t accepted",
      `t claimed ${mallory}`,
      `t claimed ${bob}`,
      `t answered ${bob}`,
      "t failed +reviewer",
    ])
    expect(logged).toHaveLength(1)
  })

  it("keeps reports that come before the relay's own answer, and applies them then", () => {
    const { accept, deliver, answer, stages } = statusOn()
    deliver("a", "mirrored", mallory)
    deliver("a", "mirrored", bob)
    answer("a", bob)
    accept("a", bob)
    accept("t", "+reviewer")
    answer("t", bob)
    deliver("t", "claimed", bob)
    expect(stages()).toEqual([
      "a accepted",
      `a mirrored ${bob}`,
      `a answered ${bob}`,
      "t accepted",
      `t claimed ${bob}`,
      `t answered ${bob}`,
    ])
  })

  it("knows after a restart which messages it sent and which stages it recorded", () => {
    const first = statusOn()
    first.accept("a", bob)
    first.accept("c", "#general")
    first.accept("t", "+reviewer")
    first.deliver("a", "mirrored", bob)
    first.deliver("t", "claimed", bob)
    first.stages()
    const second = statusOn(first.path)
    second.deliver("a", "mirrored", bob)
    second.deliver("a", "retrieved", mallory)
    second.deliver("a", "retrieved", bob)
    second.answer("c", mallory)
    second.answer("t", bob)
    expect(second.stages().slice(5)).toEqual([
      `a retrieved ${bob}`,
      `c answered ${mallory}`,
      `t answered ${bob}`,
    ])
    expect(second.acks().at(-1)).toMatchObject({ line_sha256: "sha-t" })
  })

  it("ignores lines that a user wrote into the file", () => {
    const { path, accept, flush } = statusOn()
    accept("a", bob)
    flush()
    appendFileSync(path, 'mine\n7\n{"id":1,"state":"accepted","msg_id":2}\n')
    const again = statusOn(path)
    again.deliver("a", "mirrored", bob)
    again.flush()
    expect(readFileSync(path, "utf8").split("\n").at(-2)).toContain(`"mirrored","ts":9,"by":"${bob}"`)
  })

  it("does not grow with reports on messages that do not exist", () => {
    const { status, deliver, accept, stages } = statusOn()
    for (let i = 0; i < 400; i++) deliver(`n${i}`, "mirrored", bob)
    status.delivered({ ...delivery("x", "mirrored", bob), msg_id: "bbbbbbbbbbbbbbbb.x" }, self)
    accept("n0", bob)
    accept("n399", bob)
    expect(stages()).toEqual(["n0 accepted", "n399 accepted", `n399 mirrored ${bob}`])
  })
})
