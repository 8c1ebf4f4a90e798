import { readFileSync, rmSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { type Deal, dealOf } from "../../../src/proposals/deal.js"
import { statementMessageId } from "../../../src/proposals/statement.js"
import type { Statement } from "../../../src/protocol/statements.js"
import { until } from "../../kit/condition.js"
import { DaemonHarness } from "../../kit/daemon-harness.js"
import { alice, answer, aud, propose } from "../../kit/deals.js"
import { FakeRelay, type FakeSession } from "../../kit/fake-relay.js"

/** A relay with one deal, to which the daemon's agent may answer. */
async function arrange(daemon: DaemonHarness, chain: Statement[], answers: object = {}) {
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
  await daemon.start(relay)
  await until("online", () => daemon.status.connected)
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

/** A deal that Alice proposed and the daemon's agent accepted. */
function accepted(daemon: DaemonHarness): { chain: Statement[]; deal: () => Deal } {
  const chain: Statement[] = [propose({ to: daemon.identity.did })]
  const deal = () => dealOf(chain)
  chain.push(answer(deal(), "ACCEPT", daemon.identity.keyPair))
  return { chain, deal }
}

describe("a line that answers a deal", { timeout: 60_000 }, () => {
  it("is signed again if the other party answered first", async () => {
    const daemon = new DaemonHarness()
    const { chain, deal } = accepted(daemon)
    const relay = await arrange(daemon, chain, {
      COMPLETE: (frame: Statement) => {
        if (deal().chain.length > 2) {
          chain.push(frame)
          return passOn(frame, frame.id)
        }
        chain.push(answer(deal(), "COMPLETE", alice))
        return stale(frame.id)
      },
    })
    daemon.write({ type: "COMPLETE", proposal_id: "prop_0001", id: "c" })
    await until("the ack", () => {
      daemon.clock.advance(100)
      daemon.sweep()
      return daemon.acks.some(({ id, state }) => id === "c" && state === "accepted")
    })
    const [first, second] = statementsIn(await relay.session())
    expect(second?.id).toBe(first?.id)
    expect(second?.sig).not.toBe(first?.sig)
    expect(deal()).toMatchObject({ state: "completed", chain: { length: 4 } })
    await daemon.lines("COMPLETE", 2)
  })

  it("is rejected if the relay keeps another deal under the id, and the next line is sent", async () => {
    const daemon = new DaemonHarness()
    const { chain } = accepted(daemon)
    await arrange(daemon, chain, { COMPLETE: (frame: Statement) => stale(frame.id) })
    daemon.write({ type: "COMPLETE", proposal_id: "prop_0001", id: "c" })
    daemon.write({ type: "PING", id: "p" })
    await until("the refusal", () => {
      daemon.clock.advance(100)
      daemon.sweep()
      return daemon.inbox.some(({ id, code }) => id === "c" && code === "STATEMENT_STALE")
    })
    await until("the ping", () => daemon.acks.some(({ id }) => id === "p"))
  })

  it("is not sent twice if a daemon dies before it records that it was sent", async () => {
    const daemon = new DaemonHarness()
    const { chain, deal } = accepted(daemon)
    const take = (frame: Statement) => {
      if (!deal().chain.some(({ id }) => id === frame.id)) chain.push(frame)
      return passOn(chain.at(-1) ?? frame, frame.id)
    }
    const relay = await arrange(daemon, chain, { COMPLETE: take })
    daemon.write({ type: "COMPLETE", proposal_id: "prop_0001", id: "c" })
    await daemon.acksWith("accepted")
    const line = readFileSync(daemon.paths.acks)
    await daemon.stop()
    expect(line.length).toBeGreaterThan(0)
    rmSync(daemon.paths.acks)
    await daemon.start(relay)
    // The same line once more, as a crash would leave it there.
    daemon.write({ type: "COMPLETE", proposal_id: "prop_0001", id: "c" })
    await daemon.acksWith("accepted")
    expect(statementsIn(await relay.session(1))).toEqual([])
    expect(daemon.acks).toMatchObject([
      { id: "c", evidence: { proposal_id: "prop_0001", state: "completed" } },
    ])
    expect(daemon.inbox.filter(({ type }) => type === "COMPLETE")).toHaveLength(1)
    expect(daemon.receipts).toHaveLength(1)
  })

  it("is rejected if its id is that of another statement", async () => {
    const daemon = new DaemonHarness()
    const { chain } = accepted(daemon)
    await arrange(daemon, chain, { COMPLETE: (frame: Statement) => passOn(frame, frame.id) })
    daemon.write({ type: "COMPLETE", proposal_id: "prop_0001", id: "c" })
    await daemon.acksWith("accepted")
    daemon.write({ type: "COMPLETE", proposal_id: "prop_0001", proof: "other", id: "c" })
    await until("the refusal", () => daemon.inbox.some(({ id, code }) => id === "c" && code === "ID_USED"))
  })

  it("waits for a relay that cannot take it now", async () => {
    const daemon = new DaemonHarness()
    const { chain } = accepted(daemon)
    let tries = 0
    await arrange(daemon, chain, {
      COMPLETE: (frame: Statement) =>
        ++tries < 3
          ? { type: "ERROR", re: frame.id, code: "UNAVAILABLE", message: "no store", retry_after_ms: 100 }
          : passOn(frame, frame.id),
    })
    daemon.write({ type: "COMPLETE", proposal_id: "prop_0001", id: "c" })
    await until("the problem", () => daemon.status.problems.some(({ where }) => where === "relay"))
    await until("the ack", () => {
      daemon.clock.advance(100)
      return daemon.acks.some(({ id }) => id === "c")
    })
    expect(daemon.status.problems).toEqual([])
    expect(tries).toBe(3)
  })
})
