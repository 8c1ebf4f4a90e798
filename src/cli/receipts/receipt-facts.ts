import { type Deal, statementsOf } from "../../proposals/deal.js"
import { agentIdOfDid } from "../../proposals/statement.js"
import type { AgentId } from "../../protocol/names.js"
import { isoTime } from "../output/iso-time.js"
import { omitUndefined } from "../output/omit-undefined.js"

/** What a receipt that was found valid says. Times are ISO 8601. */
export interface ReceiptFacts {
  readonly proposal_id: string
  /** Who proposed. */
  readonly from: AgentId
  readonly to: AgentId
  readonly task: string
  readonly amount?: string
  readonly currency?: string
  readonly state: "completed" | "disputed"
  /** Who says that it is completed. */
  readonly completed_by: readonly AgentId[]
  readonly proposed: string
  readonly accepted: string
  /** When it was first said to be completed, else when it was first disputed. */
  readonly ended: string
}

/** Tells what was agreed and what became of it. The deal must have been verified. */
export function factsOf(deal: Deal): ReceiptFacts {
  const [{ id, from, to, task, amount, currency, ts }] = deal.chain
  const completions = statementsOf(deal, "COMPLETE")
  return {
    proposal_id: id,
    from: agentIdOfDid(from),
    to: agentIdOfDid(to),
    task,
    ...omitUndefined({ amount, currency }),
    state: deal.state === "disputed" ? "disputed" : "completed",
    completed_by: completions.map((statement) => agentIdOfDid(statement.from)),
    proposed: isoTime(ts),
    accepted: isoTime(statementsOf(deal, "ACCEPT")[0]?.ts ?? ts),
    ended: isoTime(endOf(deal)),
  }
}

/** When it was first said to be completed, else first disputed, in milliseconds since the Unix epoch. */
export function endOf(deal: Deal): number {
  const end = statementsOf(deal, "COMPLETE")[0] ?? statementsOf(deal, "DISPUTE")[0]
  return end?.ts ?? deal.chain[0].ts
}
