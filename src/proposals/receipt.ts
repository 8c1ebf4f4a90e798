import { canonicalize } from "../identity/canonical-json.js"
import { ChatError } from "../protocol/errors.js"
import type { Statement } from "../protocol/statements.js"
import { type Deal, dealOf, statementsOf } from "./deal.js"
import { readStatement } from "./statement.js"

/**
 * All statements of a deal in one object, which anybody can verify without knowing the parties or the relay.
 * An accepted deal has a receipt as soon as one party has completed or disputed it.
 */
export interface Receipt {
  readonly v: 1
  readonly type: "RECEIPT"
  readonly proposal: Statement<"PROPOSAL">
  readonly accept: Statement<"ACCEPT">
  /** By one party or both, in order. */
  readonly complete: readonly Statement<"COMPLETE">[]
  /** By one party or both, in order. */
  readonly dispute?: readonly Statement<"DISPUTE">[]
}

/**
 * The signed answer to a question with choices. Receipts verifiers skip it. `question` is canonical JSON, whose SHA-256 the
 * signature covers, see `identity/answer-signature.ts`.
 */
export interface Decision {
  readonly v: 1
  readonly type: "DECISION"
  readonly task: string
  readonly question: string
  readonly answer: string
  /** The id of the agent that answered. */
  readonly by: string
  /** `server_id` of the relay. */
  readonly aud: string
  /** Milliseconds since the Unix epoch. */
  readonly ts: number
  readonly sig: string
}

const fields = new Set(["v", "type", "proposal", "accept", "complete", "dispute"])
const maxPerVerb = 2

/** Returns the receipt of a deal; undefined until a party has completed or disputed it. */
export function receiptOf(deal: Deal): Receipt | undefined {
  const [accept] = statementsOf(deal, "ACCEPT")
  const complete = statementsOf(deal, "COMPLETE")
  const dispute = statementsOf(deal, "DISPUTE")
  if (accept === undefined || complete.length + dispute.length === 0) return undefined
  const receipt = { v: 1, type: "RECEIPT", proposal: deal.chain[0], accept, complete } as const
  return dispute.length === 0 ? receipt : { ...receipt, dispute }
}

/** Returns the deal of a receipt. Does not check signatures. @throws {ChatError} as {@link dealOf} */
export function dealOfReceipt({ proposal, accept, complete, dispute = [] }: Receipt): Deal {
  return dealOf([proposal, accept, ...complete, ...dispute])
}

/** Returns the line of a receipt or a decision in receipts.jsonl: canonical JSON (RFC 8785), without the newline. */
export function formatReceipt(receipt: Receipt | Decision): string {
  return canonicalize(receipt)
}

/**
 * Validates a receipt that `parsePlainJson` parsed: every field known, every statement well formed. Does not check
 * signatures or the order of statements.
 * @throws {ChatError} INVALID_MSG, naming the field at fault
 */
export function readReceipt(value: unknown): Receipt {
  if (!isRecord(value)) throw invalid("must be a JSON object")
  if (value["type"] !== "RECEIPT") throw invalid("type: must be RECEIPT")
  if (value["v"] !== 1) throw invalid("v: must be 1")
  const unknown = Object.keys(value).find((name) => !fields.has(name))
  if (unknown !== undefined) throw invalid(`${JSON.stringify(unknown.slice(0, 32))}: unknown field`)
  const complete = readList(value["complete"], "complete", "COMPLETE")
  const dispute =
    value["dispute"] === undefined ? undefined : readList(value["dispute"], "dispute", "DISPUTE")
  requireEnd(complete, dispute)
  const proposal = readOne(value["proposal"], "proposal", "PROPOSAL")
  const accept = readOne(value["accept"], "accept", "ACCEPT")
  return { v: 1, type: "RECEIPT", proposal, accept, complete, ...(dispute === undefined ? {} : { dispute }) }
}

function requireEnd(complete: readonly Statement[], dispute: readonly Statement[] | undefined): void {
  if (dispute?.length === 0) throw invalid("dispute: must not be empty")
  if (complete.length + (dispute?.length ?? 0) === 0) {
    throw invalid("complete: must not be empty without a dispute")
  }
}

function readList<V extends "COMPLETE" | "DISPUTE">(value: unknown, field: string, verb: V) {
  if (!Array.isArray(value) || value.length > maxPerVerb) {
    throw invalid(`${field}: must be an array of at most ${maxPerVerb} statements`)
  }
  return value.map((item: unknown, index) => readOne(item, `${field}[${index}]`, verb))
}

function readOne<V extends Statement["type"]>(
  value: unknown,
  field: string,
  verb: V,
): Extract<Statement, { type: V }> {
  if (!isRecord(value) || value["type"] !== verb)
    throw invalid(`${field}: must be a statement of type ${verb}`)
  return readStatement(value) as Extract<Statement, { type: V }>
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value)
}

function invalid(problem: string): ChatError {
  return new ChatError("INVALID_MSG", `receipt: ${problem}`)
}

/**
 * The most complete receipt of each deal, from any number of files. The result does not depend on the order in which
 * receipts are added.
 */
export class ReceiptSet {
  /** By the signature of the proposal, because two deals can have the same id. */
  readonly #receipts = new Map<string, Receipt>()

  get size(): number {
    return this.#receipts.size
  }

  /** @returns false if the set already has this receipt or a more complete one */
  add(receipt: Receipt): boolean {
    const key = receipt.proposal.sig
    const known = this.#receipts.get(key)
    if (known !== undefined && !supersedes(receipt, known)) return false
    this.#receipts.set(key, receipt)
    return true
  }

  values(): Iterable<Receipt> {
    return this.#receipts.values()
  }
}

/** Two chains of the same length differ only if a party contradicted itself; then the smaller text wins. */
function supersedes(receipt: Receipt, known: Receipt): boolean {
  const difference = lengthOf(receipt) - lengthOf(known)
  return difference > 0 || (difference === 0 && canonicalize(receipt) < canonicalize(known))
}

function lengthOf({ complete, dispute = [] }: Receipt): number {
  return complete.length + dispute.length
}
