import { formatDidKey } from "../../../src/identity/keys.js"
import { type KeyPair, keyPairFromSeed } from "../../../src/identity/signer.js"
import type { Deal } from "../../../src/proposals/deal.js"
import { formatReceipt, receiptOf } from "../../../src/proposals/receipt.js"
import { agentIdOfDid } from "../../../src/proposals/statement.js"
import { type Changes, dealAfter, propose, type Step, startTs } from "../../kit/deals.js"

/** Returns the nth agent; its key is the same in every run. */
export function agent(n: number): KeyPair & { readonly did: string; readonly id: string } {
  const keyPair = keyPairFromSeed(Buffer.alloc(32, n))
  const did = formatDidKey(keyPair.publicKey)
  return { ...keyPair, did, id: agentIdOfDid(did) }
}

/** Returns a deal with these statements, n minutes after the start. */
export function dealBetween(
  from: KeyPair,
  to: KeyPair,
  n: number,
  steps: readonly Step[],
  offer: Changes = {},
): Deal {
  const usual = {
    id: `prop_${String(n).padStart(4, "0")}`,
    to: formatDidKey(to.publicKey),
    ts: startTs + n * 60_000,
  }
  return dealAfter([["ACCEPT", to], ...steps], propose({ ...usual, ...offer }, from))
}

/** Returns the line of a deal in receipts.jsonl, with the newline. */
export function lineOf(deal: Deal): string {
  const receipt = receiptOf(deal)
  if (receipt === undefined) throw new Error(`${deal.id} has no receipt`)
  return `${formatReceipt(receipt)}\n`
}

/** Returns the line of a deal that the recipient completed. */
export function completed(from: KeyPair, to: KeyPair, n: number, offer: Changes = {}): string {
  return lineOf(dealBetween(from, to, n, [["COMPLETE", to]], offer))
}
