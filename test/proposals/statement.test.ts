import { createHash } from "node:crypto"
import { describe, expect, it } from "vitest"
import { parseStrictJson } from "../../src/base/strict-json.js"
import { canonicalize } from "../../src/identity/canonical-json.js"
import { parsePublicKey } from "../../src/identity/keys.js"
import { openDeal } from "../../src/proposals/deal.js"
import { dealEventOf } from "../../src/proposals/deal-event.js"
import {
  agentIdOfDid,
  hashStatement,
  readStatement,
  signStatement,
  statementIn,
  statementMessageId,
  verifyStatement,
} from "../../src/proposals/statement.js"
import { alice, aliceDid, answer, aud, bob, bobDid, carol, propose, startTs } from "../kit/deals.js"

const proposal = propose({ amount: "0.05", currency: "SOL", payment_code: "PM8T", terms: "none" })
const accept = answer(openDeal(proposal), "ACCEPT", bob)
const invalid = (message: string): Error =>
  expect.objectContaining({
    code: "INVALID_MSG",
    message: expect.stringContaining(message) as string,
  }) as Error
const failed = expect.objectContaining({ code: "VERIFICATION_FAILED" }) as Error

describe("readStatement", () => {
  it("reads what was signed, back from JSON", () => {
    for (const statement of [proposal, accept]) {
      expect(readStatement(JSON.parse(JSON.stringify(statement)))).toEqual(statement)
    }
  })

  it.each(Object.keys(proposal))("requires a valid %s", (member) => {
    const { [member as keyof typeof proposal]: value, ...rest } = proposal
    const isOptional = ["amount", "currency", "payment_code", "terms"].includes(member)
    if (isOptional) expect(() => readStatement(rest)).not.toThrow()
    else
      expect(() => readStatement(rest)).toThrow(
        invalid(member === "type" ? "type: must be" : `${member}: is missing`),
      )
    for (const other of [null, [value], { value }, true, typeof value === "string" ? 7 : "7"]) {
      expect(() => readStatement({ ...rest, [member]: other })).toThrow(invalid("must be"))
    }
  })

  it.each(["note", "re", "constructor", "toString", "__proto__", "hasOwnProperty", ""])(
    "refuses the unknown member %j",
    (name) => {
      const text = `${JSON.stringify(proposal).slice(0, -1)},${JSON.stringify(name)}:"x"}`
      expect(() => readStatement(JSON.parse(text))).toThrow(invalid("unknown field"))
      const nested = `${JSON.stringify(proposal).slice(0, -1)},${JSON.stringify(name)}:{}}`
      expect(() => readStatement(JSON.parse(nested))).toThrow(invalid("unknown field"))
    },
  )

  it.each([
    ["a member of another act", { ...proposal, prev: "A".repeat(43) }, "PROPOSAL.prev: unknown field"],
    ["a list", [proposal], "type: must be one of"],
    ["nothing", null, "type: must be one of"],
    ["another type", { ...proposal, type: "RECEIPT" }, "type: must be one of"],
    ["an inherited type", { ...proposal, type: "constructor" }, "type: must be one of"],
    ["an unsafe integer", { ...proposal, ts: 2 ** 53 }, "ts: must be a whole number"],
    ["a fraction", { ...proposal, expires: 1.5 }, "expires: must be a whole number"],
    ["a time before time", { ...proposal, ts: -1 }, "ts: must not be negative"],
    ["no time to answer", { ...proposal, expires: 0 }, "expires: must be at least 1"],
    ["more than ten years", { ...proposal, dispute_window: 315_360_001 }, "dispute_window: must be at most"],
    ["an over-long task", { ...proposal, task: "x".repeat(2_001) }, "task: must be at most 2000"],
    ["an empty task", { ...proposal, task: "" }, "task: must not be empty"],
    ["a lone surrogate", { ...proposal, task: "\ud800" }, "task: lone surrogate"],
    ["the signer as recipient", { ...proposal, to: proposal.from }, "to: cannot be yourself"],
    ["a short id", { ...proposal, id: "x" }, ""],
    ["an id with a line end", { ...proposal, id: "prop_0001\n" }, "id: must be"],
    ["version 2", { ...proposal, v: 2 }, "v: must be 1"],
    ["a dispute without reason", { ...accept, type: "DISPUTE" }, "reason: is missing"],
    [
      "a fault of nobody",
      { ...accept, type: "DISPUTE", reason: "x", fault: "none" },
      "fault: must be one of",
    ],
  ])("refuses %s", (what, value, message) => {
    if (what === "a short id") expect(() => readStatement(value)).not.toThrow()
    else expect(() => readStatement(value)).toThrow(invalid(message))
  })

  it.each(["0", "0.05", "1", "999999999999999999999", "0.000000000000000001", "10.50"])(
    "takes the amount %s",
    (amount) => {
      expect(readStatement({ ...proposal, amount })).toMatchObject({ amount })
    },
  )

  it.each([
    "",
    "-1",
    "+1",
    ".5",
    "5.",
    "01",
    "1e3",
    "1,5",
    " 1",
    "1\n",
    "١",
    "0x1",
    "1".repeat(22),
    `0.${"1".repeat(19)}`,
  ])("refuses the amount %j", (amount) => {
    expect(() => readStatement({ ...proposal, amount })).toThrow(invalid("amount: must be a decimal number"))
  })

  it("bounds the whole, counted as it is signed", () => {
    // A control character takes six characters in canonical JSON.
    const terms = "\u0001".repeat(6_000)
    expect(() => readStatement({ ...proposal, terms })).toThrow(invalid("must be at most 32768 characters"))
    expect(() => readStatement({ ...proposal, terms: "x".repeat(16_384) })).not.toThrow()
  })

  it("never repeats what a stranger wrote", () => {
    const secret = "\u001b[31mhostile"
    for (const value of [
      { ...proposal, [secret]: 1 },
      { ...proposal, task: [secret] },
      { ...proposal, amount: secret },
      { ...proposal, type: secret },
      { ...proposal, from: secret },
    ]) {
      expect(() => readStatement(value)).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining("hostile") as string }),
      )
    }
  })

  it("is used after a strict JSON parser", () => {
    const text = JSON.stringify(proposal)
    const twice = text.replace('"task":', '"task":"other","task":')
    expect(() => parseStrictJson(twice)).toThrow("duplicate key")
    expect(() => parseStrictJson(text.replace("echo hello", "\\ud800"))).toThrow("lone surrogate")
  })
})

describe("signStatement and verifyStatement", () => {
  it("agree", () => {
    for (const statement of [proposal, accept]) expect(() => verifyStatement(statement)).not.toThrow()
  })

  it.each(Object.keys(proposal).filter((member) => member !== "type"))("notice another %s", (member) => {
    const changes: Record<string, unknown> = {
      v: 2,
      from: bobDid,
      to: aliceDid,
      ts: startTs + 1,
      expires: 301,
      dispute_window: 3_601,
      amount: "0.050",
      sig: accept.sig,
    }
    const changed = { ...proposal, [member]: changes[member] ?? "prop_other" }
    expect(() => verifyStatement(changed as typeof proposal)).toThrow(failed)
  })

  it("notice what is left out", () => {
    for (const member of ["amount", "currency", "payment_code", "terms"] as const) {
      const { [member]: _left, ...rest } = proposal
      expect(() => verifyStatement(rest)).toThrow(failed)
    }
  })

  it("do not let one act pass as another", () => {
    const { sig, ...body } = answer(openDeal(proposal), "REJECT", bob)
    const other = answer(openDeal(proposal), "COMPLETE", bob, { id: body.id, ts: body.ts })
    expect(() => verifyStatement({ ...other, sig })).toThrow("typ must be agentchat.complete+jws")
  })

  it("do not believe a from that did not sign", () => {
    const { from: _carol, ...body } = propose({}, carol)
    expect(() => verifyStatement({ ...body, from: aliceDid })).toThrow(failed)
  })

  it("refuse a to that is no key", () => {
    const to = `did:key:z6Mk${"1".repeat(44)}`
    expect(() => verifyStatement(propose({ to }))).toThrow("PROPOSAL.to: must be a valid key")
  })

  it("sign nothing that could not be read", () => {
    expect(() => signStatement({ ...proposal, note: "x" }, alice)).toThrow(invalid("unknown field"))
    expect(() => signStatement({ ...proposal, task: "" }, alice)).toThrow(invalid("task"))
  })
})

describe("hashStatement", () => {
  it("is the base64url of the SHA-256 of the canonical text, signature included", () => {
    const expected = createHash("sha256").update(canonicalize(proposal)).digest("base64url")
    expect(hashStatement(proposal)).toBe(expected)
    expect(accept.prev).toBe(expected)
    expect(hashStatement({ ...proposal, sig: "" })).not.toBe(expected)
  })
})

describe("deal news", () => {
  const ids = { alice: agentIdOfDid(aliceDid), bob: agentIdOfDid(bobDid) }

  it("has agent ids, and no fields that only prove a proposal", () => {
    expect(dealEventOf(proposal, { name: "alice", state: "pending" })).toEqual({
      type: "PROPOSAL",
      id: "prop_0001",
      from: ids.alice,
      name: "alice",
      to: ids.bob,
      state: "pending",
      task: "echo hello",
      amount: "0.05",
      currency: "SOL",
      payment_code: "PM8T",
      terms: "none",
      expires: 300,
      dispute_window: 3_600,
      ts: startTs,
      msg_id: `${ids.alice.slice(1)}.prop_0001/PROPOSAL`,
    })
  })

  it("names an answer by the id of its proposal", () => {
    const event = dealEventOf(accept, { name: "bob", state: "accepted" })
    expect(event).toEqual({
      type: "ACCEPT",
      proposal_id: "prop_0001",
      from: ids.bob,
      name: "bob",
      to: ids.alice,
      state: "accepted",
      ts: startTs + 1_000,
      msg_id: `${ids.bob.slice(1)}.prop_0001/ACCEPT`,
    })
  })

  it("finds the statement in a relay's message", () => {
    const message = { re: "x", msg_id: "m", name: "alice", state: "pending", ...proposal } as const
    expect(statementIn(message)).toEqual(proposal)
    expect(statementMessageId(proposal)).toBe(`${ids.alice.slice(1)}.prop_0001/PROPOSAL`)
  })

  it("names agents as relays do", () => {
    expect(parsePublicKey(aliceDid)).toEqual(alice.publicKey)
    expect(() => agentIdOfDid("did:key:z6Mk")).toThrow(invalid("pubkey"))
    expect(proposal.aud).toBe(aud)
  })
})
