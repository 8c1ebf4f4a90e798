import { formatTable } from "../output/table.js"
import type { ReceiptFacts } from "./receipt-facts.js"
import { shortTask } from "./receipt-verify.js"

/** One row for each receipt, headings first; safe for a terminal. @param columns - as for {@link formatTable} */
export function formatReceiptTable(receipts: readonly ReceiptFacts[], columns?: number): string[] {
  if (receipts.length === 0) return []
  return formatTable(
    ["ENDED", "PROPOSAL", "FROM", "TO", "STATE", "AMOUNT", { text: "TASK" }],
    receipts.map((facts) => [
      facts.ended,
      facts.proposal_id,
      facts.from,
      facts.to,
      stateOf(facts),
      [facts.amount, facts.currency].filter((part) => part !== undefined).join(" ") || "–",
      shortTask(facts.task),
    ]),
    columns,
  )
}

function stateOf({ state, completed_by }: ReceiptFacts): string {
  if (state === "disputed") return "disputed"
  return completed_by.length === 2 ? "completed by both" : "completed by one"
}
