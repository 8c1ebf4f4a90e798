import { formatForTerminal } from "../../base/visible-text.js"
import { checkReceipt, type Proof } from "../../proposals/receipt-check.js"
import type { Context } from "../context.js"
import type { ReadableFile } from "../input/file-lines.js"
import type { KeyRing } from "./key-statements.js"
import { factsOf, formatPrice, type ReceiptFacts, shortTask } from "./receipt-facts.js"
import { addKeysAmongReceipts, type Entry, readEntries } from "./receipt-source.js"

type Finding =
  | {
      readonly line: number
      readonly status: "valid"
      readonly deal: ReceiptFacts
      readonly proves: readonly Proof[]
      readonly not_checked: readonly string[]
    }
  | { readonly line: number; readonly status: "invalid" | "undecided"; readonly problem: string }

/** Exit status for the worst result. */
const statuses = { valid: 0, invalid: 1, undecided: 2 } as const
const findingsPerFlush = 64

/**
 * Verifies every receipt of a file and prints what each proves and what was not checked.
 * @returns exit status 0 if there is a receipt and all are valid, 1 if one is invalid, else 2
 * @throws {ChatError} NOT_FOUND
 */
export async function verifyReceipts(
  { io, config }: Context,
  file: ReadableFile,
  keys: KeyRing,
): Promise<number> {
  addKeysAmongReceipts(keys, file)
  const counts = { valid: 0, invalid: 0, undecided: 0 }
  const findings: Finding[] = []
  for (const { line, entry } of readEntries(file)) {
    const finding = judge(line, entry, keys)
    if (finding === undefined) continue
    if (config.json) findings.push(finding)
    else for (const text of describe(finding)) io.out(text)
    counts[finding.status] += 1
    if ((counts.valid + counts.invalid + counts.undecided) % findingsPerFlush === 0) await io.flush()
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

/** @returns undefined for a statement about a key, which {@link addKeysAmongReceipts} has added */
function judge(line: number, entry: Entry, keys: KeyRing): Finding | undefined {
  if (entry.kind === "key") return undefined
  if (entry.kind === "unknown") return { line, status: "undecided", problem: entry.problem }
  if (entry.kind === "invalid") return { line, status: "invalid", problem: entry.problem }
  const verdict = checkReceipt(entry.receipt, keys.of(entry.receipt))
  if (verdict.status === "invalid") return { line, status: "invalid", problem: verdict.problem }
  const { deal, proves, unchecked } = verdict
  return { line, status: "valid", deal: factsOf(deal), proves, not_checked: unchecked }
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
