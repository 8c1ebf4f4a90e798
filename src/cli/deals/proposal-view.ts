/** What is told of a deal, whether a daemon's file or a relay knows it. */
import { type Deal, dealOf, partiesOf, stateAt } from "../../proposals/deal.js"
import { type DealNews, newsOf, statementMessageId } from "../../proposals/deal-news.js"
import { agentIdOfDid } from "../../proposals/statement.js"
import type { AgentId } from "../../protocol/names.js"
import type { DealState } from "../../protocol/server-messages.js"
import type { Statement } from "../../protocol/statements.js"
import { omitUndefined } from "../output/omit-undefined.js"
import { formatIsoTime } from "../output/time.js"

/** A deal as `proposals` tells it. Times are ISO 8601. */
export interface ProposalView {
  readonly id: string
  /** Now. */
  readonly state: DealState
  readonly from: AgentId
  readonly from_name: string
  readonly to: AgentId
  readonly task: string
  readonly amount?: string
  readonly currency?: string
  readonly payment_code?: string
  readonly terms?: string
  readonly proposed: string
  /** Until when it can be answered. */
  readonly expires: string
  /** Until when it can be disputed; only once it is completed. */
  readonly disputable_until?: string
  readonly steps: readonly StepView[]
}

/** What followed a proposal. */
interface StepView {
  readonly type: string
  readonly from: AgentId
  readonly name: string
  /** Of the deal, after it. */
  readonly state: DealState
  readonly at: string
  readonly payment_code?: string
  readonly reason?: string
  readonly proof?: string
  readonly fault?: string
}

type Terms =
  | "id"
  | "task"
  | "amount"
  | "currency"
  | "payment_code"
  | "terms"
  | "ts"
  | "expires"
  | "dispute_window"

/** As much of a deal as is told. */
interface Told extends Pick<Statement<"PROPOSAL">, Terms> {
  readonly from: AgentId
  readonly name: string
  readonly to: AgentId
  readonly state: DealState
  readonly steps: readonly DealNews[]
}

/** Tells of a deal that a daemon verified and keeps. @param nowMs - milliseconds since the Unix epoch */
export function viewOfDeal(deal: Deal, names: ReadonlyMap<AgentId, string>, nowMs: number): ProposalView {
  const [{ from: _from, to: _to, ...said }] = deal.chain
  const told = deal.chain.map((statement, index) => {
    const { state } = dealOf(deal.chain.slice(0, index + 1))
    const news = newsOf(statement, { name: "", state, msgId: statementMessageId(statement) })
    return { ...news, name: names.get(news.from) ?? news.from.slice(1) }
  })
  const [proposer, recipient] = partiesOf(deal)
  const [from, to] = [agentIdOfDid(proposer), agentIdOfDid(recipient)]
  const name = told[0]?.name ?? from
  return viewOf({ ...said, from, name, to, state: stateAt(deal, nowMs), steps: told.slice(1) })
}

/** Tells of a deal that a relay keeps. */
export function viewOf(proposal: Told): ProposalView {
  const { id, state, from, name, to, task, amount, currency, payment_code, terms, ts, steps } = proposal
  const completed = steps.find(({ type }) => type === "COMPLETE")
  const end = completed === undefined ? undefined : completed.ts + proposal.dispute_window * 1_000
  return {
    id,
    state,
    from,
    from_name: name,
    to,
    task,
    ...omitUndefined({ amount, currency, payment_code, terms }),
    proposed: formatIsoTime(ts),
    expires: formatIsoTime(ts + proposal.expires * 1_000),
    ...(state === "completed" && end !== undefined ? { disputable_until: formatIsoTime(end) } : {}),
    steps: steps.map(stepOf),
  }
}

function stepOf(news: DealNews): StepView {
  const { type, from, name, state, ts } = news
  const said = ["payment_code", "reason", "proof", "fault"].flatMap((key) => {
    const text = news[key]
    return typeof text === "string" ? [[key, text]] : []
  })
  return {
    type,
    from,
    name,
    state,
    at: formatIsoTime(ts),
    ...(Object.fromEntries(said) as Partial<StepView>),
  }
}
