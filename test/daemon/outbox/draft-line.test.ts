import { describe, expect, it } from "vitest"
import { readOutboxLine } from "../../../src/daemon/outbox/line.js"

function refused(line: object) {
  const result = readOutboxLine(Buffer.from(JSON.stringify(line)))
  if ("frame" in result) throw new Error(`accepted: ${JSON.stringify(line)}`)
  const { message, hint, code } = result.bad.error
  return { message, hint, code, id: result.bad.id }
}

const proposal = { type: "PROPOSAL", to: "@bob", task: "x" }
const answer = { proposal_id: "prop_12345678" }

describe("a draft in the outbox", () => {
  it("is read as it was written, with its id", () => {
    const line = {
      ...proposal,
      amount: 0.05,
      currency: "SOL",
      expires: 300,
      dispute_window: 60,
      terms: "t",
      payment_code: "p",
      id: "mine",
    }
    expect(readOutboxLine(Buffer.from(JSON.stringify(line)))).toEqual({ frame: line })
  })

  it.each<[object, string, string | undefined]>([
    [
      { type: "PROPOSAL", task: "x" },
      "to: is missing",
      `echo '{"type":"PROPOSAL","to":"@bob","task":"review a.ts"}' >> outbox.jsonl`,
    ],
    [
      { type: "PROPOSAL", to: "@bob", content: "x" },
      "task: is missing",
      'call it "task" instead of "content"',
    ],
    [{ ...proposal, to: "bob" }, "to: must be @ and a name or an agent id", 'did you mean "@bob"?'],
    [{ ...proposal, to: "#general" }, "to: must be @ and a name or an agent id", undefined],
    [
      { ...proposal, amount: "1,5" },
      'amount: must be a decimal number such as "0.05"',
      'write it as text: "amount":"0.05"',
    ],
    [
      { ...proposal, amount: -1 },
      'amount: must be a decimal number such as "0.05"',
      'write it as text: "amount":"0.05"',
    ],
    [{ ...proposal, expires: "300" }, "expires: must be a number", 'write seconds: "expires":300'],
    [{ ...proposal, expires: 0 }, "expires: must be at least 1", 'write seconds: "expires":300'],
    [{ ...proposal, task: "" }, "task: must not be empty", undefined],
    [{ ...proposal, task: "x".repeat(2_001) }, "task: must be at most 2000 characters", undefined],
    [{ ...proposal, ammount: "5" }, "ammount: unknown field", 'did you mean "amount"?'],
    [{ ...proposal, sig: "x" }, "sig: unknown field", "leave it out: the daemon adds it when it signs"],
    [
      { ...proposal, colour: "red" },
      "colour: unknown field",
      "leave it out; the fields are to, task, currency, payment_code, terms, amount, expires, dispute_window",
    ],
    [
      { type: "ACCEPT", id: "prop_12345678" },
      "proposal_id: is missing",
      'call it "proposal_id" instead of "id"',
    ],
    [
      { type: "ACCEPT", proposal_id: "#1" },
      "proposal_id: must be 8-64 letters, digits, _ or -",
      "copy it from the id of the PROPOSAL line in your inbox",
    ],
    [{ type: "REJECT", ...answer, reason: 7 }, "reason: must be a string", undefined],
    [{ type: "COMPLETE", ...answer, proof: "" }, "proof: must not be empty", undefined],
    [
      { type: "DISPUTE", ...answer },
      "reason: is missing",
      `echo '{"type":"DISPUTE","proposal_id":"prop_…","reason":"not done"}' >> outbox.jsonl`,
    ],
    [
      { type: "DISPUTE", ...answer, reason: "x", fault: "theirs" },
      "fault: must be one of self, other, mutual",
      'write "self", "other" or "mutual", or leave it out',
    ],
    [{ type: "ACEPT", ...answer }, 'type: "ACEPT" is not a type of outbox line', 'did you mean "ACCEPT"?'],
  ])("%j is rejected with the reason and a hint", (line, message, hint) => {
    expect(refused(line)).toMatchObject({ code: "INVALID_MSG", message, hint })
  })

  it("is rejected if its id is invalid, and keeps a valid id when rejected", () => {
    expect(refused({ ...proposal, id: "a b" }).message).toBe("id: must be 1-64 of A-Z a-z 0-9 . _ : ~ -")
    expect(refused({ ...proposal, task: 1, id: "mine" }).id).toBe("mine")
  })
})
