import { formatForTerminal } from "../../base/visible-text.js"
import { judgeReceipt, type Proof } from "../../proposals/verdict.js"
import type { Context } from "../context.js"
import type { ReadableFile } from "../input/file-lines.js"
import type { KeyRing } from "./key-statements.js"
import type { Entry } from "./receipt-entry.js"
import { factsOf, type ReceiptFacts } from "./receipt-facts.js"
import { addKeysAmongReceipts, readEntries } from "./receipt-source.js"

/** What came out of looking at one line. */
type Finding =
  | {
      readonly line: number
      readonly status: "valid"
      readonly deal: ReceiptFacts
      readonly proves: readonly Proof[]
      readonly not_checked: readonly string[]
    }
  | { readonly line: number; readonly status: "invalid" | "undecided"; readonly problem: string }

/** Exit status by the worst finding. */
const statuses = { valid: 0, invalid: 1, undecided: 2 } as const
const saidAtOnce = 64

/**
 * Checks every receipt of a file and says of each what it proves, and what was not looked at.
 * @returns 0 when there is one and all are valid, 1 when one is invalid, else 2
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
    if ((counts.valid + counts.invalid + counts.undecided) % saidAtOnce === 0) await io.flush()
  }
  const worst = worstOf(counts)
  if (config.json) io.json({ ok: worst === "valid", verdict: worst, ...counts, receipts: findings })
  else io.out(`${worst}: ${counts.valid} valid, ${counts.invalid} invalid, ${counts.undecided} undecided`)
  if (counts.valid + counts.invalid + counts.undecided === 0) io.talk("there is no receipt in it")
  return statuses[worst]
}

function worstOf(counts: Readonly<Record<Finding["status"], number>>): Finding["status"] {
  if (counts.invalid > 0) return "invalid"
  return counts.undecided > 0 || counts.valid === 0 ? "undecided" : "valid"
}

/** @returns undefined for a statement about a key: it is no receipt, and was heeded already */
function judge(line: number, entry: Entry, keys: KeyRing): Finding | undefined {
  if (entry.kind === "key") return undefined
  if (entry.kind === "unknown") return { line, status: "undecided", problem: entry.problem }
  if (entry.kind === "invalid") return { line, status: "invalid", problem: entry.problem }
  const verdict = judgeReceipt(entry.receipt, keys.of(entry.receipt))
  if (verdict.status === "invalid") return { line, status: "invalid", problem: verdict.problem }
  const { deal, proves, unchecked } = verdict
  return { line, status: "valid", deal: factsOf(deal), proves, not_checked: unchecked }
}

function describe(finding: Finding): string[] {
  const { line, status } = finding
  if (finding.status !== "valid") {
    return [
      `line ${line}: ${status === "invalid" ? "invalid" : "cannot decide"}: ${formatForTerminal(finding.problem)}`,
    ]
  }
  const { deal, proves, not_checked } = finding
  return [
    `line ${line}: valid: ${deal.proposal_id}, ${deal.from} to ${deal.to}: ${shortTask(deal.task)}${formatPrice(deal)}`,
    `  proven: ${proves.join(", ")}; ended ${deal.ended}`,
    ...not_checked.map((what) => `  not checked: ${what}`),
  ]
}

/** The start of a task, in one line that no terminal obeys. */
export function shortTask(task: string): string {
  const short = task.length > 60 ? `${task.slice(0, 57)}...` : task
  return formatForTerminal(short.replace(/\s+/g, " "))
}

function formatPrice({ amount, currency }: ReceiptFacts): string {
  const price = [amount, currency].filter((part) => part !== undefined).join(" ")
  return price === "" ? "" : `, ${price}`
}
