import { readFileSync, rmSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { type Deal, dealOf } from "../../../src/proposals/deal.js"
import { statementMessageId } from "../../../src/proposals/statement.js"
import type { Statement } from "../../../src/protocol/statements.js"
import { until } from "../../kit/condition.js"
import { DaemonRoom } from "../../kit/daemon-room.js"
import { alice, answer, aud, propose } from "../../kit/deals.js"
import { FakeRelay, type FakeSession } from "../../kit/fake-relay.js"

/** A relay with one deal, to which the daemon's agent may answer. */
async function arrange(room: DaemonRoom, chain: Statement[], answers: object = {}) {
  const relay = await FakeRelay.start({
    serverId: aud,
    answers: {
      LIST_PROPOSALS: ({ id }) => ({
        type: "PROPOSALS",
        re: id,
        list:
          chain.length === 0
            ? []
            : [{ id: chain[0]?.id ?? "", state: "pending", statements: chain, names: {} }],
      }),
      ...answers,
    },
  })
  await room.start(relay)
  await until("online", () => room.status.connected)
  return relay
}

const passOn = (statement: Statement, re?: string): object => ({
  ...statement,
  ...(re === undefined ? {} : { re }),
  msg_id: statementMessageId(statement),
  name: "x",
  state: "accepted",
})
const stale = (re: string | undefined) => ({
  type: "ERROR",
  re,
  code: "STATEMENT_STALE",
  message: "somebody was faster",
  retry_after_ms: 250,
})
const statementsIn = (session: FakeSession) =>
  session.frames.filter(({ type }) => type === "COMPLETE") as unknown as Statement[]

/** A deal that Alice proposed and the room's agent accepted. */
function accepted(room: DaemonRoom): { chain: Statement[]; deal: () => Deal } {
  const chain: Statement[] = [propose({ to: room.identity.did })]
  const deal = () => dealOf(chain)
  chain.push(answer(deal(), "ACCEPT", room.identity.keyPair))
  return { chain, deal }
}

describe("a line that answers a deal", { timeout: 60_000 }, () => {
  it("is signed again if the other party answered first", async () => {
    const room = new DaemonRoom()
    const { chain, deal } = accepted(room)
    const relay = await arrange(room, chain, {
      COMPLETE: (frame: Statement) => {
        if (deal().chain.length > 2) {
          chain.push(frame)
          return passOn(frame, frame.id)
        }
        chain.push(answer(deal(), "COMPLETE", alice))
        return stale(frame.id)
      },
    })
    room.write({ type: "COMPLETE", proposal_id: "prop_0001", id: "c" })
    await until("the ack", () => {
      room.clock.advance(100)
      room.sweep()
      return room.acks.some(({ id, state }) => id === "c" && state === "accepted")
    })
    const [first, second] = statementsIn(await relay.session())
    expect(second?.id).toBe(first?.id)
    expect(second?.sig).not.toBe(first?.sig)
    expect(deal()).toMatchObject({ state: "completed", chain: { length: 4 } })
    await room.lines("COMPLETE", 2)
  })

  it("is rejected if the relay keeps another deal under the id, and the next line is sent", async () => {
    const room = new DaemonRoom()
    const { chain } = accepted(room)
    await arrange(room, chain, { COMPLETE: (frame: Statement) => stale(frame.id) })
    room.write({ type: "COMPLETE", proposal_id: "prop_0001", id: "c" })
    room.write({ type: "PING", id: "p" })
    await until("the refusal", () => {
      room.clock.advance(100)
      room.sweep()
      return room.inbox.some(({ id, code }) => id === "c" && code === "STATEMENT_STALE")
    })
    await until("the ping", () => room.acks.some(({ id }) => id === "p"))
  })

  it("is not sent twice if a daemon dies before it records that it was sent", async () => {
    const room = new DaemonRoom()
    const { chain, deal } = accepted(room)
    const take = (frame: Statement) => {
      if (!deal().chain.some(({ id }) => id === frame.id)) chain.push(frame)
      return passOn(chain.at(-1) ?? frame, frame.id)
    }
    const relay = await arrange(room, chain, { COMPLETE: take })
    room.write({ type: "COMPLETE", proposal_id: "prop_0001", id: "c" })
    await room.rungs("accepted")
    const line = readFileSync(room.paths.acks)
    await room.stop()
    expect(line.length).toBeGreaterThan(0)
    rmSync(room.paths.acks)
    await room.start(relay)
    // The same line once more, as a crash would leave it there.
    room.write({ type: "COMPLETE", proposal_id: "prop_0001", id: "c" })
    await room.rungs("accepted")
    expect(statementsIn(await relay.session(1))).toEqual([])
    expect(room.acks).toMatchObject([{ id: "c", evidence: { proposal_id: "prop_0001", state: "completed" } }])
    expect(room.inbox.filter(({ type }) => type === "COMPLETE")).toHaveLength(1)
    expect(room.receipts).toHaveLength(1)
  })

  it("waits for a relay that cannot take it now", async () => {
    const room = new DaemonRoom()
    const { chain } = accepted(room)
    let tries = 0
    await arrange(room, chain, {
      COMPLETE: (frame: Statement) =>
        ++tries < 3
          ? { type: "ERROR", re: frame.id, code: "UNAVAILABLE", message: "no store", retry_after_ms: 100 }
          : passOn(frame, frame.id),
    })
    room.write({ type: "COMPLETE", proposal_id: "prop_0001", id: "c" })
    await until("the problem", () => room.status.problems.some(({ where }) => where === "relay"))
    await until("the ack", () => {
      room.clock.advance(100)
      return room.acks.some(({ id }) => id === "c")
    })
    expect(room.status.problems).toEqual([])
    expect(tries).toBe(3)
  })
})
