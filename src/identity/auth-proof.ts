import { ChatError } from "../protocol/errors.js"
import { formatBase64, parseBase64 } from "./base64.js"
import { signDetached, verifyDetached } from "./detached-jws.js"
import { isSameKey, type PublicKey } from "./keys.js"
import { type KeyPair, sign, verify } from "./signer.js"

/**
 * What a client signs to open a session. `aud` is the relay's own id, so a proof made for one relay opens
 * nothing on another; `iat` is whole seconds and travels in VERIFY_IDENTITY, as the relay cannot guess it.
 */
export interface AuthClaims {
  readonly aud: string
  readonly challenge_id: string
  readonly nonce: string
  readonly iat: number
}

/** What an older relay has signed; `timestamp` is milliseconds. */
export interface CompatClaims {
  readonly challenge_id: string
  readonly nonce: string
  readonly timestamp: number
}

const authType = "agentchat.auth+jws"

/** Answers CHALLENGE; the result is VERIFY_IDENTITY.sig. */
export function signChallenge(claims: AuthClaims, keyPair: KeyPair): string {
  return signDetached(pickClaims(claims), keyPair, authType)
}

/** @throws {ChatError} VERIFICATION_FAILED unless `sig` covers `claims` and was made by `publicKey` */
export function verifyChallenge(sig: string, claims: AuthClaims, publicKey: PublicKey): void {
  const signer = verifyDetached(sig, pickClaims(claims), authType)
  if (!isSameKey(signer, publicKey)) {
    throw new ChatError("VERIFICATION_FAILED", "signature: made by another key than IDENTIFY named")
  }
}

/** Answers the challenge of an older relay; the result is VERIFY_IDENTITY.signature, in base64. */
export function signCompatChallenge(claims: CompatClaims, keyPair: KeyPair): string {
  return formatBase64(sign(compatText(claims), keyPair))
}

/** @throws {ChatError} VERIFICATION_FAILED unless `signature` covers `claims` and was made by `publicKey` */
export function verifyCompatChallenge(signature: string, claims: CompatClaims, publicKey: PublicKey): void {
  const bytes = parseBase64(signature)
  if (bytes === undefined || !verify(bytes, compatText(claims), publicKey)) {
    throw new ChatError("VERIFICATION_FAILED", "signature: does not fit the challenge")
  }
}

/** A caller's object may hold more than is signed. */
function pickClaims({ aud, challenge_id, nonce, iat }: AuthClaims): AuthClaims {
  return { aud, challenge_id, nonce, iat }
}

function compatText({ nonce, challenge_id, timestamp }: CompatClaims): Uint8Array {
  return Buffer.from(`AGENTCHAT_AUTH|${nonce}|${challenge_id}|${timestamp}`)
}
