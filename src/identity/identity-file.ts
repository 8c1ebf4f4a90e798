import { type Clock, systemClock } from "../base/clock.js"
import { ChatError } from "../protocol/errors.js"
import type { AgentId, Nick } from "../protocol/names.js"
import {
  formatIdentityText,
  type IdentityRecord,
  IdentityTextError,
  parseIdentityText,
} from "./identity-text.js"
import { agentIdOf, formatDidKey, parsePublicKey } from "./keys.js"
import { createSecretFile, readSecretFile, refuseIdentity, replaceSecretFile } from "./secret-file.js"
import { generateKeyPair, type KeyPair } from "./signer.js"
import { type Revocation, type Rotation, signRevocation, signRotation } from "./succession.js"

/** A persistent agent that can prove who it is. */
export interface Identity {
  readonly agentId: AgentId
  /** did:key of the public key. */
  readonly did: string
  readonly keyPair: KeyPair
  readonly nick?: Nick
  /** Milliseconds since the Unix epoch. */
  readonly createdTs: number
  /** How earlier keys led to this one, oldest first. */
  readonly rotations: readonly Rotation[]
}

/** What may be shown to anybody; the form `identity --export` prints. */
export interface PublicIdentity {
  readonly agent_id: AgentId
  readonly did: string
  readonly name?: Nick
  readonly created_ts: number
  readonly rotations: readonly Rotation[]
  readonly revocation?: Revocation
}

/** Options of the functions that write a file. */
export interface IdentityFileOptions {
  /** What the agent calls itself by default; kept in a new file. */
  readonly nick?: Nick
  /** Why a key is revoked; part of the signed statement. */
  readonly reason?: string
  readonly clock?: Clock
}

/**
 * Reads an identity for use.
 * @throws {ChatError} NOT_FOUND when there is no such file; BAD_IDENTITY when it is damaged, readable by
 * others, or revoked; the message never holds any of the file's text
 */
export function readIdentity(path: string): Identity {
  return toIdentity(path, readRecord(path))
}

/**
 * Reads what may be shown of an identity, also of a revoked one.
 * @throws {ChatError} NOT_FOUND or BAD_IDENTITY like {@link readIdentity}
 */
export function inspectIdentity(path: string): PublicIdentity {
  return toPublic(readRecord(path))
}

/**
 * Makes a new key pair and its file (0600, missing directories 0700).
 * @throws {ChatError} IDENTITY_EXISTS when there is a file already, which stays as it is; FILE_FAILED
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
    form: "current",
  }
  createSecretFile(path, formatIdentityText(record))
  return toIdentity(path, record)
}

/**
 * Replaces the key by a new one; the file keeps the hand-over, signed by both keys, and the old private
 * key is gone. The agent id is made of the key: **it changes too**, others reach the agent under the new one.
 * @throws {ChatError} as {@link readIdentity}; UNSUPPORTED for a file of the older form; FILE_FAILED
 */
export function rotateIdentity(path: string, options: IdentityFileOptions = {}): Identity {
  const record = readRecord(path)
  const { keyPair, rotations } = toIdentity(path, record)
  requireCurrentForm(path, record)
  const next = generateKeyPair()
  const rotation = signRotation(keyPair, next, (options.clock ?? systemClock).now())
  const rotated = { ...record, did: rotation.to, keyPair: next, rotations: [...rotations, rotation] }
  replaceSecretFile(path, formatIdentityText(rotated))
  return toIdentity(path, rotated)
}

/**
 * Ends an identity for good: the file keeps a statement signed by the key, and no longer the key.
 * @throws {ChatError} as {@link readIdentity}; UNSUPPORTED for a file of the older form; FILE_FAILED
 */
export function revokeIdentity(path: string, options: IdentityFileOptions = {}): PublicIdentity {
  const record = readRecord(path)
  const { keyPair } = toIdentity(path, record)
  requireCurrentForm(path, record)
  const revocation = signRevocation(keyPair, (options.clock ?? systemClock).now(), options.reason)
  const revoked = { ...record, keyPair: undefined, revocation }
  replaceSecretFile(path, formatIdentityText(revoked))
  return toPublic(revoked)
}

/** The part of an identity anybody may see. */
export function exportIdentity(identity: Identity): PublicIdentity {
  return toPublic({ ...identity, nick: identity.nick, revocation: undefined, form: "current" })
}

function toIdentity(path: string, record: IdentityRecord): Identity {
  const { keyPair, did, nick, createdTs, rotations, revocation } = record
  if (keyPair === undefined || revocation !== undefined) {
    const since = revocation === undefined ? "" : ` on ${new Date(revocation.ts).toISOString()}`
    throw refuseIdentity(
      path,
      `was revoked${since} and cannot be used any more`,
      "make a new one in another file",
    )
  }
  const agentId = agentIdOf(keyPair.publicKey)
  return { agentId, did, keyPair, createdTs, rotations, ...(nick === undefined ? {} : { nick }) }
}

function toPublic({ did, nick, createdTs, rotations, revocation }: IdentityRecord): PublicIdentity {
  return {
    agent_id: agentIdOf(parsePublicKey(did)),
    did,
    ...(nick === undefined ? {} : { name: nick }),
    created_ts: createdTs,
    rotations,
    ...(revocation === undefined ? {} : { revocation }),
  }
}

function readRecord(path: string): IdentityRecord {
  const { text, modifiedTs } = readSecretFile(path)
  try {
    return parseIdentityText(text, modifiedTs)
  } catch (error) {
    if (!(error instanceof IdentityTextError)) throw error
    throw refuseIdentity(path, error.message, "restore it from a copy, or make a new one in another file")
  }
}

function requireCurrentForm(path: string, record: IdentityRecord): void {
  if (record.form === "current") return
  throw new ChatError("UNSUPPORTED", `${path}: is of the older PEM form, which is only read`)
}
