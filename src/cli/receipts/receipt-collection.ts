import { existsSync } from "node:fs"
import { rootPaths } from "../../daemon/files/paths.js"
import { dealOfReceipt, type Receipt } from "../../proposals/receipt.js"
import { ReceiptSet } from "../../proposals/receipt-set.js"
import { judgeReceipt } from "../../proposals/verdict.js"
import type { Config } from "../config.js"
import type { Context } from "../context.js"
import type { ReadableFile } from "../input/file-lines.js"
import type { KeyRing } from "./key-statements.js"
import { endOf, factsOf, type ReceiptFacts } from "./receipt-facts.js"
import { addKeysAmongReceipts, readEntries } from "./receipt-source.js"

/** A valid receipt, and what it says. */
export interface Collected {
  readonly receipt: Receipt
  readonly facts: ReceiptFacts
}

/** Receipts looked at between two moments for whatever else the process does. */
const judgedAtOnce = 64

/**
 * The receipts of a file that are valid, one for each deal, in the order in which the deals ended. What is not
 * valid is left out, and that is said.
 * @param keys - those of the file are added
 * @param label - what to call the file
 * @throws {ChatError} NOT_FOUND
 */
export async function collectReceipts(
  { io }: Context,
  file: ReadableFile,
  { keys, wants, label }: { keys: KeyRing; wants: (facts: ReceiptFacts) => boolean; label: string },
): Promise<Collected[]> {
  addKeysAmongReceipts(keys, file)
  const set = new ReceiptSet()
  let leftOut = 0
  let judged = 0
  for (const { line, entry } of readEntries(file)) {
    if (entry.kind === "key") continue
    const problem = entry.kind === "receipt" ? problemOf(entry.receipt, keys) : entry.problem
    if (problem === undefined && entry.kind === "receipt") set.add(entry.receipt)
    else if (++leftOut <= 3) io.talk(`${label}:${line} is left out: ${problem}`)
    if (++judged % judgedAtOnce === 0) await io.flush()
  }
  if (leftOut > 3) io.talk(`${leftOut} lines in all are left out; see: agentchat receipts verify`)
  return [...set.values()]
    .map((receipt) => {
      const deal = dealOfReceipt(receipt)
      return { receipt, facts: factsOf(deal), end: endOf(deal) }
    })
    .filter(({ facts }) => wants(facts))
    .sort((a, b) => a.end - b.end || (a.facts.proposal_id < b.facts.proposal_id ? -1 : 1))
}

/** Whether a home has any receipts yet. */
export function hasReceipts({ home }: Config): boolean {
  return existsSync(rootPaths(home).receipts)
}

function problemOf(receipt: Receipt, keys: KeyRing): string | undefined {
  const verdict = judgeReceipt(receipt, keys.of(receipt))
  return verdict.status === "invalid" ? verdict.problem : undefined
}
