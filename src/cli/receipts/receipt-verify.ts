import { formatForTerminal } from "../../base/visible-text.js"
import type { Proof } from "../../proposals/receipt-check.js"
import type { Context } from "../context.js"
import type { ReadableFile } from "../input/file-lines.js"
import type { KeyRing } from "./key-statements.js"
import { factsOf, formatPrice, type ReceiptFacts, shortTask } from "./receipt-facts.js"
import { type Judged, judgeReceipts } from "./receipt-source.js"

type Finding = Exclude<Judged, { status: "valid" }> | ValidFinding

interface ValidFinding {
  readonly line: number
  readonly status: "valid"
  readonly deal: ReceiptFacts
  readonly proves: readonly Proof[]
  readonly not_checked: readonly string[]
}

/** Exit status for the worst result. */
const statuses = { valid: 0, invalid: 1, undecided: 2 } as const

/**
 * Verifies every receipt of a file and prints what each proves and what was not checked.
 * @returns exit status 0 if there is a receipt and all are valid, 1 if one is invalid, else 2
 * @throws {ChatError} NOT_FOUND
 */
export async function verifyReceipts(context: Context, file: ReadableFile, keys: KeyRing): Promise<number> {
  const { io, config } = context
  const counts = { valid: 0, invalid: 0, undecided: 0 }
  const findings: Finding[] = []
  for await (const judged of judgeReceipts(context, file, keys)) {
    const finding = judged.status === "valid" ? findingOf(judged) : judged
    if (config.json) findings.push(finding)
    else for (const text of describe(finding)) io.out(text)
    counts[finding.status] += 1
  }
  const worst = worstOf(counts)
  if (config.json) io.json({ ok: worst === "valid", verdict: worst, ...counts, receipts: findings })
  else io.out(`${worst}: ${counts.valid} valid, ${counts.invalid} invalid, ${counts.undecided} undecided`)
  if (counts.valid + counts.invalid + counts.undecided === 0) io.err("there is no receipt in it")
  return statuses[worst]
}

function worstOf(counts: Readonly<Record<Finding["status"], number>>): Finding["status"] {
  if (counts.invalid > 0) return "invalid"
  return counts.undecided > 0 || counts.valid === 0 ? "undecided" : "valid"
}

function findingOf({
  line,
  status,
  deal,
  proves,
  unchecked,
}: Extract<Judged, { status: "valid" }>): ValidFinding {
  return { line, status, deal: factsOf(deal), proves, not_checked: unchecked }
}

function describe(finding: Finding): string[] {
  const { line, status } = finding
  if (finding.status !== "valid") {
    const verdict = status === "invalid" ? "invalid" : "cannot decide"
    return [`line ${line}: ${verdict}: ${formatForTerminal(finding.problem)}`]
  }
  const { deal, proves, not_checked } = finding
  const price = formatPrice(deal)
  const summary = `${shortTask(deal.task)}${price === undefined ? "" : `, ${price}`}`
  return [
    `line ${line}: valid: ${deal.proposal_id}, ${deal.from} to ${deal.to}: ${summary}`,
    `  proven: ${proves.join(", ")}; ended ${deal.ended}`,
    ...not_checked.map((text) => `  not checked: ${text}`),
  ]
}
