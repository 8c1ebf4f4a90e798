import type { Clock } from "../../base/clock.js"
import type { Connection } from "../../client/connection.js"
import type { Identity } from "../../identity/identity-file.js"
import type { DealBook } from "../../proposals/deal-book.js"
import { statementMessageId } from "../../proposals/deal-news.js"
import { type AnswerDraft, signAnswer, signProposal, statementId } from "../../proposals/draft.js"
import { agentIdOfDid } from "../../proposals/statement.js"
import { ChatError } from "../../protocol/errors.js"
import { persistentIdPattern } from "../../protocol/names.js"
import type { DealState } from "../../protocol/server-messages.js"
import type { Draft, Statement } from "../../protocol/statements.js"

type Session = Pick<Connection, "request" | "welcome">

/** A draft that was signed. */
export interface Signed {
  readonly statement: Statement
  /** What a relay confirms it by. */
  readonly msgId: string
  /** Of the deal, with this statement. */
  readonly state: DealState
  /** Whether it was said before: it stands in the deal, and nothing is left to send. */
  readonly isSaid: boolean
}

/** What signing needs of its daemon. */
export interface SignerOptions {
  readonly identity: Identity
  readonly book: DealBook
  readonly clock: Clock
  /** Asks the relay for a deal, and takes what it has of it. */
  fetch(proposalId: string, session: Session): Promise<void>
}

/** Makes statements of drafts, each at the moment in which it is sent. */
export class DealSigner {
  readonly #options: SignerOptions
  /** Deals of which the relay knows more than the book. */
  readonly #stale = new Set<string>()

  constructor(options: SignerOptions) {
    this.#options = options
  }

  /** The relay refused an answer to this proposal because the other party said something first. */
  distrust(proposalId: string): void {
    this.#stale.add(proposalId)
  }

  /**
   * Signs a draft.
   * @param key - unique for the line, and the same each time it is tried
   * @throws {ChatError} what keeps it from being said: AGENT_NOT_FOUND, AMBIGUOUS_NAME, IDENTITY_REQUIRED,
   * PROPOSAL_NOT_FOUND, PROPOSAL_STATE, PROPOSAL_EXPIRED, NOT_A_PARTY, VERIFICATION_FAILED, INVALID_MSG; or what keeps
   * the relay from answering
   */
  async sign(draft: Draft, key: string, session: Session): Promise<Signed> {
    return draft.type === "PROPOSAL" ? this.#propose(draft, key, session) : this.#answer(draft, key, session)
  }

  async #propose(draft: Draft<"PROPOSAL">, key: string, session: Session): Promise<Signed> {
    const { identity, book, clock } = this.#options
    const id = statementId("PROPOSAL", identity.did, key)
    const said = book.get(id)
    if (said !== undefined) return signed(said.chain[0], said.state, true)
    const to = await findKey(draft.to, session)
    const signing = { keyPair: identity.keyPair, id, now: clock.now() }
    return signed(signProposal(draft, { to, aud: session.welcome.server_id }, signing), "pending", false)
  }

  async #answer(draft: AnswerDraft, key: string, session: Session): Promise<Signed> {
    const { identity, book, clock } = this.#options
    const { proposal_id: proposalId } = draft
    // Two answers may bear one id, their writer's choice; they are two acts all the same.
    const id = statementId(draft.type, identity.did, `${proposalId} ${key}`)
    if (book.get(proposalId) === undefined || this.#stale.has(proposalId)) {
      await this.#options.fetch(proposalId, session)
      this.#stale.delete(proposalId)
    }
    const deal = book.get(proposalId)
    if (deal === undefined) {
      throw new ChatError("PROPOSAL_NOT_FOUND", `proposal_id: ${proposalId} is no proposal of yours`, {
        hint: "agentchat proposals lists yours",
      })
    }
    const chain: readonly Statement[] = deal.chain
    const said = chain.find((statement) => statement.id === id && statement.from === identity.did)
    if (said !== undefined) return signed(said, deal.state, true)
    if (deal.chain[0].aud !== session.welcome.server_id) {
      throw new ChatError("PROPOSAL_NOT_FOUND", `proposal_id: ${proposalId} was made on another relay`, {
        hint: "start the daemon on that relay; one that lost its store is another one",
      })
    }
    const signing = { keyPair: identity.keyPair, id, now: clock.now() }
    const answered = signAnswer(deal, draft, signing)
    return signed(answered.statement, answered.deal.state, false)
  }
}

function signed(statement: Statement, state: DealState, isSaid: boolean): Signed {
  return { statement, msgId: statementMessageId(statement), state, isSaid }
}

/** The key of whom a proposal is for. A name means whom the relay says; of an id no relay can make another agent. */
async function findKey(to: Draft<"PROPOSAL">["to"], session: Session): Promise<string> {
  const { roster } = await session.request({ type: "LIST_AGENTS", agent: to })
  const [entry] = roster
  if (entry === undefined) throw new ChatError("AGENT_NOT_FOUND", `to: no agent ${to} is known`)
  const { id, name, did } = entry
  if (did === undefined) {
    throw new ChatError("IDENTITY_REQUIRED", `to: ${to} has no key, and so cannot agree to anything`, {
      hint: "propose to an agent with an identity, as every daemon without --ephemeral has",
    })
  }
  const isAsked = persistentIdPattern.test(to) ? id === to : name === to.slice(1)
  if (!isAsked || agentIdOfDid(did) !== id) {
    throw new ChatError("VERIFICATION_FAILED", `to: the relay names a key that is not that of ${to}`)
  }
  return did
}
