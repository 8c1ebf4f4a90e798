import { canonicalize } from "../identity/canonical-json.js"
import type { Receipt } from "./receipt.js"

/**
 * Receipts of many files or many moments, one for each deal: of several the one that tells most. What is in it does
 * not depend on the order in which receipts were added.
 */
export class ReceiptSet {
  /** By the signature of the proposal: whoever has another one has another deal. */
  readonly #receipts = new Map<string, Receipt>()

  get size(): number {
    return this.#receipts.size
  }

  /** @returns whether it told more than what was there */
  add(receipt: Receipt): boolean {
    const key = receipt.proposal.sig
    const known = this.#receipts.get(key)
    if (known !== undefined && !tellsMore(receipt, known)) return false
    this.#receipts.set(key, receipt)
    return true
  }

  values(): Iterable<Receipt> {
    return this.#receipts.values()
  }
}

/** Two chains of one length differ only when a party signed against itself; then any fixed choice will do. */
function tellsMore(receipt: Receipt, known: Receipt): boolean {
  const difference = lengthOf(receipt) - lengthOf(known)
  return difference > 0 || (difference === 0 && canonicalize(receipt) < canonicalize(known))
}

function lengthOf({ complete, dispute = [] }: Receipt): number {
  return complete.length + dispute.length
}
