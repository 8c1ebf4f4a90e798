/** Reads the facts that valid receipts prove, and lists and sums them up. */
import { existsSync } from "node:fs"
import { omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import { rootPaths } from "../../daemon/files/paths.js"
import { type Deal, statementsOf } from "../../proposals/deal.js"
import { dealOfReceipt, type Receipt, ReceiptSet } from "../../proposals/receipt.js"
import { agentIdOfDid } from "../../proposals/statement.js"
import type { AgentId } from "../../protocol/names.js"
import type { Config } from "../config.js"
import type { Context } from "../context.js"
import type { ReadableFile } from "../input/file-lines.js"
import { formatTable } from "../output/table.js"
import { formatIsoTime } from "../output/time.js"
import type { KeyRing } from "./key-statements.js"
import { judgeReceipts } from "./receipt-source.js"

/** The contents of a valid receipt. Times are in ISO 8601. */
export interface ReceiptFacts {
  readonly proposal_id: string
  readonly from: AgentId
  readonly to: AgentId
  readonly task: string
  readonly amount?: string
  readonly currency?: string
  readonly state: "completed" | "disputed"
  /** The parties that stated its completion. */
  readonly completed_by: readonly AgentId[]
  readonly proposed: string
  readonly accepted: string
  /** Time of the first COMPLETE, else of the first DISPUTE. */
  readonly ended: string
}

/** @param deal - must have been verified */
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
    proposed: formatIsoTime(ts),
    accepted: formatIsoTime(statementsOf(deal, "ACCEPT")[0]?.ts ?? ts),
    ended: formatIsoTime(endOf(deal)),
  }
}

/** Returns the time of the first COMPLETE, else of the first DISPUTE, in milliseconds since the Unix epoch. */
function endOf(deal: Deal): number {
  const end = statementsOf(deal, "COMPLETE")[0] ?? statementsOf(deal, "DISPUTE")[0]
  return end?.ts ?? deal.chain[0].ts
}

export interface Collected {
  readonly receipt: Receipt
  readonly facts: ReceiptFacts
}

/**
 * Reads the valid receipts of a file, one per deal, in the order in which the deals ended. Reports invalid lines on
 * standard error.
 * @param keys - statements in the file are added to it
 * @param label - name of the file for messages
 * @throws {ChatError} NOT_FOUND
 */
export async function collectReceipts(
  context: Context,
  file: ReadableFile,
  { keys, wants, label }: { keys: KeyRing; wants: (facts: ReceiptFacts) => boolean; label: string },
): Promise<Collected[]> {
  const { io } = context
  const set = new ReceiptSet()
  let skipped = 0
  for await (const judged of judgeReceipts(context, file, keys)) {
    if (judged.status === "valid") set.add(judged.receipt)
    else if (++skipped <= 3) io.err(`${label}:${judged.line} is skipped: ${judged.problem}`)
  }
  if (skipped > 3) io.err(`${skipped} lines in all are skipped; see: agentchat receipts verify`)
  return [...set.values()]
    .map((receipt) => {
      const deal = dealOfReceipt(receipt)
      return { receipt, facts: factsOf(deal), end: endOf(deal) }
    })
    .filter(({ facts }) => wants(facts))
    .sort((a, b) => a.end - b.end || (a.facts.proposal_id < b.facts.proposal_id ? -1 : 1))
}

export function hasReceipts({ home }: Config): boolean {
  return existsSync(rootPaths(home).receipts)
}

/** Formats receipts as a table, safe for a terminal. @param columns - as for {@link formatTable} */
export function formatReceiptTable(receipts: readonly ReceiptFacts[], columns?: number): string[] {
  if (receipts.length === 0) return []
  return formatTable(
    ["ENDED", "PROPOSAL", "FROM", "TO", "STATE", "AMOUNT", { text: "TASK" }],
    receipts.map((facts) => [
      facts.ended,
      facts.proposal_id,
      facts.from,
      facts.to,
      describeState(facts),
      formatPrice(facts) ?? "–",
      shortTask(facts.task),
    ]),
    columns,
  )
}

function describeState({ state, completed_by }: ReceiptFacts): string {
  if (state === "disputed") return "disputed"
  return completed_by.length === 2 ? "completed by both" : "completed by one"
}

/** Returns the start of a task on one line, safe for a terminal. */
export function shortTask(task: string): string {
  const short = task.length > 60 ? `${task.slice(0, 57)}...` : task
  return formatForTerminal(short.replace(/\s+/g, " "))
}

/** Returns an amount and its currency, such as `0.05 SOL`; undefined if there is neither. */
export function formatPrice({ amount, currency }: Pick<ReceiptFacts, "amount" | "currency">) {
  const price = [amount, currency].filter((part) => part !== undefined).join(" ")
  return price === "" ? undefined : price
}

export interface ReceiptSummary {
  readonly total: number
  /** End of the first deal, in ISO 8601. */
  readonly from?: string
  /** End of the last deal, in ISO 8601. */
  readonly to?: string
  readonly counterparties: readonly AgentId[]
  readonly currencies: readonly CurrencySummary[]
  readonly disputed: number
}

interface CurrencySummary {
  /** Null for amounts without a currency. */
  readonly currency: string | null
  readonly receipts: number
  readonly total: string
}

/**
 * Sums receipts up.
 * @param own - ids of the reader, which are not counterparties
 */
export function summarize(receipts: readonly ReceiptFacts[], own: ReadonlySet<AgentId>): ReceiptSummary {
  const ends = receipts.map(({ ended }) => ended).sort()
  const [first] = ends
  const last = ends.at(-1)
  const parties = receipts.flatMap(({ from, to }) => [from, to].filter((id) => !own.has(id)))
  return {
    total: receipts.length,
    ...(first === undefined || last === undefined ? {} : { from: first, to: last }),
    counterparties: [...new Set(parties)].sort(),
    currencies: sumByCurrency(receipts),
    disputed: receipts.filter(({ state }) => state === "disputed").length,
  }
}

export function formatSummary(summary: ReceiptSummary): string[] {
  const { total, from, to, counterparties, currencies, disputed } = summary
  return [
    "Receipt Summary:",
    `  Total receipts: ${total}`,
    ...(from === undefined || to === undefined ? [] : [`  Date range: ${from} to ${to}`]),
    `  Counterparties (${counterparties.length}):`,
    ...counterparties.map((id) => `    - ${id}`),
    ...(currencies.length === 0 ? [] : ["  By currency:"]),
    ...currencies.map(
      ({ currency, receipts, total: sum }) =>
        `    ${currency ?? "without currency"}: ${receipts} receipts, ${sum} total`,
    ),
    ...(disputed === 0 ? [] : [`  Disputed: ${disputed}`]),
  ]
}

function sumByCurrency(receipts: readonly ReceiptFacts[]): CurrencySummary[] {
  const sums = new Map<string | null, { receipts: number; readonly sum: DecimalSum }>()
  for (const { amount, currency = null } of receipts) {
    if (amount === undefined && currency === null) continue
    const entry = sums.get(currency) ?? { receipts: 0, sum: new DecimalSum() }
    entry.receipts += 1
    if (amount !== undefined) entry.sum.add(amount)
    sums.set(currency, entry)
  }
  return [...sums]
    .map(([currency, { receipts: count, sum }]) => ({ currency, receipts: count, total: sum.toString() }))
    .sort((a, b) => ((a.currency ?? "~") < (b.currency ?? "~") ? -1 : 1))
}

/** Most digits after the point of an amount. */
const places = 18

/** An exact sum of decimal numbers. */
export class DecimalSum {
  #units = 0n

  /** @param text - an amount of a statement: digits, and up to 18 more after a point */
  add(text: string): void {
    const [whole = "", fraction = ""] = text.split(".")
    this.#units += BigInt(whole + fraction.padEnd(places, "0"))
  }

  /** Returns the sum without trailing zeros, such as `0.15` or `50`. */
  toString(): string {
    const digits = this.#units.toString().padStart(places + 1, "0")
    const fraction = digits.slice(-places).replace(/0+$/, "")
    const whole = digits.slice(0, -places)
    return fraction === "" ? whole : `${whole}.${fraction}`
  }
}
