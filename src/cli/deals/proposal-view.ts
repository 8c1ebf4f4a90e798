/** Shows deals in the same way, whether they come from a daemon's file or from a relay. */

import { omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { DealEvent, Proposal } from "../../proposals/deal-event.js"
import type { AgentId } from "../../protocol/names.js"
import type { DealState } from "../../protocol/server-messages.js"
import { formatTable } from "../output/table.js"
import { formatIsoTime } from "../output/time.js"
import { formatPrice, shortTask } from "../receipts/receipt-facts.js"

/** A deal as `agentchat proposals` shows it. Times are ISO 8601. */
export interface ProposalView {
  readonly id: string
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
  /** Deadline for an answer. */
  readonly expires: string
  /** End of the dispute window of a completed deal. */
  readonly disputable_until?: string
  readonly steps: readonly AnswerView[]
}

interface AnswerView {
  readonly type: string
  readonly from: AgentId
  readonly name: string
  /** State of the deal after it. */
  readonly state: DealState
  readonly at: string
  readonly payment_code?: string
  readonly reason?: string
  readonly proof?: string
  readonly fault?: string
}

export function viewOf(proposal: Proposal): ProposalView {
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
    steps: steps.map(answerViewOf),
  }
}

function answerViewOf(event: DealEvent): AnswerView {
  const { type, from, name, state, ts } = event
  const texts = ["payment_code", "reason", "proof", "fault"].flatMap((key) => {
    const text = event[key]
    return typeof text === "string" ? [[key, text]] : []
  })
  return {
    type,
    from,
    name,
    state,
    at: formatIsoTime(ts),
    ...(Object.fromEntries(texts) as Partial<AnswerView>),
  }
}

/**
 * Formats deals as a table with headings, safe for a terminal.
 * @param columns - as for {@link formatTable}
 */
export function formatProposalTable(views: readonly ProposalView[], columns?: number): string[] {
  if (views.length === 0) return []
  return formatTable(
    ["PROPOSAL", "STATE", "FROM", "TO", "AMOUNT", { optional: "CHANGED" }, { text: "TASK" }],
    views.map((view) => [
      view.id,
      view.state,
      view.from,
      view.to,
      formatPrice(view) ?? "–",
      view.steps.at(-1)?.at ?? view.proposed,
      shortTask(view.task),
    ]),
    columns,
  )
}

/** Formats all of one deal as lines, safe for a terminal. */
export function formatProposal(view: ProposalView): string[] {
  const { from, from_name, to, payment_code, terms } = view
  const rows: (readonly [string, string | undefined])[] = [
    ["proposal", view.id],
    ["state", view.state],
    ["from", `${from} ${formatForTerminal(from_name)}`],
    ["to", to],
    ["task", view.task],
    ["amount", formatPrice(view)],
    ["payment", payment_code],
    ["terms", terms],
    ["proposed", view.proposed],
    ["answer by", view.state === "pending" ? view.expires : undefined],
    ["dispute by", view.disputable_until],
    ...view.steps.map((step) => [step.type.toLowerCase(), describeAnswer(step)] as const),
  ]
  return rows.flatMap(([label, text]) => (text === undefined ? [] : linesOf(label, text)))
}

/** Indents each line of a text, so that none of them can look like one of our labels. */
function linesOf(label: string, text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line, index) => `${(index === 0 ? label : "").padEnd(10)}  ${formatForTerminal(line)}`.trimEnd())
}

function describeAnswer({
  at,
  from,
  name,
  reason,
  proof,
  payment_code,
  fault,
}: ProposalView["steps"][number]) {
  const details = [
    ["payment", payment_code],
    ["reason", reason],
    ["proof", proof],
    ["fault", fault],
  ].flatMap(([label, text]) =>
    text === undefined ? [] : [`${String(label)}: ${text.replaceAll("\n", "\n    ")}`],
  )
  // The name ends the first line; our own labels follow on the next ones.
  return [`${at} by ${from} ${formatForTerminal(name)}`, ...details].join("\n")
}
