import type { KeyStatement } from "../identity/succession.js"
import { ChatError } from "../protocol/errors.js"
import type { Statement } from "../protocol/statements.js"
import { agreedFault, type Deal, partiesOf, statementsOf } from "./deal.js"
import { dealOfReceipt, type Receipt } from "./receipt.js"
import { agentIdOfDid, verifyStatement } from "./statement.js"

/** A fact that a receipt can prove, in the order of the output. */
export type Proof =
  | "integrity"
  | "accepted-by-both"
  | "completed-by-one"
  | "completed-by-both"
  | "disputed"
  | "fault-agreed"

export type ReceiptCheck =
  | {
      readonly status: "valid"
      readonly deal: Deal
      readonly proves: readonly Proof[]
      /** Facts that were not checked, each with the reason. */
      readonly unchecked: readonly string[]
    }
  | { readonly status: "invalid"; readonly problem: string }

const selfDeclared = "time: each statement states its own time, and nobody else confirms it"

/**
 * Checks a receipt offline: every signature, that each statement answers the one before, and that each was legal for
 * its signer at its time.
 * @param keys - rotations and revocations to apply, each checked by `verifyKeyStatement` before
 */
export function checkReceipt(receipt: Receipt, keys: readonly KeyStatement[] = []): ReceiptCheck {
  try {
    const deal = dealOfReceipt(receipt)
    for (const statement of deal.chain) {
      verifyStatement(statement)
      requireValidKey(statement, keys)
    }
    const unknownKeys = partiesOf(deal).filter((did) => !keys.some(({ from }) => from === did))
    const unrevoked = unknownKeys.map(
      (did) => `revocation: no statement about the key of ${agentIdOfDid(did)} was given`,
    )
    return { status: "valid", deal, proves: proofsOf(deal), unchecked: [selfDeclared, ...unrevoked] }
  } catch (error) {
    if (error instanceof ChatError) return { status: "invalid", problem: error.message }
    throw error
  }
}

function proofsOf(deal: Deal): Proof[] {
  const completions = statementsOf(deal, "COMPLETE").length
  const completed: readonly Proof[] = completions === 2 ? ["completed-by-both"] : ["completed-by-one"]
  const disputed: readonly Proof[] =
    agreedFault(deal) === undefined ? ["disputed"] : ["disputed", "fault-agreed"]
  return [
    "integrity",
    "accepted-by-both",
    ...(completions === 0 ? [] : completed),
    ...(deal.state === "disputed" ? disputed : []),
  ]
}

function requireValidKey({ type, from, ts }: Statement, keys: readonly KeyStatement[]): void {
  const end = keys.find((key) => key.from === from && key.ts <= ts)
  if (end === undefined) return
  const ended = end.type === "ROTATION" ? "replaced" : "revoked"
  throw new ChatError(
    "VERIFICATION_FAILED",
    `${type}: its key was ${ended} at ${iso(end.ts)}, before it was signed`,
  )
}

function iso(ts: number): string {
  return new Date(Math.min(Math.max(ts, 0), 8.64e15)).toISOString()
}
