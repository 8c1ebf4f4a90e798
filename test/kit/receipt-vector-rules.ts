import { canonicalize } from "../../src/identity/canonical-json.js"
import {
  accept,
  both,
  byBob,
  dispute,
  invalid,
  one,
  proposal,
  type ReceiptVector,
  signed,
  unknown,
} from "./receipt-vector-deals.js"
import { alice, bob, carol, didOf, type Members, receiptOf, says, signChain, t0 } from "./receipt-vectors.js"

const withMember = (members: Members) => [says(alice, "PROPOSAL", members), accept, byBob] as const
/** Signed statements with an invalid form. */
export const members: readonly ReceiptVector[] = [
  signed("with an unknown member", ...withMember({ note: "x" })),
  signed("a member is missing: dispute_window", ...withMember({ dispute_window: undefined })),
  signed("a member is missing: aud", ...withMember({ aud: undefined })),
  signed("the task is empty", ...withMember({ task: "" })),
  signed("the task is too long", ...withMember({ task: "x".repeat(2_001) })),
  signed("the task is too long in UTF-16", ...withMember({ task: "😀".repeat(1_001) })),
  signed("the whole is too long", ...withMember({ terms: "\u0001".repeat(6_000) })),
  signed("expires is 0", ...withMember({ expires: 0 })),
  signed("expires is over ten years", ...withMember({ expires: 315_360_001 })),
  signed("the time is a fraction", ...withMember({ ts: t0 + 0.5 })),
  signed(
    "the time is no safe integer",
    ...[proposal, accept, byBob].map((statement) => ({ ...statement, members: { ts: 2 ** 53 } })),
  ),
  signed("the time is before 1970", ...withMember({ ts: -1 })),
  signed("the amount is a number", ...withMember({ amount: 0.05 })),
  signed("the amount has an exponent", ...withMember({ amount: "1e3" })),
  signed("the amount ends in a newline", ...withMember({ amount: "1\n" })),
  signed("the amount is in other digits", ...withMember({ amount: "١" })),
  signed("the amount is negative", ...withMember({ amount: "-1" })),
  signed("the currency has a space", ...withMember({ currency: "S OL" })),
  signed("the id has a space", ...withMember({ id: "prop 0001" })),
  signed("the proposal's id is too short to be named", ...withMember({ id: "short" })),
  signed("the aud is too long", ...withMember({ aud: "x".repeat(65) })),
  signed("version is 2", ...withMember({ v: 2 })),
  signed("version is true", ...withMember({ v: true })),
  signed("terms are a list", ...withMember({ terms: ["x"] })),
  signed(
    "it is to oneself",
    says(alice, "PROPOSAL", { to: didOf(alice) }),
    says(alice, "ACCEPT", { to: didOf(alice) }),
    byBob,
  ),
  signed("the fault is nobody's", ...one, dispute(alice, "none")),
  signed("the dispute has no reason", ...one, says(alice, "DISPUTE", { reason: undefined })),
  signed("the accept has a member of another act", proposal, says(bob, "ACCEPT", { proof: "x" }), byBob),
]

/** Chains of valid, signed statements. */
export const chains: readonly ReceiptVector[] = [
  signed("the proposer accepts", proposal, says(alice, "ACCEPT"), byBob),
  signed("a stranger accepts", proposal, says(carol, "ACCEPT"), byBob),
  signed("a stranger completes", proposal, accept, says(carol, "COMPLETE")),
  signed("the accept is to a stranger", proposal, says(bob, "ACCEPT", { to: didOf(carol) }), byBob),
  signed("one completes twice", ...one, byBob),
  signed("three complete", ...both, byBob),
  signed("one disputes twice", ...one, dispute(alice), dispute(alice)),
  signed("three dispute", ...one, dispute(alice), dispute(bob), dispute(alice)),
  signed("nothing follows the accept", proposal, accept),
  signed("it was rejected", proposal, says(bob, "REJECT"), byBob),
  signed("accepted a millisecond late", proposal, says(bob, "ACCEPT", { ts: t0 + 300_001 }), byBob),
  signed("disputed a millisecond late", ...one, says(alice, "DISPUTE", { ts: t0 + 2_000 + 3_600_001 })),
  signed(
    "disputed late after the first completion",
    proposal,
    accept,
    byBob,
    says(alice, "COMPLETE", { ts: t0 + 60_000 }),
    says(alice, "DISPUTE", { ts: t0 + 3_602_001 }),
  ),
  signed(
    "time runs backwards at the accept",
    proposal,
    says(bob, "ACCEPT", { ts: t0 - 1 }),
    says(bob, "COMPLETE", { ts: t0 }),
  ),
  signed("time runs backwards at the completion", proposal, accept, says(bob, "COMPLETE", { ts: t0 + 999 })),
  signed("time runs backwards at the dispute", ...one, says(alice, "DISPUTE", { ts: t0 + 1_999 })),
  signed("accepted on another server", proposal, says(bob, "ACCEPT", { aud: "relay-2" }), byBob),
  signed("completed on another server", proposal, accept, says(bob, "COMPLETE", { aud: "relay-2" })),
  signed(
    "the accept names another proposal",
    proposal,
    says(bob, "ACCEPT", { proposal_id: "prop_0002" }),
    byBob,
  ),
  signed(
    "the completion names another proposal",
    proposal,
    accept,
    says(bob, "COMPLETE", { proposal_id: "prop_0002" }),
  ),
  signed("the accept answers something else", proposal, says(bob, "ACCEPT", { prev: "A".repeat(43) }), byBob),
  signed(
    "the completion answers the proposal",
    proposal,
    accept,
    says(bob, "COMPLETE", { prev: String(signChain([proposal, accept])[1]?.["prev"]) }),
  ),
  ...shuffled(),
]

/** Signed statements in another order or from another deal. */
function shuffled(): ReceiptVector[] {
  const chain = signChain(both)
  const elsewhere = signChain([says(alice, "PROPOSAL", { id: "prop_0002" }), ...both.slice(1)])
  const [first, second, third, fourth] = chain
  const line = (besides: Members) => canonicalize(receiptOf(chain, besides))
  return [
    invalid("the completions are in the wrong order", line({ complete: [fourth, third] })),
    invalid("a completion is there twice", line({ complete: [third, third] })),
    invalid("a completion is missing", line({ complete: [fourth] })),
    invalid("the proposal stands as accept", line({ accept: first })),
    invalid("the accept stands as proposal", line({ proposal: second })),
    invalid("a completion stands as dispute", line({ dispute: [fourth] })),
    invalid("complete is no list", line({ complete: third })),
    invalid("complete holds null", line({ complete: [null] })),
    ...["proposal", "accept"].map((name, index) =>
      invalid(`${name} is of another deal`, line({ [name]: elsewhere[index] })),
    ),
    invalid("a completion is of another deal", line({ complete: [third, elsewhere[3]] })),
    ...["proposal", "accept", "complete", "type", "v"].map((name) => {
      const { [name]: _gone, ...rest } = receiptOf(chain)
      const make = name === "type" || name === "v" ? unknown : invalid
      return make(`${name} is missing`, canonicalize(rest))
    }),
  ]
}
