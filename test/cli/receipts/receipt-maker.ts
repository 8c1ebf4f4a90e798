import { formatDidKey } from "../../../src/identity/keys.js"
import { generateKeyPair, type KeyPair } from "../../../src/identity/signer.js"
import { type Deal, openDeal } from "../../../src/proposals/deal.js"
import { type AnswerDraft, signAnswer, signProposal } from "../../../src/proposals/draft.js"
import { type Receipt, receiptOf } from "../../../src/proposals/receipt.js"
import type { Draft } from "../../../src/protocol/statements.js"

/** 2026-01-15T10:00:00.000Z */
export const startTs = 1_768_471_200_000

/** Two agents that sign statements for each other. */
export class Pair {
  readonly proposer: KeyPair
  readonly recipient: KeyPair
  #count = 0

  constructor(proposer = generateKeyPair(), recipient = generateKeyPair()) {
    this.proposer = proposer
    this.recipient = recipient
  }

  /** Returns a deal that was accepted a second after `ts`. */
  accepted(offer: Partial<Draft<"PROPOSAL">> = {}, ts = startTs): Deal {
    const draft = {
      type: "PROPOSAL",
      to: "@other" as Draft<"PROPOSAL">["to"],
      task: "work",
      ...offer,
    } as const
    const audience = { to: formatDidKey(this.recipient.publicKey), aud: "relay" }
    const signing = { keyPair: this.proposer, id: this.#nextId(), now: ts }
    const deal = openDeal(signProposal(draft, audience, signing))
    return this.say(deal, this.recipient, { type: "ACCEPT", proposal_id: deal.id }, ts + 1_000)
  }

  /** Returns the deal with one more statement. */
  say(deal: Deal, keyPair: KeyPair, draft: AnswerDraft, ts: number): Deal {
    return signAnswer(deal, draft, { keyPair, id: this.#nextId(), now: ts }).deal
  }

  /** Returns the receipt of a deal that the recipient completed a minute after `ts`. */
  receipt(offer: Partial<Draft<"PROPOSAL">> = {}, ts = startTs): Receipt {
    const deal = this.accepted(offer, ts)
    return proofOf(this.say(deal, this.recipient, { type: "COMPLETE", proposal_id: deal.id }, ts + 60_000))
  }

  #nextId(): string {
    return `statement_${this.#count++}`
  }
}

/** Returns the receipt of a completed deal. */
export function proofOf(deal: Deal): Receipt {
  const receipt = receiptOf(deal)
  if (receipt === undefined) throw new Error(`${deal.id} is ${deal.state}`)
  return receipt
}
