import { createHash } from "node:crypto"
import { formatDidKey } from "../identity/keys.js"
import type { KeyPair } from "../identity/signer.js"
import { ChatError } from "../protocol/errors.js"
import { amountPattern, type Draft, defaultSeconds, type Statement } from "../protocol/statements.js"
import type { Verb } from "../protocol/verbs.js"
import { advanceDeal, type Deal, partiesOf } from "./deal.js"
import { signStatement } from "./statement.js"

/** An answer to a proposal, as an agent writes it. */
export type AnswerDraft = Draft<Exclude<Verb, "PROPOSAL">>

/** What is known where a draft becomes a statement. */
export interface Signing {
  readonly keyPair: KeyPair
  /** Id of the statement; the same draft must get the same one each time, see {@link statementId}. */
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
/** Milliseconds by which another's clock may be ahead of one's own. */
const mostAheadMs = 600_000
const base32 = "abcdefghijklmnopqrstuvwxyz234567"
const idLength = 16

/**
 * The id of the statement made of a draft, such as `prop_k3v5…`: 80 bits of a hash over the signer and `key`.
 * @param key - unique for the signer and the same each time the draft is tried: a relay takes a repeated id for
 * the same act
 */
export function statementId(verb: Verb, did: string, key: string): string {
  const digest = createHash("sha256").update(`${did}\n${verb}\n${key}`).digest()
  const letters = Array.from(digest.subarray(0, idLength), (byte) => base32.charAt(byte & 31))
  return `${idPrefixes[verb]}_${letters.join("")}`
}

/**
 * Signs a proposal.
 * @param to - did:key of whom the draft names
 * @param aud - `server_id` of the relay it is made for
 * @throws {ChatError} INVALID_MSG, naming the member at fault
 */
export function signProposal(
  draft: Draft<"PROPOSAL">,
  { to, aud }: { readonly to: string; readonly aud: string },
  { keyPair, id, now }: Signing,
): Statement<"PROPOSAL"> {
  if (to === formatDidKey(keyPair.publicKey))
    throw new ChatError("INVALID_MSG", "to: that is yourself: a deal has two parties")
  const { expires = defaultSeconds, dispute_window = defaultSeconds, amount, ...offer } = draft
  const terms = { expires, dispute_window, amount: amount === undefined ? undefined : formatAmount(amount) }
  return signStatement({ ...offer, ...terms, id, to, aud, ts: now }, keyPair) as Statement<"PROPOSAL">
}

/**
 * Signs an answer to the last statement of a deal.
 * @returns the statement, and the deal with it
 * @throws {ChatError} PROPOSAL_STATE, PROPOSAL_EXPIRED or NOT_A_PARTY when it cannot be said now; INVALID_MSG, also
 * when what it answers is dated in the future: the answer would have to be as well
 */
export function signAnswer(
  deal: Deal,
  draft: AnswerDraft,
  { keyPair, id, now }: Signing,
): { readonly statement: Statement; readonly deal: Deal } {
  const self = formatDidKey(keyPair.publicKey)
  const [proposer, recipient] = partiesOf(deal)
  if (self !== proposer && self !== recipient) {
    throw new ChatError("NOT_A_PARTY", `${draft.type}: ${deal.id} is between two others`)
  }
  const lastTs = deal.chain.at(-1)?.ts ?? 0
  if (lastTs > now + mostAheadMs) {
    throw new ChatError(
      "INVALID_MSG",
      `${draft.type}: the last statement of ${deal.id} is dated in the future`,
      {
        hint: "one of the two clocks is wrong",
      },
    )
  }
  const unsigned = {
    ...draft,
    id,
    to: self === proposer ? recipient : proposer,
    aud: deal.chain[0].aud,
    prev: deal.head,
    // Two clocks may differ; in a chain time does not run backwards.
    ts: Math.max(now, lastTs),
  }
  const statement = signStatement(unsigned, keyPair)
  return { statement, deal: advanceDeal(deal, statement) }
}

/**
 * A decimal number as statements hold it.
 * @throws {ChatError} INVALID_MSG for what has no exact decimal form of 21 digits before and 18 after the point
 */
function formatAmount(amount: number | string): string {
  const text = String(amount)
  if (amountPattern.test(text)) return text
  throw new ChatError("INVALID_MSG", "amount: must be a decimal number", {
    hint: 'write it as text: "0.0000001"',
  })
}
