import { createHash } from "node:crypto"
import { formatBase64Url } from "../identity/base64.js"
import { canonicalize } from "../identity/canonical-json.js"
import { formatHeader, signDetached, verifyDetached } from "../identity/detached-jws.js"
import { agentIdOf, formatDidKey, parsePublicKey } from "../identity/keys.js"
import type { KeyPair } from "../identity/signer.js"
import { ChatError } from "../protocol/errors.js"
import { frameIdPattern, frameIdRule } from "../protocol/message-id.js"
import type { AgentId } from "../protocol/names.js"
import { Fault, literal, matching, strictObject } from "../protocol/schema.js"
import { type Statement, statementBodies } from "../protocol/statements.js"
import { isVerb, type Verb, verbs } from "../protocol/verbs.js"

/** Longest canonical text of a statement, in characters: a chain of them has to fit into one frame. */
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
 * Reads a value as a statement: every member known and of its form, none besides. Says nothing of the signature.
 * @throws {ChatError} INVALID_MSG, naming the member at fault
 */
export function readStatement(value: unknown): Statement {
  const type = typeof value === "object" && value !== null && "type" in value ? value.type : undefined
  if (typeof type !== "string" || !isVerb(type)) {
    throw new ChatError("INVALID_MSG", `statement: type must be one of ${verbs.join(", ")}`)
  }
  const statement: Statement | Fault = schemas[type].read(value)
  if (statement instanceof Fault) {
    const { path, problem } = statement
    // A member's name is a stranger's choice: a long or odd one is not repeated.
    const member = /^[A-Za-z0-9_]{1,32}$/.test(path) ? `.${path}` : ""
    throw new ChatError("INVALID_MSG", `${type}${member}: ${problem}`)
  }
  if (statement.from === statement.to) throw new ChatError("INVALID_MSG", `${type}.to: is oneself`)
  if (canonicalize(statement).length > maxCharacters) {
    throw new ChatError("INVALID_MSG", `${type}: longer than ${maxCharacters} characters`)
  }
  return statement
}

/** The type in a statement's signature: no signature over one act fits another. */
function typOf(verb: Verb): string {
  return `agentchat.${verb.toLowerCase()}+jws`
}

/** A statement without what signing adds; members that are undefined are not said at all. */
export type Unsigned = { readonly type: Verb } & Readonly<Record<string, unknown>>

/** Signs a statement. @throws {ChatError} INVALID_MSG as {@link readStatement} */
export function signStatement(unsigned: Unsigned, keyPair: KeyPair): Statement {
  const body = { ...definedMembers(unsigned), v: 1, from: formatDidKey(keyPair.publicKey) }
  return readStatement({ ...body, sig: signDetached(body, keyPair, typOf(unsigned.type)) })
}

/**
 * Checks that a statement is signed by the key it is `from`, and that `to` is a key that can exist.
 * @throws {ChatError} VERIFICATION_FAILED
 */
export function verifyStatement(statement: Statement): void {
  const { sig, ...body } = statement
  const typ = typOf(statement.type)
  const signer = formatDidKey(verifyDetached(sig, body, typ))
  if (signer !== statement.from) {
    throw new ChatError("VERIFICATION_FAILED", `${statement.type}: signed by another key than its from`)
  }
  // Header and statement have one spelling each, so a checker can compare texts.
  if (!sig.startsWith(`${formatHeader(signer, typ)}..`)) {
    throw new ChatError("VERIFICATION_FAILED", `${statement.type}.sig: its header is not canonical JSON`)
  }
  try {
    parsePublicKey(statement.to)
  } catch (error) {
    throw new ChatError("VERIFICATION_FAILED", `${statement.type}.to: is no key`, { cause: error })
  }
}

/** What the next statement names as `prev`: base64url of the SHA-256 of the canonical JSON of the signed statement. */
export function hashStatement(statement: Statement): string {
  return formatBase64Url(createHash("sha256").update(canonicalize(statement)).digest())
}

/** The agent whose key a did:key is. @throws {ChatError} INVALID_MSG when it is no key */
export function agentIdOfDid(did: string): AgentId {
  return agentIdOf(parsePublicKey(did))
}

function definedMembers(members: object): Record<string, unknown> {
  return Object.fromEntries(Object.entries(members).filter(([, member]) => member !== undefined))
}
