import { formatBase58 } from "../../src/identity/base58.js"
import { canonicalize } from "../../src/identity/canonical-json.js"
import { signRevocation, signRotation } from "../../src/identity/succession.js"
import {
  alice,
  bob,
  carol,
  didOf,
  lineOf,
  type Members,
  receiptOf,
  type Said,
  says,
  seeds,
  signAnything,
  signChain,
  t0,
} from "./receipt-vectors.js"

/** A line and what any checker must say of it. */
export interface ReceiptVector {
  readonly why: string
  /** The line; or `base64`, where it is no text; or `edit` of the line of the vector named `of`. */
  readonly line?: string
  readonly base64?: string
  readonly of?: string
  /** What stands once in that line, and what to put in its place. */
  readonly edit?: readonly [string, string]
  /** Lines of key statements that are given along. */
  readonly keys?: readonly string[]
  readonly verdict: "valid" | "invalid" | "undecided"
  readonly proves?: readonly string[]
}

const groupOrder = 2n ** 252n + 27742317777372353535851937790883648493n
const proposal = says(alice, "PROPOSAL")
const accept = says(bob, "ACCEPT")
const byBob = says(bob, "COMPLETE")
const byAlice = says(alice, "COMPLETE")
const one: readonly Said[] = [proposal, accept, byBob]
const both: readonly Said[] = [...one, byAlice]

const offer: Members = {
  task: 'Say "hello" & <b>bye</b> 😀 Grüße \u0000\u001f\u007f\u2028\u2029 \\ / 𝄞 é',
  amount: "0.050",
  currency: "SOL",
  payment_code: "PM8T…",
  terms: "line 1\nline 2\ttab",
}
const full: readonly Said[] = [
  says(alice, "PROPOSAL", offer),
  says(bob, "ACCEPT", { payment_code: "PM8Tbob" }),
  says(bob, "COMPLETE", { proof: "https://example.org/done" }),
  says(alice, "COMPLETE", { proof: "seen" }),
  says(alice, "DISPUTE", { reason: "came apart", fault: "other" }),
  says(bob, "DISPUTE", { reason: "it did", fault: "self" }),
]
const start = ["integrity", "accepted-by-both"]

function valid(
  why: string,
  line: string,
  proves: readonly string[],
  keys?: readonly string[],
): ReceiptVector {
  const all = [...start, ...proves]
  return { why, line, ...(keys === undefined ? {} : { keys }), verdict: "valid", proves: all }
}

function invalid(why: string, line: string, keys?: readonly string[]): ReceiptVector {
  return { why, line, ...(keys === undefined ? {} : { keys }), verdict: "invalid" }
}

const signed = (why: string, ...all: readonly Said[]) => invalid(`signed, but ${why}`, lineOf(all))
const dispute = (by: typeof alice, fault?: string) => says(by, "DISPUTE", { fault })

const validOnes: readonly ReceiptVector[] = [
  valid("completed by the recipient", lineOf(one), ["completed-by-one"]),
  valid("completed by the proposer", lineOf([proposal, accept, byAlice]), ["completed-by-one"]),
  valid("completed by both", lineOf(both), ["completed-by-both"]),
  valid("disputed before completion", lineOf([proposal, accept, dispute(alice)]), ["disputed"]),
  valid("a completion disputed", lineOf([...one, dispute(alice, "other")]), ["completed-by-one", "disputed"]),
  valid(
    "both dispute, each blames the other",
    lineOf([...one, dispute(alice, "other"), dispute(bob, "other")]),
    ["completed-by-one", "disputed"],
  ),
  valid("both name the proposer", lineOf([...one, dispute(bob, "other"), dispute(alice, "self")]), [
    "completed-by-one",
    "disputed",
    "fault-agreed",
  ]),
  valid("both say mutual", lineOf([proposal, accept, dispute(bob, "mutual"), dispute(alice, "mutual")]), [
    "disputed",
    "fault-agreed",
  ]),
  valid("every optional member, and text of every kind", lineOf(full), [
    "completed-by-both",
    "disputed",
    "fault-agreed",
  ]),
  valid(
    "the edges of time",
    lineOf([
      says(alice, "PROPOSAL", { ts: 0, expires: 1, dispute_window: 1 }),
      says(bob, "ACCEPT", { ts: 1_000 }),
      says(bob, "COMPLETE", { ts: 1_000 }),
      says(alice, "DISPUTE", { ts: 2_000 }),
      says(bob, "DISPUTE", { ts: Number.MAX_SAFE_INTEGER }),
    ]),
    ["completed-by-one", "disputed"],
  ),
  valid(
    "the longest of times",
    lineOf([
      says(alice, "PROPOSAL", {
        ts: Number.MAX_SAFE_INTEGER,
        expires: 315_360_000,
        dispute_window: 315_360_000,
      }),
      ...[accept, byBob, byAlice].map((said) => ({ ...said, members: { ts: Number.MAX_SAFE_INTEGER } })),
    ]),
    ["completed-by-both"],
  ),
  valid(
    "the longest texts",
    lineOf([
      says(alice, "PROPOSAL", {
        task: "x".repeat(2_000),
        aud: "😀".repeat(32),
        id: "p".repeat(64),
        amount: `${"9".repeat(21)}.${"9".repeat(18)}`,
      }),
      ...[accept, byBob].map((said) => ({ ...said, members: { aud: "😀".repeat(32), id: "x" } })),
    ]),
    ["completed-by-one"],
  ),
]

const fullLine = lineOf(full)
const oneLine = lineOf(one)
/** The same said with other letters. */
const spelled: readonly ReceiptVector[] = [
  valid(
    "written with white space and in another order",
    `\t{ "v" : 1 , ${JSON.stringify(receiptOf(signChain(full))).slice(7)} \r`,
    ["completed-by-both", "disputed", "fault-agreed"],
  ),
  valid(
    "written with escapes that need not be",
    fullLine.replaceAll("/", "\\/").replace("😀", "\\ud83d\\ude00").replaceAll("line", "\\u006cine"),
    ["completed-by-both", "disputed", "fault-agreed"],
  ),
]

/** Each member of each statement in `full` changed, and each optional one left out. */
function tampered(): ReceiptVector[] {
  const vectors: ReceiptVector[] = []
  for (const [index, statement] of signChain(full).entries()) {
    const text = canonicalize(statement)
    for (const [name, value] of Object.entries(statement)) {
      const member = `${JSON.stringify(name)}:${canonicalize(value)}`
      const at = fullLine.indexOf(text) + text.indexOf(member)
      const where = `${String(statement["type"])}[${index}].${name}`
      vectors.push(edited(`tampered: ${where}`, at, member, `${JSON.stringify(name)}:${other(name, value)}`))
      if (isOptional(name)) vectors.push(edited(`left out: ${where}`, at, `${member},`, ""))
    }
  }
  return vectors
}

const otherValues: Readonly<Record<string, string>> = {
  from: didOf(carol),
  to: didOf(carol),
  type: "REJECT",
  amount: "0.05",
  currency: "SOLX",
  fault: "mutual",
}

function other(name: string, value: unknown): string {
  if (typeof value === "number") return String(value + 1)
  if (name === "prev" || name === "sig")
    return JSON.stringify(`${String(value).startsWith("A") ? "B" : "A"}${String(value).slice(1)}`)
  return JSON.stringify(otherValues[name] ?? `${String(value)}x`)
}

function isOptional(name: string): boolean {
  return ["amount", "currency", "payment_code", "terms", "proof", "fault"].includes(name)
}

/** An edit of `full`, with as much before it as makes it the only such place. */
function edited(why: string, at: number, old: string, text: string): ReceiptVector {
  let from = at
  const before = () => fullLine.slice(from, at + old.length)
  while (fullLine.indexOf(before()) !== fullLine.lastIndexOf(before())) from--
  return editOf(
    why,
    "every optional member, and text of every kind",
    before(),
    fullLine.slice(from, at) + text,
  )
}

function editOf(why: string, of: string, old: string, text: string): ReceiptVector {
  return { why, of, edit: [old, text], verdict: "invalid" }
}

/** What is of another kind, or of a version nobody knows yet, is not called wrong. */
function unknown(why: string, line: string): ReceiptVector {
  return { why, line, verdict: "undecided" }
}

function unknownEdit(why: string, of: string, old: string, text: string): ReceiptVector {
  return { why, of, edit: [old, text], verdict: "undecided" }
}

const recipient = "completed by the recipient"
const everything = "every optional member, and text of every kind"
const texts: readonly ReceiptVector[] = [
  editOf("a fraction that is whole", recipient, '"expires":300', '"expires":300.0'),
  editOf("an exponent", recipient, '"expires":300', '"expires":3e2'),
  editOf("an exponent in capitals", recipient, '"expires":300', '"expires":3E2'),
  editOf("a number with leading zero", recipient, '"expires":300', '"expires":0300'),
  editOf("a number with a plus", recipient, '"expires":300', '"expires":+300'),
  editOf("minus zero", "the edges of time", '"ts":0', '"ts":-0'),
  editOf(
    "a version that is no whole number",
    recipient,
    '"type":"RECEIPT","v":1',
    '"type":"RECEIPT","v":1.0',
  ),
  editOf("a number as text", recipient, '"expires":300', '"expires":"300"'),
  unknownEdit("version 2", recipient, '"type":"RECEIPT","v":1', '"type":"RECEIPT","v":2'),
  unknownEdit("another type", recipient, '"type":"RECEIPT"', '"type":"RECEIPTS"'),
  editOf("a duplicate key", recipient, '"task":"echo hello"', '"task":"echo hello","task":"echo hello"'),
  editOf(
    "a duplicate key, once escaped",
    recipient,
    '"task":"echo hello"',
    '"\\u0074ask":"other","task":"echo hello"',
  ),
  editOf(
    "a duplicate key of the receipt",
    recipient,
    '"type":"RECEIPT"',
    '"type":"RECEIPT","type":"RECEIPT"',
  ),
  editOf("an unknown member of the receipt", recipient, '"type":"RECEIPT"', '"note":"x","type":"RECEIPT"'),
  editOf(
    "a member every object of some languages has",
    recipient,
    '"type":"RECEIPT"',
    '"constructor":"x","type":"RECEIPT"',
  ),
  editOf(
    "an unsigned member of a statement",
    recipient,
    '"task":"echo hello"',
    '"note":"x","task":"echo hello"',
  ),
  editOf(
    "such a member of a statement",
    recipient,
    '"task":"echo hello"',
    '"constructor":"x","task":"echo hello"',
  ),
  editOf("and another", recipient, '"task":"echo hello"', '"__proto__":{},"task":"echo hello"'),
  editOf("a member that is null", recipient, '"task":"echo hello"', '"amount":null,"task":"echo hello"'),
  editOf("a dispute that is null", recipient, '"type":"RECEIPT"', '"dispute":null,"type":"RECEIPT"'),
  editOf("a dispute that is empty", recipient, '"type":"RECEIPT"', '"dispute":[],"type":"RECEIPT"'),
  editOf("a lone surrogate", recipient, "echo hello", "echo \\ud800"),
  editOf("a lone surrogate in a key", recipient, '"task":', '"\\udc00":1,"task":'),
  editOf("surrogates the wrong way round", recipient, "echo hello", "\\ude00\\ud83d"),
  editOf("a control character as it is", recipient, "echo hello", "echo\thello"),
  editOf("an escape there is not", recipient, "echo hello", "echo\\x20hello"),
  editOf("a name in single quotes", recipient, '"type":"RECEIPT"', "'type':\"RECEIPT\""),
  editOf("a comma too many", recipient, '"type":"RECEIPT","v":1', '"type":"RECEIPT","v":1,'),
  editOf("a comment", recipient, '"type":"RECEIPT"', '/**/"type":"RECEIPT"'),
  editOf("white space JSON does not know", recipient, '"type":"RECEIPT"', '\u00a0"type":"RECEIPT"'),
  editOf("an escape in upper case", everything, "\\u001f", "\\u001F"),
  editOf("a task of other code points that looks the same", everything, "Grüße", "Gru\u0308ße"),
  invalid("a byte order mark", `\ufeff${oneLine}`),
  invalid("text after it", `${oneLine}x`),
  invalid("two on a line", oneLine + oneLine),
  invalid("cut off", oneLine.slice(0, -1)),
  unknown("nothing in it", "{}"),
  unknown("null", "null"),
  unknown("a word", "RECEIPT"),
  unknown("nested without end", "[".repeat(5_000)),
  editOf("a number without end", recipient, '"expires":300', `"expires":${"3".repeat(5_000)}`),
  {
    why: "not UTF-8",
    base64: Buffer.from(oneLine.replace("hello", "hell\u00ff"), "latin1").toString("base64"),
    verdict: "invalid",
  },
  {
    why: "a letter in two bytes that needs one",
    base64: Buffer.from(oneLine.replace("hello", "hell\u00c1\u00af"), "latin1").toString("base64"),
    verdict: "invalid",
  },
  {
    why: "a surrogate in UTF-8",
    base64: Buffer.from(oneLine.replace("hello", "\u00ed\u00a0\u0080"), "latin1").toString("base64"),
    verdict: "invalid",
  },
]

const withMember = (members: Members) => [says(alice, "PROPOSAL", members), accept, byBob] as const
const members: readonly ReceiptVector[] = [
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
    ...[proposal, accept, byBob].map((said) => ({ ...said, members: { ts: 2 ** 53 } })),
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

const chains: readonly ReceiptVector[] = [
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

/** Statements that were signed, in another order or from another deal. */
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

/** The accept's signature made unusual. */
const accepted = (why: string, signature: NonNullable<Said["signature"]>) =>
  invalid(`accept.sig: ${why}`, lineOf([proposal, says(bob, "ACCEPT", {}, signature), byBob]))

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/** The same signature with S + L for S. */
function malleated(sig: string): string {
  const [head = "", , tail = ""] = sig.split(".")
  const bytes = Buffer.from(tail, "base64url")
  let s = groupOrder
  for (let i = 0; i < 32; i++) s += BigInt(bytes[32 + i] ?? 0) << BigInt(8 * i)
  for (let i = 0; i < 32; i++) bytes[32 + i] = Number((s >> BigInt(8 * i)) & 255n)
  return `${head}..${bytes.toString("base64url")}`
}

const signatures: readonly ReceiptVector[] = [
  accepted("made for another act", { typ: "agentchat.complete+jws" }),
  accepted("made for nothing we know", { typ: "JWT" }),
  accepted("made by the other party", { by: alice }),
  accepted("made by the other party, who says otherwise", {
    by: alice,
    header: (usual) => usual.replace(didOf(alice), didOf(bob)),
  }),
  accepted("kid of the other party", { header: (usual) => usual.replace(didOf(bob), didOf(alice)) }),
  accepted("alg none", { header: (usual) => usual.replace("EdDSA", "none") }),
  accepted("alg Ed25519", { header: (usual) => usual.replace("EdDSA", "Ed25519") }),
  accepted("a member too many in the header", { header: (usual) => usual.replace("{", '{"b64":false,') }),
  accepted("a member twice in the header", { header: (usual) => usual.replace("{", '{"alg":"EdDSA",') }),
  accepted("the header in another order", {
    header: (usual) =>
      canonicalize(JSON.parse(usual)).replace('{"alg":"EdDSA",', "{").replace("}", ',"alg":"EdDSA"}'),
  }),
  accepted("the header with white space", { header: (usual) => usual.replace(",", ", ") }),
  accepted("the header with an escape", { header: (usual) => usual.replace("+", "\\u002b") }),
  accepted("a kid with a fragment", {
    header: (usual) => usual.replace(didOf(bob), `${didOf(bob)}#${didOf(bob).slice(8)}`),
  }),
  accepted("S + L", { text: malleated }),
  accepted("stray low bits in base64", {
    text: (usual) => usual.slice(0, -1) + (alphabet[alphabet.indexOf(usual.at(-1) ?? "") + 1] ?? ""),
  }),
  accepted("padding", { text: (usual) => `${usual}==` }),
  accepted("the standard alphabet", { text: (usual) => usual.replaceAll("-", "+").replaceAll("_", "/") }),
  accepted("white space", { text: (usual) => `${usual} ` }),
  accepted("a newline at the end", { text: (usual) => `${usual}\n` }),
  accepted("an attached payload", { text: (usual) => usual.replace("..", ".e30.") }),
  accepted("one part only", { text: (usual) => usual.slice(0, usual.indexOf(".")) }),
  accepted("a part too many", { text: (usual) => `${usual}.` }),
  accepted("a byte short", { text: (usual) => usual.slice(0, -2) }),
  accepted("a byte too long", { text: (usual) => `${usual.slice(0, -1)}AAA` }),
  accepted("empty", { text: () => "" }),
  ...weakKeys(),
]

/** Keys under which this one signature fits every message, for a checker that does not look. */
function weakKeys(): ReceiptVector[] {
  const identity = `01${"00".repeat(31)}`
  const keys = { "of small order": identity, "of small order, in another encoding": `ee${"ff".repeat(30)}7f` }
  return Object.entries(keys).map(([why, hex]) => {
    const did = `did:key:z${formatBase58(Buffer.from(`ed01${hex}`, "hex"))}`
    const tail = Buffer.from(`${identity}${"00".repeat(32)}`, "hex").toString("base64url")
    const text = (usual: string) => {
      const [head = ""] = usual.split(".")
      const header = Buffer.from(head, "base64url").toString().replace(didOf(bob), did)
      return `${Buffer.from(header).toString("base64url")}..${tail}`
    }
    const weak = { from: did, to: didOf(alice) }
    return invalid(
      `signed by a key ${why}`,
      lineOf([
        says(alice, "PROPOSAL", { to: did }),
        says(bob, "ACCEPT", weak, { text }),
        says(bob, "COMPLETE", weak, { text }),
      ]),
    )
  })
}

const revocation = (by: typeof alice, ts: number) => canonicalize(signRevocation(by, ts, "laptop lost"))
const rotation = (from: typeof alice, to: typeof alice, ts: number) =>
  canonicalize(signRotation(from, to, ts))
/** The accept is of t0 + 1 s, the completion of t0 + 2 s. */
const succession: readonly ReceiptVector[] = [
  valid(
    "the key was revoked after all it said",
    oneLine,
    ["completed-by-one"],
    [revocation(bob, t0 + 2_001)],
  ),
  valid(
    "the other's key was revoked after all it said",
    oneLine,
    ["completed-by-one"],
    [revocation(alice, t0 + 1)],
  ),
  valid(
    "the key was replaced after all it said",
    oneLine,
    ["completed-by-one"],
    [rotation(bob, carol, t0 + 2_001)],
  ),
  valid(
    "it is the key that replaced another",
    oneLine,
    ["completed-by-one"],
    [rotation(carol, bob, t0 + 1_500)],
  ),
  valid("a stranger's key was revoked", oneLine, ["completed-by-one"], [revocation(carol, t0)]),
  invalid("the key was revoked at its last word", oneLine, [revocation(bob, t0 + 2_000)]),
  invalid("the key was revoked before its last word", oneLine, [
    revocation(carol, 0),
    revocation(bob, t0 + 1_500),
  ]),
  invalid("the key was replaced before its last word", oneLine, [rotation(bob, carol, t0 + 1_500)]),
  invalid("the proposer's key was revoked before", oneLine, [revocation(alice, t0 - 1)]),
]

/** A statement about a key on a line of its own, and whether it is to be believed. */
export interface KeyVector {
  readonly why: string
  readonly line: string
  readonly verdict: ReceiptVector["verdict"]
}

function keyVectors(): KeyVector[] {
  const revoked: Members = { v: 1, type: "REVOCATION", from: didOf(bob), ts: t0 }
  const replaced: Members = { v: 1, type: "ROTATION", from: didOf(bob), to: didOf(carol), ts: t0 }
  const line = (body: Members, by = bob, signature = {}) =>
    canonicalize({ ...body, sig: signAnything(body, by, signature) })
  const two = (a: typeof alice, b: typeof alice) =>
    canonicalize({ ...replaced, sigs: [signAnything(replaced, a, {}), signAnything(replaced, b, {})] })
  const bad = (why: string, text: string): KeyVector => ({ why, line: text, verdict: "invalid" })
  return [
    { why: "a revocation", line: line(revoked), verdict: "valid" },
    { why: "a revocation with a reason", line: revocation(bob, t0), verdict: "valid" },
    { why: "a rotation", line: two(bob, carol), verdict: "valid" },
    bad("a revocation by another key", line(revoked, alice)),
    bad("a revocation of another time", line(revoked).replace(String(t0), String(t0 + 1))),
    bad("a revocation made for another act", line(revoked, bob, { typ: "agentchat.rotation+jws" })),
    bad("a revocation with a member too many", line({ ...revoked, note: "x" })),
    bad("a revocation whose reason is no text", line({ ...revoked, reason: 1 })),
    { why: "a revocation of version 2", line: line({ ...revoked, v: 2 }), verdict: "undecided" },
    bad("a revocation at no whole time", line({ ...revoked, ts: t0 + 0.5 })),
    bad("a revocation before 1970", line({ ...revoked, ts: -1 })),
    bad(
      "a revocation whose header has another order",
      line(revoked, bob, {
        header: (usual: string) => usual.replace('{"alg":"EdDSA",', "{").replace("}", ',"alg":"EdDSA"}'),
      }),
    ),
    bad("a revocation with a duplicate key", line(revoked).replace('"v":1', '"v":1,"v":1')),
    bad("a rotation the old key did not sign", two(carol, carol)),
    bad("a rotation the new key did not sign", two(bob, bob)),
    bad("a rotation whose signatures are swapped", two(carol, bob)),
    bad("a rotation with one signature", two(bob, carol).replace(/,"eyJ[^"]*"\]/, "]")),
  ]
}

/** All that stands in test/vectors/receipts.json. */
export function makeReceiptVectors() {
  return {
    about:
      "Lines a checker of receipts must agree on; verifiers/README.md tells the format. Seeds are 32 times this byte.",
    seeds,
    receipts: [
      ...validOnes,
      ...spelled,
      ...tampered(),
      ...texts,
      ...members,
      ...chains,
      ...signatures,
      ...succession,
    ],
    keys: keyVectors(),
  } as const
}
