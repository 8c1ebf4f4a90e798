import { canonicalize } from "../../src/identity/canonical-json.js"
import {
  accept,
  both,
  byAlice,
  byBob,
  dispute,
  full,
  invalid,
  one,
  proposal,
  type ReceiptVector,
  unknown,
  valid,
} from "./receipt-vector-deals.js"
import { chains, members } from "./receipt-vector-rules.js"
import { keyVectors, signatures, succession } from "./receipt-vector-signatures.js"
import { alice, bob, carol, didOf, lineOf, receiptOf, says, seeds, signChain } from "./receipt-vectors.js"

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
      ...[accept, byBob, byAlice].map((statement) => ({
        ...statement,
        members: { ts: Number.MAX_SAFE_INTEGER },
      })),
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
      ...[accept, byBob].map((statement) => ({ ...statement, members: { aud: "😀".repeat(32), id: "x" } })),
    ]),
    ["completed-by-one"],
  ),
]

const fullLine = lineOf(full)
const oneLine = lineOf(one)
/** The same value with different escapes. */
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

/** Changes each member of each statement in `full`, and omits each optional one. */
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

/** Edits `full` at one place, with enough context before it to make it unique. */
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

/** The contents of test/vectors/receipts.json. */
export function makeReceiptVectors() {
  return {
    about:
      "Lines a checker of receipts must agree on; verifiers/RULES.md has the rules. Seeds are 32 times this byte.",
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
