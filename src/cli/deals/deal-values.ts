/** Parsers for the command line arguments of deals. The limits are those of the protocol. */
import { ChatError } from "../../protocol/errors.js"
import { Fault, type Schema } from "../../protocol/schema.js"
import { draftBodies, proposalIdSchema } from "../../protocol/statements.js"
import type { Parse } from "../command.js"
import { duration } from "../input/values.js"

const { task, amount, currency, payment_code, expires, terms } = draftBodies.PROPOSAL

export const proposalId: Parse<string> = (text, label) => {
  if (!(proposalIdSchema.read(text) instanceof Fault)) return text
  throw new ChatError("USAGE", `${label}: must be the id of a proposal`, {
    hint: "it looks like prop_k3v5…; see: agentchat proposals",
  })
}

export const taskText = member(task)
export const termsText = member(terms)
/** Parses a decimal number. Returns the text, so that it is not rounded. */
export const amountText: Parse<string> = (text, label) => {
  member(amount)(text, label)
  return text
}
export const currencyName = member(currency)
export const paymentCode = member(payment_code)
export const rejectReason = member(draftBodies.REJECT.reason)
export const proofText = member(draftBodies.COMPLETE.proof)
export const disputeReason = member(draftBodies.DISPUTE.reason)

/** Parses a duration in seconds (`300`) or with a unit (`5m`, `7d`). @returns seconds */
export const timeSpan: Parse<number> = (text, label) => {
  const seconds = /^\d{1,12}$/.test(text) ? Number(text) : duration(text, label) / 1_000
  return checked(expires, seconds, label)
}

function member<T>(schema: Schema<T | undefined>): Parse<T> {
  return (text, label) => checked(schema, text, label)
}

/** @throws {ChatError} USAGE, naming `label` */
function checked<T>(schema: Schema<T | undefined>, value: string | number, label: string): T {
  const read = schema.read(value)
  if (read instanceof Fault) throw new ChatError("USAGE", `${label}: ${read.problem}`)
  return read as T
}
