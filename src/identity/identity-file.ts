import { createHash } from "node:crypto"
import { existsSync } from "node:fs"
import { type Clock, systemClock } from "../base/clock.js"
import { omitUndefined } from "../base/plain.js"
import { parseStrictJson } from "../base/strict-json.js"
import { ChatError } from "../protocol/errors.js"
import { type Grant, grant, maxGrants } from "../protocol/grants.js"
import { type AgentId, type Nick, nickPattern } from "../protocol/names.js"
import { list, parseAs } from "../protocol/schema.js"
import { formatBase64, parseBase64 } from "./base64.js"
import { agentIdOf, formatDidKey, parsePublicKey } from "./keys.js"
import { createSecretFile, readSecretFile, refuseIdentity, replaceSecretFile } from "./secret-file.js"
import {
  exportSeed,
  generateKeyPair,
  type KeyPair,
  keyPairFromPem,
  keyPairFromSeed,
  seedBytes,
} from "./signer.js"
import { type Revocation, type Rotation, signRevocation, signRotation } from "./succession.js"

/** The identity of a persistent agent. */
export interface Identity {
  readonly agentId: AgentId
  /** did:key of the public key. */
  readonly did: string
  readonly keyPair: KeyPair
  readonly nick?: Nick
  /** Milliseconds since the Unix epoch. */
  readonly createdTs: number
  /** The rotations from earlier keys to this one, oldest first. */
  readonly rotations: readonly Rotation[]
  /** The grants that let the agent into closed relays, see {@link addGrant}. */
  readonly grants: readonly Grant[]
}

/** The public part of an identity, as `identity --export` prints it. */
export interface PublicIdentity {
  readonly agent_id: AgentId
  readonly did: string
  /** The id that the first AgentChat gives the key of its own file, where it differs. */
  readonly older_agent_id?: string
  readonly name?: Nick
  readonly created_ts: number
  readonly rotations: readonly Rotation[]
  readonly revocation?: Revocation
}

export interface IdentityFileOptions {
  /** Default nick of the agent; stored in a new file. */
  readonly nick?: Nick
  /** Reason of a revocation; part of the signed statement. */
  readonly reason?: string
  readonly clock?: Clock
}

/**
 * Reads an identity.
 * @throws {ChatError} NOT_FOUND if the file does not exist; BAD_IDENTITY if it is damaged, readable by others, or
 * revoked; the message never quotes the file
 */
export function readIdentity(path: string): Identity {
  return toIdentity(path, readRecord(path))
}

/**
 * Reads the public part of an identity, which may be revoked.
 * @throws {ChatError} NOT_FOUND or BAD_IDENTITY like {@link readIdentity}
 */
export function inspectIdentity(path: string): PublicIdentity {
  return toPublic(readRecord(path))
}

/**
 * Generates a key pair and creates its file (0600, missing directories 0700).
 * @throws {ChatError} IDENTITY_EXISTS if the file exists, which is left unchanged; FILE_FAILED
 */
export function createIdentity(path: string, options: IdentityFileOptions = {}): Identity {
  const keyPair = generateKeyPair()
  const record: IdentityRecord = {
    did: formatDidKey(keyPair.publicKey),
    keyPair,
    nick: options.nick,
    createdTs: (options.clock ?? systemClock).now(),
    rotations: [],
    revocation: undefined,
    olderAgentId: undefined,
  }
  createSecretFile(path, formatRecord(record))
  return toIdentity(path, record)
}

/**
 * Replaces the key by a new one. The file keeps the rotation, signed by both keys; the old private key is destroyed.
 * **The agent id changes too**, because it is derived from the key.
 * @throws {ChatError} as {@link readIdentity}; UNSUPPORTED for a file of the older form; FILE_FAILED
 */
export function rotateIdentity(path: string, options: IdentityFileOptions = {}): Identity {
  const record = readRecord(path)
  const { keyPair, rotations } = toIdentity(path, record)
  requireCurrentForm(path, record)
  const next = generateKeyPair()
  const rotation = signRotation(keyPair, next, (options.clock ?? systemClock).now())
  const rotated = { ...record, did: rotation.to, keyPair: next, rotations: [...rotations, rotation] }
  replaceSecretFile(path, formatRecord(rotated))
  return toIdentity(path, rotated)
}

/**
 * Revokes an identity permanently: the file keeps a revocation signed by the key, and the private key is destroyed.
 * @throws {ChatError} as {@link readIdentity}; UNSUPPORTED for a file of the older form; FILE_FAILED
 */
export function revokeIdentity(path: string, options: IdentityFileOptions = {}): PublicIdentity {
  const record = readRecord(path)
  const { keyPair } = toIdentity(path, record)
  requireCurrentForm(path, record)
  const revocation = signRevocation(keyPair, (options.clock ?? systemClock).now(), options.reason)
  const revoked = { ...record, keyPair: undefined, revocation }
  replaceSecretFile(path, formatRecord(revoked))
  return toPublic(revoked)
}

export function exportIdentity(identity: Identity): PublicIdentity {
  return toPublic({ ...identity, nick: identity.nick, revocation: undefined, olderAgentId: undefined })
}

function toIdentity(path: string, record: IdentityRecord): Identity {
  const { keyPair, did, nick, createdTs, rotations, revocation } = record
  if (keyPair === undefined || revocation !== undefined) {
    const since = revocation === undefined ? "" : ` on ${new Date(revocation.ts).toISOString()}`
    throw refuseIdentity(path, `was revoked${since}`, "create a new identity in another file")
  }
  const agentId = agentIdOf(keyPair.publicKey)
  return {
    agentId,
    did,
    keyPair,
    createdTs,
    rotations,
    grants: readGrants(path),
    ...(nick === undefined ? {} : { nick }),
  }
}

/** Returns the file next to an identity that has its grants. */
export function grantsFileOf(path: string): string {
  return `${path.replace(/\.json$/, "")}.grants.json`
}

/**
 * Adds a grant to those of an identity (0600: some belong to whoever shows them first).
 * @throws {ChatError} BAD_IDENTITY if the file is damaged; LIMIT_REACHED
 */
export function addGrant(path: string, added: Grant): void {
  const others = readGrants(path).filter(({ id }) => id !== added.id)
  const text = `${JSON.stringify([...others, added].slice(-maxGrants))}\n`
  const file = grantsFileOf(path)
  if (existsSync(file)) replaceSecretFile(file, text)
  else createSecretFile(file, text)
}

/** Takes a grant away again that is of no use. */
export function removeGrant(path: string, removed: string): void {
  const others = readGrants(path).filter(({ id }) => id !== removed)
  replaceSecretFile(grantsFileOf(path), `${JSON.stringify(others)}\n`)
}

function readGrants(path: string): readonly Grant[] {
  const file = grantsFileOf(path)
  let text: string
  try {
    text = readSecretFile(file).text
  } catch (error) {
    if (error instanceof ChatError && error.code === "NOT_FOUND") return []
    throw error
  }
  const grants = parseAs(list(grant, maxGrants), text)
  if (grants === undefined) throw refuseIdentity(file, "must be a list of grants")
  return grants
}

function toPublic(record: IdentityRecord): PublicIdentity {
  const { did, nick: name, createdTs, rotations, revocation, olderAgentId } = record
  return {
    agent_id: agentIdOf(parsePublicKey(did)),
    did,
    ...omitUndefined({ older_agent_id: olderAgentId, name }),
    created_ts: createdTs,
    rotations,
    ...omitUndefined({ revocation }),
  }
}

function readRecord(path: string): IdentityRecord {
  const { text, modifiedTs } = readSecretFile(path)
  try {
    return parseRecord(text, modifiedTs)
  } catch (error) {
    if (!(error instanceof IdentityTextError)) throw error
    throw refuseIdentity(
      path,
      error.message,
      "restore it from a copy, or create a new identity in another file",
    )
  }
}

function requireCurrentForm(path: string, record: IdentityRecord): void {
  if (record.olderAgentId === undefined) return
  throw new ChatError("UNSUPPORTED", `${path}: the file of the first AgentChat can only be read`, {
    hint: "create a new identity in another file: agentchat identity --generate --identity FILE",
  })
}

/** The contents of an identity file. Without `keyPair`, the identity was revoked and its secret destroyed. */
interface IdentityRecord {
  readonly did: string
  readonly keyPair: KeyPair | undefined
  readonly nick: Nick | undefined
  /** Milliseconds since the Unix epoch. */
  readonly createdTs: number
  readonly rotations: readonly Rotation[]
  readonly revocation: Revocation | undefined
  /** Agent id in the first AgentChat, whose files contain PEM texts; they are read but never written. */
  readonly olderAgentId: string | undefined
}

/** Reason why a text is not an identity. Never quotes the text, which may contain a secret. */
class IdentityTextError extends Error {
  override readonly name = "IdentityTextError"
}

/** Latest time of a Date. */
const maxDateMs = 8.64e15

type Members = Readonly<Record<string, unknown>>

/** Formats the file: one indented JSON object. */
function formatRecord(record: IdentityRecord): string {
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
 * Parses the text of an identity file.
 * @param modifiedTs - modification time of the file, for older files without a creation time
 * @throws {IdentityTextError} naming the member at fault
 */
function parseRecord(text: string, modifiedTs: number): IdentityRecord {
  const members = parseMembers(text)
  for (const spelling of olderSpellings) {
    if (spelling.privateKey in members) return parseOlder(members, modifiedTs, spelling)
  }
  return parseCurrent(members)
}

function parseMembers(text: string): Members {
  let value: unknown
  try {
    value = parseStrictJson(text)
  } catch {
    // The message of the parser would quote the text.
    throw new IdentityTextError("must be valid JSON")
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw new IdentityTextError("must be a JSON object")
  }
  return value as Members
}

function parseCurrent(members: Members): IdentityRecord {
  if (members["v"] !== 1) throw new IdentityTextError("v: must be 1")
  const did = members["did"]
  const createdTs = members["created_ts"]
  if (typeof did !== "string" || didOfText(did) !== did) throw new IdentityTextError("did: must be a did:key")
  if (!isTime(createdTs)) throw new IdentityTextError("created_ts: must be milliseconds since the Unix epoch")
  const revocation = members["revocation"] === undefined ? undefined : parseRevocation(members["revocation"])
  const keyPair = revocation === undefined ? parseSeed(members["private_key"]) : undefined
  if (keyPair !== undefined && formatDidKey(keyPair.publicKey) !== did) {
    throw new IdentityTextError("did: must be the key of private_key")
  }
  return {
    did,
    keyPair,
    nick: parseNickMember(members["name"]),
    createdTs,
    rotations: parseRotations(members["rotations"], did),
    revocation,
    olderAgentId: undefined,
  }
}

/** Names of the keys in files of the first AgentChat: before version 0.22.1, and from then to 0.36.19. */
const olderSpellings = [
  { privateKey: "privkey", publicKey: "pubkey" },
  { privateKey: "privateKey", publicKey: "publicKey" },
] as const

function parseOlder(
  members: Members,
  modifiedTs: number,
  spelling: (typeof olderSpellings)[number],
): IdentityRecord {
  const { [spelling.privateKey]: privateKey, [spelling.publicKey]: publicKey, created } = members
  const keyPair = typeof privateKey === "string" ? keyPairFromPem(privateKey) : undefined
  if (keyPair === undefined) {
    throw new IdentityTextError(`${spelling.privateKey}: must be an Ed25519 key in PKCS #8 PEM`)
  }
  const createdTs = typeof created === "string" ? Date.parse(created) : Number.NaN
  const did = formatDidKey(keyPair.publicKey)
  if (typeof publicKey !== "string" || didOfText(publicKey) !== did) {
    throw new IdentityTextError(`${spelling.publicKey}: must be the key of ${spelling.privateKey}`)
  }
  return {
    did,
    keyPair,
    nick: parseNickMember(members["name"]),
    createdTs: Number.isNaN(createdTs) ? modifiedTs : createdTs,
    rotations: [],
    revocation: undefined,
    // The first AgentChat hashes the PEM text, this program the key.
    olderAgentId: `@${createHash("sha256").update(publicKey).digest("hex").slice(0, 16)}`,
  }
}

function parseSeed(member: unknown): KeyPair {
  const seed = typeof member === "string" ? parseBase64(member) : undefined
  if (seed?.length !== seedBytes) throw new IdentityTextError("private_key: must be base64 of 32 bytes")
  return keyPairFromSeed(seed)
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
    throw new IdentityTextError("rotations: the last one must lead to did")
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
