import { ChatError } from "../protocol/errors.js"
import type { KeyStatementClaim, RotationClaim } from "../protocol/message-fields.js"
import { formatHeader, signDetached, verifyDetached } from "./detached-jws.js"
import { agentIdOf, formatDidKey, parsePublicKey } from "./keys.js"
import type { KeyPair } from "./signer.js"

/**
 * The replacement of a key by its successor, signed by both. The agent id is derived from the key and changes with it.
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

/** The end of a key: nothing it signs at or after `ts` is valid. */
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

/** The end of a key. */
export type KeyStatement = Rotation | Revocation

const rotationType = "agentchat.rotation+jws"
const revocationType = "agentchat.revocation+jws"

/** Signs a rotation. @param ts - milliseconds since the Unix epoch */
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

/** @throws {ChatError} VERIFICATION_FAILED unless both keys signed the statement */
export function verifyRotation({ sigs, ...statement }: Rotation): void {
  const [byOld, byNew] = sigs
  requireSigner(byOld, statement, rotationType, statement.from)
  requireSigner(byNew, statement, rotationType, statement.to)
}

/**
 * Checks that rotations lead to a key without a gap.
 * @returns the keys, from the oldest to `did`
 * @throws {ChatError} VERIFICATION_FAILED
 */
export function verifySuccession(rotations: readonly RotationClaim[], did: string): string[] {
  const keys = rotations.map(({ from }) => from)
  keys.push(did)
  for (const [index, rotation] of rotations.entries()) {
    if (rotation.to !== keys[index + 1]) {
      throw new ChatError("VERIFICATION_FAILED", "rotations: must lead to the key of IDENTIFY without a gap")
    }
    verifyKeyStatement(rotation)
  }
  return keys
}

/**
 * Reports whether rotations prove that the agent of one id replaced its key until it had the other id.
 * @param rotations - oldest first; the first may be of a still earlier key
 */
export function isSuccessor(to: string, from: string, rotations: readonly RotationClaim[]): boolean {
  const idOf = (did: string) => agentIdOf(parsePublicKey(did))
  try {
    const chain = rotations.slice(
      Math.max(
        0,
        rotations.findIndex((each) => idOf(each.from) === from),
      ),
    )
    const newest = chain.at(-1)?.to ?? ""
    const [oldest = ""] = verifySuccession(chain, newest)
    return idOf(oldest) === from && idOf(newest) === to
  } catch (error) {
    if (error instanceof ChatError) return false
    throw error
  }
}

/** Signs a revocation. @param ts - milliseconds since the Unix epoch */
export function signRevocation(keyPair: KeyPair, ts: number, reason?: string): Revocation {
  const from = formatDidKey(keyPair.publicKey)
  const base = { v: 1, type: "REVOCATION", from, ts } as const
  const statement = reason === undefined ? base : { ...base, reason }
  return { ...statement, sig: signDetached(statement, keyPair, revocationType) }
}

/** @throws {ChatError} VERIFICATION_FAILED unless the revoked key signed the statement */
export function verifyRevocation({ sig, ...statement }: Revocation): void {
  requireSigner(sig, statement, revocationType, statement.from)
}

/** Checks a statement about the end of a key. @throws {ChatError} VERIFICATION_FAILED */
export function verifyKeyStatement(statement: KeyStatement | KeyStatementClaim): void {
  if (statement.type === "REVOCATION") {
    verifyRevocation(statement)
    return
  }
  const [byOld = "", byNew = ""] = statement.sigs
  verifyRotation({ ...statement, sigs: [byOld, byNew] })
}

function requireSigner(sig: string, statement: object, typ: string, did: string): void {
  if (formatDidKey(verifyDetached(sig, statement, typ)) !== did) {
    throw new ChatError("VERIFICATION_FAILED", `signature: must be made by ${did}`)
  }
  if (!sig.startsWith(`${formatHeader(did, typ)}..`)) {
    throw new ChatError("VERIFICATION_FAILED", "signature: header must be canonical JSON")
  }
}
