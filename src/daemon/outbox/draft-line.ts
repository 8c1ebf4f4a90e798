import { omitUndefined } from "../../base/plain.js"
import { ChatError } from "../../protocol/errors.js"
import { Fault, strictObject } from "../../protocol/schema.js"
import { type Draft, draftBodies } from "../../protocol/statements.js"
import type { Verb } from "../../protocol/verbs.js"
import { closestName, hintForField } from "./line-hint.js"

const schemas = {
  PROPOSAL: strictObject(draftBodies.PROPOSAL),
  ACCEPT: strictObject(draftBodies.ACCEPT),
  REJECT: strictObject(draftBodies.REJECT),
  COMPLETE: strictObject(draftBodies.COMPLETE),
  DISPUTE: strictObject(draftBodies.DISPUTE),
} as const satisfies Record<Verb, unknown>

/** Fields that the daemon adds when it signs. */
const signedFields: ReadonlySet<string> = new Set(["v", "from", "ts", "aud", "prev", "sig"])

const examples: Readonly<Record<Verb, string>> = {
  PROPOSAL: `echo '{"type":"PROPOSAL","to":"@bob","task":"review a.ts"}' >> outbox.jsonl`,
  ACCEPT: `echo '{"type":"ACCEPT","proposal_id":"prop_…"}' >> outbox.jsonl`,
  REJECT: `echo '{"type":"REJECT","proposal_id":"prop_…"}' >> outbox.jsonl`,
  COMPLETE: `echo '{"type":"COMPLETE","proposal_id":"prop_…"}' >> outbox.jsonl`,
  DISPUTE: `echo '{"type":"DISPUTE","proposal_id":"prop_…","reason":"not done"}' >> outbox.jsonl`,
}

/** Common wrong names of fields. */
const otherNames: Readonly<Record<string, readonly string[]>> = {
  to: ["agent", "recipient", "target"],
  task: ["content", "text", "description"],
  proposal_id: ["proposal", "prop_id", "id"],
}

const hints: Readonly<Record<string, string>> = {
  amount: 'write it as text: "amount":"0.05"',
  expires: 'write seconds: "expires":300',
  dispute_window: 'write seconds: "dispute_window":86400',
  fault: 'write "self", "other" or "mutual", or leave it out',
  proposal_id: "copy it from the id of the PROPOSAL line in your inbox",
}

/**
 * Reads a line as the draft of a statement. An unknown member is refused, not dropped, because the signature must
 * cover everything that was written.
 * @throws {ChatError} INVALID_MSG with a message that names the field, and a hint
 */
export function readDraft(type: Verb, value: Readonly<Record<string, unknown>>): Draft {
  const { type: _type, id, ...body } = value
  const read = schemas[type].read(body)
  if (!(read instanceof Fault)) {
    const draft = { ...read, type } as Draft
    return typeof id === "string" ? { ...draft, id } : draft
  }
  const field = read.path
  const hint = hintOf(type, value, field)
  throw new ChatError("INVALID_MSG", `${field.slice(0, 70)}: ${read.problem}`, omitUndefined({ hint }))
}

function hintOf(type: Verb, value: Readonly<Record<string, unknown>>, field: string): string | undefined {
  const names = Object.keys(draftBodies[type])
  if (value[field] === undefined) {
    const other = otherNames[field]?.find((name) => typeof value[name] === "string")
    return other === undefined ? examples[type] : `call it "${field}" instead of "${other}"`
  }
  if (!names.includes(field)) return hintForUnknown(names, field)
  if (field === "to") return hintForField({ agent: value["to"] }, "agent")
  return hints[field]
}

function hintForUnknown(names: readonly string[], field: string): string {
  if (signedFields.has(field)) return "leave it out: the daemon adds it when it signs"
  const close = closestName(
    field,
    names.map((name) => name.toUpperCase()),
  )
  if (close !== undefined) return `did you mean "${close.toLowerCase()}"?`
  const other = names.find((name) => otherNames[name]?.includes(field) === true)
  return other === undefined
    ? `leave it out; the fields are ${names.join(", ")}`
    : `call it "${other}" instead of "${field}"`
}
