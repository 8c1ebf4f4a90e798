import { describe, expect, it } from "vitest"
import { evidenceOf, recipientOf } from "../../../src/daemon/delivery/acks.js"
import type { OutboxFrame } from "../../../src/daemon/outbox/line.js"
import type { ServerMessage } from "../../../src/protocol/server-messages.js"
import { newIdentity } from "../../kit/identity.js"

const id = "@bbbbbbbbbbbbbbbb"
const ack = (fields: object = {}): ServerMessage<"ACK"> => ({
  type: "ACK",
  re: "line",
  ts: 7,
  state: "accepted",
  ...fields,
})
const post = (to: string) => ({ type: "MSG", to, content: "x" }) as OutboxFrame

describe("evidenceOf", () => {
  it.each([
    ["a post", post("#general"), ack({ seq: 3, recipients: 2 }), { seq: 3, recipients: 2 }],
    ["a name that the relay resolved", post("@bob"), ack({ to: id }), { to: id }],
    ["an id", post(id), ack(), { to: id }],
    ["a name that nobody resolved", post("@bob"), ack(), undefined],
    ["a role", post("+reviewer"), ack({ recipients: 0 }), { recipients: 0, to: "+reviewer" }],
    ["a request without a recipient", { type: "SET_PRESENCE", status: "idle" }, ack(), undefined],
  ] as [string, OutboxFrame, ServerMessage<"ACK">, object | undefined][])(
    "keeps the recipient and the counts of %s, if there are any",
    (_what, frame, answer, evidence) => {
      expect(evidenceOf(answer, frame)).toEqual(evidence)
    },
  )

  it("keeps the facts of an answer, without its type, `re` and undefined fields", () => {
    const task = { task: "b.1", role: "r", from: id, name: "bob", content: "do", lease_ms: 6, attempt: 1 }
    const pending = { target: id, count: 1, ids: ["x.1"] }
    expect(evidenceOf({ type: "TASK", re: "c", ...task, ts: 9 }, { type: "CLAIM", task: "b.1" })).toEqual(
      task,
    )
    expect(evidenceOf({ type: "PENDING", re: "p", ...pending }, { type: "PENDING" })).toEqual(pending)
    const channels = evidenceOf({ type: "CHANNELS", re: "l", list: [] }, { type: "LIST_CHANNELS" })
    expect(Object.keys(channels ?? {})).toEqual(["list"])
    const joined = { agents: [id], roster: [], count: 1, seq: 4, invite_only: false } as const
    const join = { type: "JOIN", channel: "#a" } as OutboxFrame
    expect(evidenceOf({ type: "JOINED", re: "j", channel: "#a", ...joined }, join)).toEqual({
      count: 1,
      seq: 4,
    })
    expect(evidenceOf({ type: "PONG", re: "g", ts: 1 }, { type: "PING" })).toBeUndefined()
  })

  it("names the deal of a statement, its state, and the other party", () => {
    const { did, agentId } = newIdentity()
    const step = { id: "st_1", to: did, state: "accepted" }
    const about = (type: string, fields: object = {}) =>
      evidenceOf({ type, ...step, ...fields } as unknown as ServerMessage, { type } as OutboxFrame)
    expect(about("PROPOSAL")).toEqual({ proposal_id: "st_1", state: "accepted", to: agentId })
    const accepted = { proposal_id: "prop_1", state: "accepted", to: agentId }
    expect(about("ACCEPT", { proposal_id: "prop_1" })).toEqual(accepted)
  })
})

describe("recipientOf", () => {
  it("returns `to` as written, or the agent id the relay resolved a name to", () => {
    expect(["#general", "+reviewer", id].map((to) => recipientOf(to, ack()))).toEqual([
      "#general",
      "+reviewer",
      id,
    ])
    expect([recipientOf("@bob", ack({ to: id })), recipientOf("@bob", ack())]).toEqual([id, undefined])
  })
})
