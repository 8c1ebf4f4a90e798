import { ChatError } from "../protocol/errors.js"
import { formatHeader, signDetached, verifyDetached } from "./detached-jws.js"
import { formatDidKey } from "./keys.js"
import type { KeyPair } from "./signer.js"

/**
 * A key hands over to its successor. Both sign the same statement: the old key to let go, the new one to
 * prove it is held. The agent id is made of the key, so it changes with it.
 */
export interface Rotation {
  readonly v: 1
  readonly type: "ROTATION"
  /** did:key of the old key. */
  readonly from: string
  /** did:key of the new key. */
  readonly to: string
  /** Milliseconds since the Unix epoch. */
  readonly ts: number
  /** Detached JWS by the old key, then by the new one. */
  readonly sigs: readonly [string, string]
}

/** A key's last word: nothing it signs after `ts` is to be believed. */
export interface Revocation {
  readonly v: 1
  readonly type: "REVOCATION"
  /** did:key of the revoked key. */
  readonly from: string
  readonly reason?: string
  /** Milliseconds since the Unix epoch. */
  readonly ts: number
  /** Detached JWS by the revoked key. */
  readonly sig: string
}

const rotationType = "agentchat.rotation+jws"
const revocationType = "agentchat.revocation+jws"

/** @param ts - milliseconds since the Unix epoch */
export function signRotation(oldKey: KeyPair, newKey: KeyPair, ts: number): Rotation {
  const from = formatDidKey(oldKey.publicKey)
  const to = formatDidKey(newKey.publicKey)
  const statement = { v: 1, type: "ROTATION", from, to, ts } as const
  const sigs = [
    signDetached(statement, oldKey, rotationType),
    signDetached(statement, newKey, rotationType),
  ] as const
  return { ...statement, sigs }
}

/** @throws {ChatError} VERIFICATION_FAILED unless both keys signed this very hand-over */
export function verifyRotation({ sigs, ...statement }: Rotation): void {
  const [byOld, byNew] = sigs
  requireSigner(byOld, statement, rotationType, statement.from)
  requireSigner(byNew, statement, rotationType, statement.to)
}

/** @param ts - milliseconds since the Unix epoch */
export function signRevocation(keyPair: KeyPair, ts: number, reason?: string): Revocation {
  const from = formatDidKey(keyPair.publicKey)
  const base = { v: 1, type: "REVOCATION", from, ts } as const
  const statement = reason === undefined ? base : { ...base, reason }
  return { ...statement, sig: signDetached(statement, keyPair, revocationType) }
}

/** @throws {ChatError} VERIFICATION_FAILED unless the revoked key itself signed the statement */
export function verifyRevocation({ sig, ...statement }: Revocation): void {
  requireSigner(sig, statement, revocationType, statement.from)
}

function requireSigner(sig: string, statement: object, typ: string, did: string): void {
  if (formatDidKey(verifyDetached(sig, statement, typ)) !== did) {
    throw new ChatError("VERIFICATION_FAILED", `signature: not made by ${did}`)
  }
  if (!sig.startsWith(`${formatHeader(did, typ)}..`)) {
    throw new ChatError("VERIFICATION_FAILED", "signature: header is not canonical JSON")
  }
}
