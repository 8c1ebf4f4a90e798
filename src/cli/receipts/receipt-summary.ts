import type { AgentId } from "../../protocol/names.js"
import { DecimalSum } from "./decimal-sum.js"
import type { ReceiptFacts } from "./receipt-facts.js"

/** What many receipts come to. */
export interface ReceiptSummary {
  readonly total: number
  /** ISO 8601; of the receipt that ended first, and last. */
  readonly from?: string
  readonly to?: string
  readonly counterparties: readonly AgentId[]
  readonly currencies: readonly CurrencySummary[]
  readonly disputed: number
}

interface CurrencySummary {
  /** Null where an amount was agreed in none. */
  readonly currency: string | null
  readonly receipts: number
  /** A decimal number. */
  readonly total: string
}

/**
 * Sums receipts up.
 * @param own - ids that are one's own, and so nobody's counterparty
 */
export function summarize(receipts: readonly ReceiptFacts[], own: ReadonlySet<AgentId>): ReceiptSummary {
  const ends = receipts.map(({ ended }) => ended).sort()
  const [first] = ends
  const last = ends.at(-1)
  return {
    total: receipts.length,
    ...(first === undefined || last === undefined ? {} : { from: first, to: last }),
    counterparties: [...new Set(receipts.flatMap((facts) => othersIn(facts, own)))].sort(),
    currencies: sumByCurrency(receipts),
    disputed: receipts.filter(({ state }) => state === "disputed").length,
  }
}

/** Whom a deal was made with; both parties when neither is oneself. */
function othersIn({ from, to }: ReceiptFacts, own: ReadonlySet<AgentId>): AgentId[] {
  return [from, to].filter((id) => !own.has(id))
}

/** The summary in words. */
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
