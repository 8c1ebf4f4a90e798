import { formatDidKey } from "../../src/identity/keys.js"
import { generateKeyPair, type KeyPair } from "../../src/identity/signer.js"
import type { Deal } from "../../src/proposals/deal.js"
import { type AnswerDraft, signAnswer, signProposal, statementId } from "../../src/proposals/draft.js"
import { hashStatement, signStatement } from "../../src/proposals/statement.js"
import type { AgentRef } from "../../src/protocol/names.js"
import type { ProposalEntry, ServerMessage } from "../../src/protocol/server-messages.js"
import type { Draft, Statement } from "../../src/protocol/statements.js"
import type { Verb } from "../../src/protocol/verbs.js"
import { type TestAgent, TestRelay } from "./relay.js"

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
  force(chain: readonly Statement[], type: Verb, more: Readonly<Record<string, unknown>>): Statement {
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

  /** The same statement with other members, signed anew. */
  resign(statement: Statement, changes: Readonly<Record<string, unknown>>): Statement {
    const { sig: _, ...body } = statement
    return signStatement({ ...body, ...changes }, this.keyPair)
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

/** A chain of statements that begins with a proposal. */
export type Chain = readonly [Statement<"PROPOSAL">, ...Statement[]]

/** A connection of an agent with a key. */
export interface Party extends TestAgent {
  readonly signer: Signer
  /** Returns the statements received until now, without the answers to its own frames. */
  newStatements(): Promise<ServerMessage<Verb>[]>
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
    newStatements: async () => stepsIn(await wire.settle()).filter(({ re }) => re === undefined),
    say: (statement) => wire.answerTo(statement),
  }
}

/** A party and the verb of its statement. */
export type Step = readonly [by: "ann" | "bob", type: Verb]

/** Two who know each other, on one relay. */
export class DealRoom {
  readonly house: TestRelay
  readonly ann: Party
  readonly bob: Party

  private constructor(house: TestRelay, ann: Party, bob: Party) {
    this.house = house
    this.ann = ann
    this.bob = bob
  }

  static async open(options: Parameters<typeof TestRelay.start>[0] = {}): Promise<DealRoom> {
    const house = await TestRelay.start(options)
    return new DealRoom(house, await enterParty(house, "ann"), await enterParty(house, "bob"))
  }

  get now(): number {
    return this.house.clock.now()
  }

  get aud(): string {
    return this.house.relay.serverId
  }

  /** A proposal of ann to bob, signed now. */
  proposal(draft: Partial<Draft<"PROPOSAL">> = {}): Statement<"PROPOSAL"> {
    return this.ann.signer.propose(this.bob.signer, { aud: this.aud, now: this.now, ...draft })
  }

  /** An answer to the last statement of a chain, signed now, legal or not. */
  answer(
    by: Party,
    chain: readonly Statement[],
    type: Verb,
    more: Readonly<Record<string, unknown>> = {},
  ): Statement {
    return by.signer.force(chain, type, { ts: this.now, ...more })
  }

  /** Sends these legal statements after a proposal. @returns the whole chain */
  async make(...steps: readonly Step[]): Promise<Chain> {
    const proposal = this.proposal()
    let chain: Chain = [proposal]
    await must(this.ann, proposal)
    for (const [by, type] of steps) {
      const statement = this.answer(this[by], chain, type)
      await must(this[by], statement)
      chain = [...chain, statement]
    }
    await this.ann.newStatements()
    await this.bob.newStatements()
    return chain
  }

  /** Returns the deal as the relay lists it. */
  async stored(id: string): Promise<ProposalEntry | undefined> {
    const answer = await this.ann.wire.ask({ type: "LIST_PROPOSALS", proposal: id })
    return answer.type === "PROPOSALS" ? answer.list[0] : undefined
  }
}

async function must(party: Party, statement: Statement): Promise<void> {
  const answer = await party.say(statement)
  if (answer.type !== statement.type) throw new Error(JSON.stringify(answer))
}
