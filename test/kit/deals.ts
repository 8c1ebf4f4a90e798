import { formatDidKey } from "../../src/identity/keys.js"
import { type KeyPair, keyPairFromSeed } from "../../src/identity/signer.js"
import { advanceDeal, type Deal, openDeal } from "../../src/proposals/deal.js"
import { hashStatement, signStatement } from "../../src/proposals/statement.js"
import type { Statement } from "../../src/protocol/statements.js"
import type { Verb } from "../../src/protocol/verbs.js"

/** Two parties and a stranger, the same in every run. */
export const [alice, bob, carol] = [1, 2, 3].map((byte) => keyPairFromSeed(Buffer.alloc(32, byte))) as [
  KeyPair,
  KeyPair,
  KeyPair,
]
export const [aliceDid, bobDid, carolDid] = [alice, bob, carol].map(({ publicKey }) =>
  formatDidKey(publicKey),
) as [string, string, string]

/** When proposals are made: milliseconds since the Unix epoch. */
export const startTs = 1_800_000_000_000
export const aud = "relay-1"

/** Members of a statement that are to be other than usual; `undefined` leaves one out. */
export type Changes = Readonly<Record<string, unknown>>

/** A proposal of Alice to Bob. */
export function propose(changes: Changes = {}, by: KeyPair = alice): Statement<"PROPOSAL"> {
  const usual = {
    type: "PROPOSAL",
    id: "prop_0001",
    to: bobDid,
    ts: startTs,
    aud,
    task: "echo hello",
    expires: 300,
    dispute_window: 3_600,
  } as const
  return signStatement({ ...usual, ...changes }, by) as Statement<"PROPOSAL">
}

/** An answer to the last statement of a deal, a second later, whether it is legal or not. */
export function answer(
  deal: Deal,
  type: Exclude<Verb, "PROPOSAL">,
  by: KeyPair,
  changes: Changes = {},
): Exclude<Statement, { type: "PROPOSAL" }> {
  const [{ id, from, to, aud: server }] = deal.chain
  const last = deal.chain.at(-1) ?? deal.chain[0]
  const usual = {
    type,
    id: `${type.toLowerCase()}_${deal.chain.length}_${by === alice ? "a" : "b"}`,
    to: formatDidKey(by.publicKey) === from ? to : from,
    ts: last.ts + 1_000,
    aud: server,
    proposal_id: id,
    prev: hashStatement(last),
    ...(type === "DISPUTE" ? { reason: "not done" } : {}),
  } as const
  return signStatement({ ...usual, ...changes }, by) as Exclude<Statement, { type: "PROPOSAL" }>
}

/** One step of a deal: what is said, by whom, and what is unusual in it. */
export type Step = readonly [type: Exclude<Verb, "PROPOSAL">, by: KeyPair, changes?: Changes]

/** A deal that went so. */
export function dealAfter(steps: readonly Step[], proposal = propose()): Deal {
  return steps.reduce(
    (deal, [type, by, changes]) => advanceDeal(deal, answer(deal, type, by, changes)),
    openDeal(proposal),
  )
}
