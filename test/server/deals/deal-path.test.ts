import { describe, expect, it } from "vitest"
import { dealOf } from "../../../src/proposals/deal.js"
import type { Statement } from "../../../src/protocol/statements.js"
import { enterParty, type Party } from "../../kit/deal-room.js"
import { TestRelay } from "../../kit/relay.js"

/** A relay with two who know each other. */
async function twoParties() {
  const house = await TestRelay.start()
  const ann = await enterParty(house, "ann")
  const bob = await enterParty(house, "bob")
  const aud = house.relay.serverId
  return { house, ann, bob, aud, now: () => house.clock.now() }
}

describe("a deal", () => {
  it("goes from its proposal to the word of both that it is done", async () => {
    const { ann, bob, aud, now } = await twoParties()
    const chain: Statement[] = []
    const step = async (by: Party, statement: Statement, state: string) => {
      chain.push(statement)
      const { id: _, type, ...said } = statement
      const deal = statement.type === "PROPOSAL" ? statement.id : statement.proposal_id
      const told = { type, ...said, msg_id: `${by.id.slice(1)}.${deal}/${type}`, state }
      const answer = await by.say(statement)
      expect(answer).toEqual({
        ...told,
        id: statement.id,
        name: by === ann ? "ann" : "bob",
        re: statement.id,
      })
      for (const party of [ann, bob]) expect(await party.newStatements()).toMatchObject([told])
    }
    await step(
      ann,
      ann.signer.propose(bob.signer, { aud, now: now(), amount: 0.05, currency: "SOL" }),
      "pending",
    )
    const [{ id: proposal_id }] = chain as [Statement<"PROPOSAL">]
    await step(bob, bob.signer.answer(dealOf(chain), { type: "ACCEPT", proposal_id }, now()), "accepted")
    const done = { type: "COMPLETE", proposal_id, proof: "commit 1" } as const
    await step(bob, bob.signer.answer(dealOf(chain), done, now()), "completed")
    await step(ann, ann.signer.answer(dealOf(chain), { type: "COMPLETE", proposal_id }, now()), "completed")
    for (const { wire } of [ann, bob]) {
      expect(await wire.ask({ type: "LIST_PROPOSALS" })).toEqual({
        type: "PROPOSALS",
        re: expect.any(String),
        list: [
          {
            id: proposal_id,
            state: "completed",
            statements: chain,
            names: { [ann.id]: "ann", [bob.id]: "bob" },
          },
        ],
      })
    }
  })
})
