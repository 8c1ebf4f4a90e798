import { alice, bob, lineOf, type Members, type Said, says } from "./receipt-vectors.js"

/** A line and the verdict that every verifier must give. */
export interface ReceiptVector {
  readonly why: string
  /** The line; `base64` if it is not text; or an `edit` of the line of the vector named `of`. */
  readonly line?: string
  readonly base64?: string
  readonly of?: string
  /** Text that occurs once in that line, and its replacement. */
  readonly edit?: readonly [string, string]
  /** Lines of key statements to verify with. */
  readonly keys?: readonly string[]
  readonly verdict: "valid" | "invalid" | "undecided"
  readonly proves?: readonly string[]
}

/** A statement about a key on its own line, and whether it is valid. */
export interface KeyVector {
  readonly why: string
  readonly line: string
  readonly verdict: ReceiptVector["verdict"]
}

export const proposal = says(alice, "PROPOSAL")
export const accept = says(bob, "ACCEPT")
export const byBob = says(bob, "COMPLETE")
export const byAlice = says(alice, "COMPLETE")
export const one: readonly Said[] = [proposal, accept, byBob]
export const both: readonly Said[] = [...one, byAlice]

const offer: Members = {
  task: 'Say "hello" & <b>bye</b> 😀 Grüße \u0000\u001f\u007f\u2028\u2029 \\ / 𝄞 é',
  amount: "0.050",
  currency: "SOL",
  payment_code: "PM8T…",
  terms: "line 1\nline 2\ttab",
}
export const full: readonly Said[] = [
  says(alice, "PROPOSAL", offer),
  says(bob, "ACCEPT", { payment_code: "PM8Tbob" }),
  says(bob, "COMPLETE", { proof: "https://example.org/done" }),
  says(alice, "COMPLETE", { proof: "seen" }),
  says(alice, "DISPUTE", { reason: "came apart", fault: "other" }),
  says(bob, "DISPUTE", { reason: "it did", fault: "self" }),
]
const start = ["integrity", "accepted-by-both"]

export function valid(
  why: string,
  line: string,
  proves: readonly string[],
  keys?: readonly string[],
): ReceiptVector {
  const all = [...start, ...proves]
  return { why, line, ...(keys === undefined ? {} : { keys }), verdict: "valid", proves: all }
}

export function invalid(why: string, line: string, keys?: readonly string[]): ReceiptVector {
  return { why, line, ...(keys === undefined ? {} : { keys }), verdict: "invalid" }
}

export const signed = (why: string, ...all: readonly Said[]) => invalid(`signed, but ${why}`, lineOf(all))
export const dispute = (by: typeof alice, fault?: string) => says(by, "DISPUTE", { fault })

/** Other types and unknown versions are undecided, not invalid. */
export function unknown(why: string, line: string): ReceiptVector {
  return { why, line, verdict: "undecided" }
}
