import { parseStrictJson } from "../base/strict-json.js"
import { type Nick, nickPattern } from "../protocol/names.js"
import { formatBase64, parseBase64 } from "./base64.js"
import { agentIdOf, formatDidKey, parsePublicKey } from "./keys.js"
import { exportSeed, type KeyPair, keyPairFromPem, keyPairFromSeed, seedBytes } from "./signer.js"
import type { Revocation, Rotation } from "./succession.js"

/** What an identity file says. Without `keyPair` the identity was revoked and its secret destroyed. */
export interface IdentityRecord {
  readonly did: string
  readonly keyPair: KeyPair | undefined
  readonly nick: Nick | undefined
  /** Milliseconds since the Unix epoch. */
  readonly createdTs: number
  readonly rotations: readonly Rotation[]
  readonly revocation: Revocation | undefined
  /** Files of the first AgentChat hold PEM texts; they are read but never written. */
  readonly form: "current" | "older"
}

/** Why a text is no identity; never quotes the text, which may hold a secret. */
export class IdentityTextError extends Error {
  override readonly name = "IdentityTextError"
}

/** The last moment a Date can tell. */
const maxDateMs = 8.64e15

type Members = Readonly<Record<string, unknown>>

/** The file's text: one indented JSON object. */
export function formatIdentityText(record: IdentityRecord): string {
  const { did, keyPair, nick, createdTs, rotations, revocation } = record
  const members = {
    v: 1,
    agent_id: agentIdOf(parsePublicKey(did)),
    did,
    private_key: keyPair && formatBase64(exportSeed(keyPair)),
    name: nick,
    created_ts: createdTs,
    rotations,
    revocation,
  }
  return `${JSON.stringify(members, undefined, 2)}\n`
}

/**
 * @param modifiedTs - the file's own time, for older files that do not say when they were made
 * @throws {IdentityTextError} naming the member at fault
 */
export function parseIdentityText(text: string, modifiedTs: number): IdentityRecord {
  const members = parseMembers(text)
  return "privkey" in members ? parseOlder(members, modifiedTs) : parseCurrent(members)
}

function parseMembers(text: string): Members {
  let value: unknown
  try {
    value = parseStrictJson(text)
  } catch {
    // The parser's message quotes the text around the fault.
    throw new IdentityTextError("not valid JSON")
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new IdentityTextError("not a JSON object")
  }
  return value as Members
}

function parseCurrent(members: Members): IdentityRecord {
  if (members["v"] !== 1) throw new IdentityTextError("v: must be 1")
  const did = members["did"]
  const createdTs = members["created_ts"]
  if (typeof did !== "string" || didOfText(did) !== did) throw new IdentityTextError("did: must be a did:key")
  if (!isTime(createdTs)) throw new IdentityTextError("created_ts: must be milliseconds since the epoch")
  const revocation = members["revocation"] === undefined ? undefined : parseRevocation(members["revocation"])
  const keyPair = revocation === undefined ? parseSeed(members["private_key"]) : undefined
  if (keyPair !== undefined) requireKey(did, keyPair)
  return {
    did,
    keyPair,
    nick: parseNickMember(members["name"]),
    createdTs,
    rotations: parseRotations(members["rotations"], did),
    revocation,
    form: "current",
  }
}

function parseOlder(members: Members, modifiedTs: number): IdentityRecord {
  const { privkey, pubkey, created } = members
  const keyPair = typeof privkey === "string" ? keyPairFromPem(privkey) : undefined
  if (keyPair === undefined) throw new IdentityTextError("privkey: must be an Ed25519 key in PKCS #8 PEM")
  const createdTs = typeof created === "string" ? Date.parse(created) : Number.NaN
  const did = formatDidKey(keyPair.publicKey)
  if (typeof pubkey !== "string" || didOfText(pubkey) !== did) {
    throw new IdentityTextError("pubkey: is not the key of privkey")
  }
  return {
    did,
    keyPair,
    nick: parseNickMember(members["name"]),
    createdTs: Number.isNaN(createdTs) ? modifiedTs : createdTs,
    rotations: [],
    revocation: undefined,
    form: "older",
  }
}

function parseSeed(member: unknown): KeyPair {
  const seed = typeof member === "string" ? parseBase64(member) : undefined
  if (seed?.length !== seedBytes) throw new IdentityTextError("private_key: must be base64 of 32 bytes")
  return keyPairFromSeed(seed)
}

function requireKey(did: string, keyPair: KeyPair): void {
  if (formatDidKey(keyPair.publicKey) !== did)
    throw new IdentityTextError("did: is not the key of private_key")
}

function parseNickMember(member: unknown): Nick | undefined {
  return typeof member === "string" && nickPattern.test(member) ? (member as Nick) : undefined
}

function parseRotations(member: unknown, did: string): readonly Rotation[] {
  if (!Array.isArray(member) || !member.every(isRotation)) {
    throw new IdentityTextError("rotations: must be an array of rotation statements")
  }
  const last = member.at(-1)
  if (last !== undefined && last.to !== did) {
    throw new IdentityTextError("rotations: the last one does not lead to did")
  }
  return member
}

function isRotation(value: unknown): value is Rotation {
  if (!isStatement(value, "ROTATION")) return false
  const { to, sigs } = value
  return typeof to === "string" && Array.isArray(sigs) && sigs.length === 2 && sigs.every(isText)
}

function parseRevocation(value: unknown): Revocation {
  if (isStatement(value, "REVOCATION") && typeof value["sig"] === "string") {
    return value as unknown as Revocation
  }
  throw new IdentityTextError("revocation: must be a revocation statement")
}

function isStatement(value: unknown, type: string): value is Members {
  if (typeof value !== "object" || value === null) return false
  const { v, type: own, from, ts } = value as Members
  return v === 1 && own === type && typeof from === "string" && isTime(ts)
}

function isTime(value: unknown): value is number {
  return typeof value === "number" && Math.abs(value) <= maxDateMs
}

function isText(value: unknown): value is string {
  return typeof value === "string"
}

function didOfText(publicKey: string): string | undefined {
  try {
    return formatDidKey(parsePublicKey(publicKey))
  } catch {
    return undefined
  }
}
