import { type Revocation, type Rotation, verifyRevocation, verifyRotation } from "../identity/succession.js"
import { ChatError } from "../protocol/errors.js"
import type { Statement } from "../protocol/statements.js"
import { agreedFault, type Deal, partiesOf, statementsOf } from "./deal.js"
import { dealOfReceipt, type Receipt } from "./receipt.js"
import { agentIdOfDid, verifyStatement } from "./statement.js"

/** What a receipt can prove, in the order in which it is told. */
export type Proof =
  | "integrity"
  | "accepted-by-both"
  | "completed-by-one"
  | "completed-by-both"
  | "disputed"
  | "fault-agreed"

/** What came out of looking at a receipt. */
export type Verdict =
  | {
      readonly status: "valid"
      readonly deal: Deal
      readonly proves: readonly Proof[]
      /** What was not looked at, and why: never to be taken for a pass. */
      readonly unchecked: readonly string[]
    }
  | { readonly status: "invalid"; readonly problem: string }

/** The last word of a key: nothing it signs at or after `ts` is believed. */
export type KeyStatement = Rotation | Revocation

const selfDeclared = "time: each statement says its own, and nobody else vouches for it"

/**
 * Checks a receipt with nothing but itself: every signature, that each statement answers the one before, and that
 * each step was legal, for its party and in time.
 * @param keys - rotations and revocations to honour, each checked by {@link verifyKeyStatement} before
 */
export function judgeReceipt(receipt: Receipt, keys: readonly KeyStatement[] = []): Verdict {
  try {
    const deal = dealOfReceipt(receipt)
    for (const statement of deal.chain) {
      verifyStatement(statement)
      requireLivingKey(statement, keys)
    }
    const strangers = partiesOf(deal).filter((did) => !keys.some(({ from }) => from === did))
    const unasked = strangers.map(
      (did) => `revocation: no statement about the key of ${agentIdOfDid(did)} was given`,
    )
    return { status: "valid", deal, proves: proofsOf(deal), unchecked: [selfDeclared, ...unasked] }
  } catch (error) {
    if (error instanceof ChatError) return { status: "invalid", problem: error.message }
    throw error
  }
}

/** Checks a statement about a key. @throws {ChatError} VERIFICATION_FAILED */
export function verifyKeyStatement(statement: KeyStatement): void {
  if (statement.type === "ROTATION") verifyRotation(statement)
  else verifyRevocation(statement)
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

function requireLivingKey({ type, from, ts }: Statement, keys: readonly KeyStatement[]): void {
  const end = keys.find((key) => key.from === from && key.ts <= ts)
  if (end === undefined) return
  const what = end.type === "ROTATION" ? "replaced" : "revoked"
  throw new ChatError(
    "VERIFICATION_FAILED",
    `${type}: its key was ${what} at ${iso(end.ts)}, before it was signed`,
  )
}

function iso(ts: number): string {
  return new Date(Math.min(Math.max(ts, 0), 8.64e15)).toISOString()
}
