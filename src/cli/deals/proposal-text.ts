import { formatForTerminal } from "../../base/visible-text.js"
import { formatTable } from "../output/table.js"
import { formatPrice, shortTask } from "../receipts/receipt-facts.js"
import type { ProposalView } from "./proposal-view.js"

/** One row for each proposal, headings first; safe for a terminal. @param columns - as for {@link formatTable} */
export function formatProposalTable(views: readonly ProposalView[], columns?: number): string[] {
  if (views.length === 0) return []
  return formatTable(
    ["PROPOSAL", "STATE", "FROM", "TO", "AMOUNT", "CHANGED", { text: "TASK" }],
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

/** All of one proposal; safe for a terminal. */
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
    ...view.steps.map((step) => [step.type.toLowerCase(), describeStep(step)] as const),
  ]
  return rows.flatMap(([label, text]) => (text === undefined ? [] : linesOf(label, text)))
}

/** The lines of a text stand below each other, each where no heading of ours can be. */
function linesOf(label: string, text: string): string[] {
  return text
    .split(/\r?\n/)
    .map((line, index) => `${(index === 0 ? label : "").padEnd(10)}  ${formatForTerminal(line)}`.trimEnd())
}

function describeStep({ at, from, name, reason, proof, payment_code, fault }: ProposalView["steps"][number]) {
  const said = [
    ["payment", payment_code],
    ["reason", reason],
    ["proof", proof],
    ["fault", fault],
  ].flatMap(([label, text]) =>
    text === undefined ? [] : [`${String(label)}: ${text.replaceAll("\n", "\n    ")}`],
  )
  // A name stands on one line: what follows are headings of ours.
  return [`${at} by ${from} ${formatForTerminal(name)}`, ...said].join("\n")
}
