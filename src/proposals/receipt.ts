import { JsonError, parseStrictJson } from "../base/strict-json.js"
import { canonicalize } from "../identity/canonical-json.js"
import { ChatError } from "../protocol/errors.js"
import type { Statement } from "../protocol/statements.js"
import { type Deal, dealOf, statementsOf } from "./deal.js"
import { readStatement } from "./statement.js"

/**
 * A deal that somebody who knows neither party, nor the relay, can check: all that was signed in it, on one line.
 * An accepted deal has a receipt as soon as one of the two says that it is completed, or disputes it.
 */
export interface Receipt {
  readonly v: 1
  readonly type: "RECEIPT"
  readonly proposal: Statement<"PROPOSAL">
  readonly accept: Statement<"ACCEPT">
  /** Of one party or of both, in order. */
  readonly complete: readonly Statement<"COMPLETE">[]
  /** Of one party or of both, in order. */
  readonly dispute?: readonly Statement<"DISPUTE">[]
}

const members = new Set(["v", "type", "proposal", "accept", "complete", "dispute"])
const mostOfAKind = 2

/** The receipt of a deal; undefined while there is nothing to prove. */
export function receiptOf(deal: Deal): Receipt | undefined {
  const [accept] = statementsOf(deal, "ACCEPT")
  const complete = statementsOf(deal, "COMPLETE")
  const dispute = statementsOf(deal, "DISPUTE")
  if (accept === undefined || complete.length + dispute.length === 0) return undefined
  const receipt = { v: 1, type: "RECEIPT", proposal: deal.chain[0], accept, complete } as const
  return dispute.length === 0 ? receipt : { ...receipt, dispute }
}

/** The deal a receipt tells of. Looks at no signature. @throws {ChatError} as {@link advanceDeal} */
export function dealOfReceipt({ proposal, accept, complete, dispute = [] }: Receipt): Deal {
  return dealOf([proposal, accept, ...complete, ...dispute])
}

/** A receipt as it stands in receipts.jsonl: canonical JSON (RFC 8785), without the newline. */
export function formatReceipt(receipt: Receipt): string {
  return canonicalize(receipt)
}

/**
 * Reads one line as a receipt: strict JSON, every member known, every statement of its form. Looks at no signature
 * and not at what follows from what.
 * @throws {ChatError} INVALID_MSG, naming what is wrong
 */
export function parseReceipt(text: string): Receipt {
  try {
    return readReceipt(parseStrictJson(text), text)
  } catch (error) {
    if (error instanceof JsonError)
      throw invalid(`${error.path === "" ? "the line" : error.path}: ${error.message}`)
    throw error
  }
}

/**
 * {@link parseReceipt} for a value that was parsed strictly.
 * @param text - the line it was parsed from, which has one spelling; none for what stood over several lines
 */
export function readReceipt(value: unknown, text?: string): Receipt {
  if (!isRecord(value)) throw invalid("is not a JSON object")
  if (value["type"] !== "RECEIPT") throw invalid("type: must be RECEIPT")
  if (value["v"] !== 1) throw invalid("v: must be 1")
  const unknown = Object.keys(value).find((name) => !members.has(name))
  if (unknown !== undefined) throw invalid(`${JSON.stringify(unknown.slice(0, 32))} is not a member of it`)
  const complete = readList(value["complete"], "complete", "COMPLETE")
  const dispute =
    value["dispute"] === undefined ? undefined : readList(value["dispute"], "dispute", "DISPUTE")
  requireEnd(complete, dispute)
  const proposal = readOne(value["proposal"], "proposal", "PROPOSAL")
  const accept = readOne(value["accept"], "accept", "ACCEPT")
  if (text !== undefined) requirePlainTokens(text)
  return { v: 1, type: "RECEIPT", proposal, accept, complete, ...(dispute === undefined ? {} : { dispute }) }
}

function requireEnd(complete: readonly Statement[], dispute: readonly Statement[] | undefined): void {
  if (dispute?.length === 0) throw invalid("dispute: must not be empty")
  if (complete.length + (dispute?.length ?? 0) === 0)
    throw invalid("complete: must not be empty without a dispute")
}

const strings = /"[^"\\]*(?:\\.[^"\\]*)*"/g
const escapes = /\\(?:u.{4}|.)/g

/**
 * No letter of a receipt can be another and the receipt still say the same: numbers are written as whole ones, and
 * escapes in lower case.
 */
function requirePlainTokens(text: string): void {
  const besideStrings = text.replace(strings, "")
  if (/[-.]|[0-9][eE]/.test(besideStrings)) throw invalid("a number must be written as a whole one")
  if (text.match(escapes)?.some((escape) => /^\\u.*[A-F]/.test(escape)) === true) {
    throw invalid("an escape must be written in lower case")
  }
}

function readList<V extends "COMPLETE" | "DISPUTE">(value: unknown, member: string, verb: V) {
  if (!Array.isArray(value) || value.length > mostOfAKind) {
    throw invalid(`${member}: must be an array of at most ${mostOfAKind}`)
  }
  return value.map((item: unknown, index) => readOne(item, `${member}[${index}]`, verb))
}

function readOne<V extends Statement["type"]>(
  value: unknown,
  member: string,
  verb: V,
): Extract<Statement, { type: V }> {
  if (!isRecord(value) || value["type"] !== verb)
    throw invalid(`${member}: must be a statement of type ${verb}`)
  return readStatement(value) as Extract<Statement, { type: V }>
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

function invalid(problem: string): ChatError {
  return new ChatError("INVALID_MSG", `receipt: ${problem}`)
}
