import { formatDidKey } from "../../src/identity/keys.js"
import { generateKeyPair, type KeyPair } from "../../src/identity/signer.js"
import type { Deal } from "../../src/proposals/deal.js"
import { type AnswerDraft, signAnswer, signProposal, statementId } from "../../src/proposals/draft.js"
import { hashStatement, signStatement, type Unsigned } from "../../src/proposals/statement.js"
import type { AgentRef } from "../../src/protocol/names.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import type { Draft, Statement } from "../../src/protocol/statements.js"
import type { Verb } from "../../src/protocol/verbs.js"
import type { TestAgent, TestRelay } from "./relay.js"

/** Somebody with a key, and what it signs. */
export class Signer {
  readonly keyPair: KeyPair = generateKeyPair()
  readonly did = formatDidKey(this.keyPair.publicKey)
  #count = 0

  /** A proposal to `to`, made for a relay. */
  propose(
    to: Signer,
    { aud, now, ...draft }: { aud: string; now: number } & Partial<Draft<"PROPOSAL">>,
  ): Statement<"PROPOSAL"> {
    const body = {
      type: "PROPOSAL",
      to: "@other" as AgentRef,
      task: "work",
      ...draft,
    } as const
    return signProposal(
      body,
      { to: to.did, aud },
      { keyPair: this.keyPair, id: this.nextId("PROPOSAL"), now },
    )
  }

  /** An answer to a deal, if it is a legal one. */
  answer(deal: Deal, draft: AnswerDraft, now: number): Statement {
    return signAnswer(deal, draft, { keyPair: this.keyPair, id: this.nextId(draft.type), now }).statement
  }

  /** A statement that answers the last one of a chain, legal or not. */
  force(chain: readonly Statement[], type: Verb, more: Partial<Statement> & object): Statement {
    const [proposal, last] = [chain[0], chain.at(-1)]
    if (proposal === undefined || last === undefined) throw new Error("an empty chain")
    const unsigned = {
      type,
      id: this.nextId(type),
      proposal_id: proposal.id,
      to: proposal.from === this.did ? proposal.to : proposal.from,
      aud: proposal.aud,
      prev: hashStatement(last),
      ...(type === "DISPUTE" && { reason: "no" }),
      ...more,
    }
    return signStatement(unsigned, this.keyPair)
  }

  /** An id that was not used. */
  nextId(type: Verb): string {
    return statementId(type, this.did, String(this.#count++))
  }
}

/** The statements of a type in messages. */
export function stepsIn(messages: readonly ServerMessage[]): ServerMessage<Verb>[] {
  const types: readonly string[] = ["PROPOSAL", "ACCEPT", "REJECT", "COMPLETE", "DISPUTE"]
  return messages.filter((message): message is ServerMessage<Verb> => types.includes(message.type))
}

/** A connection of somebody with a key. */
export interface Party extends TestAgent {
  readonly signer: Signer
  /** What it is told of deals up to now, without the answers to its own frames. */
  told(): Promise<ServerMessage<Verb>[]>
  /** Sends a statement. @returns the answer */
  say(statement: Statement): Promise<ServerMessage>
}

/** Enters a relay. */
export async function enterParty(house: TestRelay, name: string, signer = new Signer()): Promise<Party> {
  const agent = await house.enterAs(signer.keyPair, name)
  const { wire } = agent
  return {
    ...agent,
    signer,
    told: async () => stepsIn(await wire.settle()).filter(({ re }) => re === undefined),
    say: (statement) => wire.answerTo(statement),
  }
}
