import { createHash } from "node:crypto"
import { formatBase64Url } from "../identity/base64.js"
import { canonicalize } from "../identity/canonical-json.js"
import { formatHeader, signDetached, verifyDetached } from "../identity/detached-jws.js"
import { agentIdOf, formatDidKey, parsePublicKey } from "../identity/keys.js"
import type { KeyPair } from "../identity/signer.js"
import { ChatError } from "../protocol/errors.js"
import { formatStatementId, frameIdPattern, frameIdRule } from "../protocol/message-id.js"
import type { AgentId } from "../protocol/names.js"
import { Fault, literal, matching, strictObject } from "../protocol/schema.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import { type Statement, statementBodies } from "../protocol/statements.js"
import { isVerb, proposalIdOf, type Verb, verbs } from "../protocol/verbs.js"

/** Maximum length of a statement as canonical JSON, in characters: a whole chain has to fit into one frame. */
const maxCharacters = 32_768

const id = matching(frameIdPattern, frameIdRule)

const schemas = {
  PROPOSAL: strictObject({ type: literal("PROPOSAL"), id, ...statementBodies.PROPOSAL }),
  ACCEPT: strictObject({ type: literal("ACCEPT"), id, ...statementBodies.ACCEPT }),
  REJECT: strictObject({ type: literal("REJECT"), id, ...statementBodies.REJECT }),
  COMPLETE: strictObject({ type: literal("COMPLETE"), id, ...statementBodies.COMPLETE }),
  DISPUTE: strictObject({ type: literal("DISPUTE"), id, ...statementBodies.DISPUTE }),
} as const satisfies Record<Verb, unknown>

/**
 * Parses a statement: every field is known and valid. Does not check the signature.
 * @throws {ChatError} INVALID_MSG, naming the field at fault
 */
export function readStatement(value: unknown): Statement {
  const type = typeof value === "object" && value !== null && "type" in value ? value.type : undefined
  if (typeof type !== "string" || !isVerb(type)) {
    throw new ChatError("INVALID_MSG", `type: must be one of ${verbs.join(", ")}`)
  }
  const statement: Statement | Fault = schemas[type].read(value)
  if (statement instanceof Fault) {
    const { path, problem } = statement
    // The name of an unknown field is not repeated if it is long or unusual.
    const field = /^[A-Za-z0-9_]{1,32}$/.test(path) ? `.${path}` : ""
    throw new ChatError("INVALID_MSG", `${type}${field}: ${problem}`)
  }
  if (statement.from === statement.to) throw new ChatError("INVALID_MSG", `${type}.to: cannot be yourself`)
  if (canonicalize(statement).length > maxCharacters) {
    throw new ChatError("INVALID_MSG", `${type}: must be at most ${maxCharacters} characters`)
  }
  return statement
}

/** Returns the `typ` of a signature, which keeps a signature of one verb from being valid for another. */
function typOf(verb: Verb): string {
  return `agentchat.${verb.toLowerCase()}+jws`
}

/** A statement without the fields that signing adds. Fields that are undefined are left out. */
export type UnsignedStatement = { readonly type: Verb } & Readonly<Record<string, unknown>>

/** Signs a statement. @throws {ChatError} INVALID_MSG, naming the field at fault */
export function signStatement(unsigned: UnsignedStatement, keyPair: KeyPair): Statement {
  const body = { ...definedFields(unsigned), v: 1, from: formatDidKey(keyPair.publicKey) }
  return readStatement({ ...body, sig: signDetached(body, keyPair, typOf(unsigned.type)) })
}

/**
 * Checks that a statement is signed by the key in `from`, and that `to` is a valid key.
 * @throws {ChatError} VERIFICATION_FAILED
 */
export function verifyStatement(statement: Statement): void {
  const { sig, ...body } = statement
  const typ = typOf(statement.type)
  const signer = formatDidKey(verifyDetached(sig, body, typ))
  if (signer !== statement.from) {
    throw new ChatError("VERIFICATION_FAILED", `${statement.type}: must be signed by the key in from`)
  }
  // Header and statement have one spelling each, so that verifiers can compare texts.
  if (!sig.startsWith(`${formatHeader(signer, typ)}..`)) {
    throw new ChatError("VERIFICATION_FAILED", `${statement.type}.sig: header must be canonical JSON`)
  }
  try {
    parsePublicKey(statement.to)
  } catch (error) {
    throw new ChatError("VERIFICATION_FAILED", `${statement.type}.to: must be a valid key`, { cause: error })
  }
}

/** Returns the `prev` of the next statement: base64url of the SHA-256 of this one, signed, as canonical JSON. */
export function hashStatement(statement: Statement): string {
  return formatBase64Url(createHash("sha256").update(canonicalize(statement)).digest())
}

export function statementMessageId(statement: Statement): string {
  return formatStatementId(agentIdOfDid(statement.from), proposalIdOf(statement), statement.type)
}

/** Returns the statement inside a relay's message, unparsed and unverified. */
export function statementIn(message: ServerMessage<Verb>): unknown {
  const { re: _re, msg_id: _msgId, name: _name, state: _state, ...statement } = message
  return statement
}

/** Returns the id of the agent with this did:key. @throws {ChatError} INVALID_MSG if it is not a valid key */
export function agentIdOfDid(did: string): AgentId {
  return agentIdOf(parsePublicKey(did))
}

function definedFields(fields: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).filter(([, field]) => field !== undefined))
}
