import { createHash } from "node:crypto"
import * as v from "valibot"
import { formatBase64Url } from "../identity/base64.js"
import { canonicalize } from "../identity/canonical-json.js"
import { formatHeader, signDetached, verifyDetached } from "../identity/detached-jws.js"
import { agentIdOf, formatDidKey, parsePublicKey } from "../identity/keys.js"
import type { KeyPair } from "../identity/signer.js"
import { ChatError } from "../protocol/errors.js"
import { frameIdPattern, frameIdRule } from "../protocol/message-id.js"
import type { AgentId } from "../protocol/names.js"
import { type Statement, statementBodies } from "../protocol/statements.js"
import { isVerb, type Verb, verbs } from "../protocol/verbs.js"

/** Longest canonical text of a statement, in characters: a chain of them has to fit into one frame. */
const maxCharacters = 32_768

const id = v.pipe(v.string("must be a string"), v.regex(frameIdPattern, frameIdRule))

const schemas = {
  PROPOSAL: v.strictObject({ type: v.literal("PROPOSAL"), id, ...statementBodies.PROPOSAL }),
  ACCEPT: v.strictObject({ type: v.literal("ACCEPT"), id, ...statementBodies.ACCEPT }),
  REJECT: v.strictObject({ type: v.literal("REJECT"), id, ...statementBodies.REJECT }),
  COMPLETE: v.strictObject({ type: v.literal("COMPLETE"), id, ...statementBodies.COMPLETE }),
  DISPUTE: v.strictObject({ type: v.literal("DISPUTE"), id, ...statementBodies.DISPUTE }),
} satisfies Record<Verb, v.GenericSchema<unknown, Statement>>

/**
 * Reads a value as a statement: every member known and of its form, none besides. Says nothing of the signature.
 * @throws {ChatError} INVALID_MSG, naming the member at fault
 */
export function readStatement(value: unknown): Statement {
  const type = typeof value === "object" && value !== null && "type" in value ? value.type : undefined
  if (typeof type !== "string" || !isVerb(type)) {
    throw new ChatError("INVALID_MSG", `statement: type must be one of ${verbs.join(", ")}`)
  }
  requireKnownMembers(value as object, type)
  const parsed = v.safeParse(schemas[type], value, { abortEarly: true })
  if (!parsed.success) {
    const [issue] = parsed.issues
    throw new ChatError("INVALID_MSG", `${type}.${v.getDotPath(issue) ?? "statement"}: ${problemOf(issue)}`)
  }
  const statement = parsed.output
  if (statement.from === statement.to) throw new ChatError("INVALID_MSG", `${type}.to: is oneself`)
  if (canonicalize(statement).length > maxCharacters) {
    throw new ChatError("INVALID_MSG", `${type}: longer than ${maxCharacters} characters`)
  }
  return statement
}

/** valibot takes what every object inherits, such as "constructor", for a member it knows, and quotes any other. */
function requireKnownMembers(value: object, type: Verb): void {
  const unknown = Object.keys(value).find((name) => !Object.hasOwn(schemas[type].entries, name))
  if (unknown === undefined) return
  const name = /^[A-Za-z0-9_]{1,32}$/.test(unknown) ? `.${unknown}` : ""
  throw new ChatError("INVALID_MSG", `${type}${name}: is not a member of it`)
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

/** Never quotes what a stranger wrote. */
function problemOf(issue: v.BaseIssue<unknown>): string {
  if (issue.input === undefined) return "is missing"
  return issue.message.startsWith("Invalid ")
    ? `must be ${issue.expected ?? "of another form"}`
    : issue.message
}
