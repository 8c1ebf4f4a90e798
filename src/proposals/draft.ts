import { createHash } from "node:crypto"
import { formatDidKey } from "../identity/keys.js"
import type { KeyPair } from "../identity/signer.js"
import { ChatError } from "../protocol/errors.js"
import { amountPattern, type Draft, defaultSeconds, type Statement } from "../protocol/statements.js"
import type { Verb } from "../protocol/verbs.js"
import { advanceDeal, type Deal, partiesOf } from "./deal.js"
import { signStatement } from "./statement.js"

export type AnswerDraft = Draft<Exclude<Verb, "PROPOSAL">>

export interface Signing {
  readonly keyPair: KeyPair
  /** Id of the statement. Must be the same each time the draft is signed, see {@link statementId}. */
  readonly id: string
  /** Milliseconds since the Unix epoch. */
  readonly now: number
}

const idPrefixes = {
  PROPOSAL: "prop",
  ACCEPT: "acc",
  REJECT: "rej",
  COMPLETE: "comp",
  DISPUTE: "disp",
} as const
/** Tolerated clock difference between the parties, in milliseconds. */
const maxAheadMs = 600_000
const base32 = "abcdefghijklmnopqrstuvwxyz234567"
const idLength = 16

/**
 * Returns the id of the statement made from a draft, such as `prop_k3v5…`: 80 bits of a hash over signer and `key`.
 * @param key - unique per signer, and the same each time the draft is sent: a relay treats a repeated id as the same
 * statement
 */
export function statementId(verb: Verb, did: string, key: string): string {
  const digest = createHash("sha256").update(`${did}\n${verb}\n${key}`).digest()
  const letters = Array.from(digest.subarray(0, idLength), (byte) => base32.charAt(byte & 31))
  return `${idPrefixes[verb]}_${letters.join("")}`
}

/**
 * Returns the key of a draft that a line of an outbox contains under an id of its writer. Another line may have the same
 * id; it is another statement.
 * @param sha256 - of the line without its newline, in hexadecimal
 */
export function keyOfLine(id: string, sha256: string): string {
  return `${id} ${sha256}`
}

/**
 * Signs a proposal.
 * @param to - did:key of the recipient
 * @param aud - `server_id` of the relay
 * @throws {ChatError} INVALID_MSG, naming the field at fault
 */
export function signProposal(
  draft: Draft<"PROPOSAL">,
  { to, aud }: { readonly to: string; readonly aud: string },
  { keyPair, id, now }: Signing,
): Statement<"PROPOSAL"> {
  if (to === formatDidKey(keyPair.publicKey)) throw new ChatError("INVALID_MSG", "to: cannot be yourself")
  const { expires = defaultSeconds, dispute_window = defaultSeconds, amount, ...content } = draft
  const terms = { expires, dispute_window, amount: amount === undefined ? undefined : formatAmount(amount) }
  return signStatement({ ...content, ...terms, id, to, aud, ts: now }, keyPair) as Statement<"PROPOSAL">
}

/**
 * Signs an answer to the last statement of a deal.
 * @returns the statement, and the deal including it
 * @throws {ChatError} PROPOSAL_STATE, PROPOSAL_EXPIRED or NOT_A_PARTY if it is not legal now; INVALID_MSG, also if the
 * last statement is dated in the future, because the answer would have to be as well
 */
export function signAnswer(
  deal: Deal,
  draft: AnswerDraft,
  { keyPair, id, now }: Signing,
): { readonly statement: Statement; readonly deal: Deal } {
  const self = formatDidKey(keyPair.publicKey)
  const [proposer, recipient] = partiesOf(deal)
  if (self !== proposer && self !== recipient) {
    throw new ChatError("NOT_A_PARTY", `${draft.type}: you are not a party of ${deal.id}`)
  }
  const lastTs = deal.chain.at(-1)?.ts ?? 0
  if (lastTs > now + maxAheadMs) {
    throw new ChatError(
      "INVALID_MSG",
      `${draft.type}: the last statement of ${deal.id} is dated in the future`,
      { hint: "correct the clock of one of the two machines" },
    )
  }
  const unsigned = {
    ...draft,
    id,
    to: self === proposer ? recipient : proposer,
    aud: deal.chain[0].aud,
    prev: deal.head,
    // Clocks may differ, but time must not run backwards in a chain.
    ts: Math.max(now, lastTs),
  }
  const statement = signStatement(unsigned, keyPair)
  return { statement, deal: advanceDeal(deal, statement) }
}

/**
 * Formats an amount as statements have it.
 * @throws {ChatError} INVALID_MSG unless it has at most 21 digits before and 18 after the decimal point
 */
function formatAmount(amount: number | string): string {
  const text = String(amount)
  if (amountPattern.test(text)) return text
  throw new ChatError("INVALID_MSG", "amount: must be a decimal number", {
    hint: 'write it as text: "0.0000001"',
  })
}
