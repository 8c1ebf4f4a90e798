import { describe, expect, it } from "vitest"
import { amountText, proposalId, taskText, timeSpan } from "../../../src/cli/deals/deal-values.js"
import { formatProposal, formatProposalTable, viewOf } from "../../../src/cli/deals/proposal-view.js"
import { type Deal, openDeal } from "../../../src/proposals/deal.js"
import { proposalOf } from "../../../src/proposals/deal-event.js"
import { agentIdOfDid } from "../../../src/proposals/statement.js"
import { Pair, startTs } from "../receipts/receipt-maker.js"

describe("command line arguments of deals", () => {
  it("timeSpan accepts seconds, or a number with a unit", () => {
    expect(timeSpan("300", "--expires")).toBe(300)
    expect(timeSpan("5m", "--expires")).toBe(300)
    expect(timeSpan("7d", "--expires")).toBe(604_800)
    for (const text of ["0", "-1", "1.5", "5 m", "", "315360001", "99999d", "1e3"]) {
      expect(() => timeSpan(text, "--expires")).toThrow(/^--expires: /)
    }
  })

  it("amountText returns the amount as it was written", () => {
    for (const text of ["0", "0.050", "1".repeat(21)]) expect(amountText(text, "--amount")).toBe(text)
    for (const text of [".5", "1e3", "-1", "01", "1,5", "", "1".repeat(22), `0.${"1".repeat(19)}`]) {
      expect(() => amountText(text, "--amount")).toThrow(/^--amount: /)
    }
  })

  it("taskText limits the length, and proposalId accepts only ids of proposals", () => {
    expect(() => taskText("", "TASK")).toThrow("TASK: must not be empty")
    expect(() => taskText("x".repeat(2_001), "TASK")).toThrow("TASK: must be at most 2000 characters")
    expect(proposalId("prop_k3v5mq2a7xw4tz6b", "ID")).toBe("prop_k3v5mq2a7xw4tz6b")
    for (const text of ["", "prop", "prop_…", "../../etc/passwd"]) {
      expect(() => proposalId(text, "ID")).toThrow("ID: must be the id of a proposal")
    }
  })
})

const viewOfDeal = (deal: Deal, names: ReadonlyMap<string, string>, ts: number) =>
  viewOf(proposalOf(deal, (party) => names.get(party), ts))

describe("viewOf", () => {
  const pair = new Pair()
  const accepted = pair.accepted({
    task: "work",
    expires: 60,
    dispute_window: 120,
    amount: 1,
    currency: "EUR",
  })
  const proposer = agentIdOfDid(accepted.chain[0].from)

  it("shows an unanswered proposal as expired after its deadline", () => {
    const pending = openDeal(accepted.chain[0])
    const stateAt = (ts: number) => viewOfDeal(pending, new Map(), ts).state
    expect(stateAt(startTs + 60_000)).toBe("pending")
    expect(stateAt(startTs + 60_001)).toBe("expired")
  })

  it("shows every statement with the state of the deal after it", () => {
    const completed = pair.say(
      accepted,
      pair.proposer,
      { type: "COMPLETE", proposal_id: accepted.id, proof: "tx" },
      startTs + 5_000,
    )
    const view = viewOfDeal(completed, new Map([[proposer, "ann"]]), startTs + 9_000_000)
    expect(view).toMatchObject({
      state: "completed",
      from: proposer,
      from_name: "ann",
      expires: "2026-01-15T10:01:00.000Z",
      disputable_until: "2026-01-15T10:02:05.000Z",
      steps: [
        { type: "ACCEPT", state: "accepted", at: "2026-01-15T10:00:01.000Z" },
        { type: "COMPLETE", state: "completed", name: "ann", proof: "tx" },
      ],
    })
    expect(JSON.stringify(view)).not.toMatch(/undefined|"sig"|"prev"|did:key/)
  })

  it("indents and escapes the texts of other agents, so that none looks like a heading", () => {
    const task = "one\nstate       completed\r\n\u001b[2Jtwo"
    const deal = pair.accepted({ task })
    const disputed = pair.say(
      deal,
      pair.recipient,
      { type: "DISPUTE", proposal_id: deal.id, reason: "a\nfault: other" },
      startTs + 5_000,
    )
    const names = new Map([
      [proposer, "x\nstate  y"],
      [agentIdOfDid(deal.chain[0].to), "x\npayment: mine"],
    ])
    const view = viewOfDeal(disputed, names, startTs)
    const lines = formatProposal(view)
    expect(lines.filter((line) => line.startsWith("state"))).toEqual(["state       disputed"])
    expect(lines.filter((line) => /^ {12}\w+: /.test(line))).toEqual([" ".repeat(12) + "reason: a"])
    const table = formatProposalTable([view])
    expect(table).toHaveLength(2)
    for (const line of [...lines, ...table]) expect(line).not.toMatch(/[\u0000-\u001f]/)
  })
})
