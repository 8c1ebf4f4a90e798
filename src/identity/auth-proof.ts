import { ChatError } from "../protocol/errors.js"
import { formatBase64, parseBase64 } from "./base64.js"
import { signDetached, verifyDetached } from "./detached-jws.js"
import { isSameKey, type PublicKey } from "./keys.js"
import { type KeyPair, sign, verify } from "./signer.js"

/**
 * The claims that a client signs to open a session. `aud` is the relay's id, so that a proof for one relay is invalid on
 * another. `iat` is in seconds since the Unix epoch; the client sends it in VERIFY_IDENTITY.
 */
export interface AuthClaims {
  readonly aud: string
  readonly challenge_id: string
  readonly nonce: string
  readonly iat: number
}

/** The claims for a relay of an older version; `timestamp` is in milliseconds. */
export interface CompatClaims {
  readonly challenge_id: string
  readonly nonce: string
  readonly timestamp: number
}

const authType = "agentchat.auth+jws"

/** Signs the answer to CHALLENGE. @returns the value of VERIFY_IDENTITY.sig */
export function signChallenge(claims: AuthClaims, keyPair: KeyPair): string {
  return signDetached(pickClaims(claims), keyPair, authType)
}

/** @throws {ChatError} VERIFICATION_FAILED unless `sig` is a signature of `claims` by `publicKey` */
export function verifyChallenge(sig: string, claims: AuthClaims, publicKey: PublicKey): void {
  const signer = verifyDetached(sig, pickClaims(claims), authType)
  if (!isSameKey(signer, publicKey)) {
    throw new ChatError("VERIFICATION_FAILED", "signature: must be made by the key of IDENTIFY")
  }
}

/** Signs the answer to a relay of an older version. @returns the value of VERIFY_IDENTITY.signature, in base64 */
export function signCompatChallenge(claims: CompatClaims, keyPair: KeyPair): string {
  return formatBase64(sign(compatText(claims), keyPair))
}

/** @throws {ChatError} VERIFICATION_FAILED unless `signature` is a signature of `claims` by `publicKey` */
export function verifyCompatChallenge(signature: string, claims: CompatClaims, publicKey: PublicKey): void {
  const bytes = parseBase64(signature)
  if (bytes === undefined || !verify(bytes, compatText(claims), publicKey)) {
    throw new ChatError("VERIFICATION_FAILED", "signature: does not match the challenge")
  }
}

/** Drops other fields of the caller's object, which must not be signed. */
function pickClaims({ aud, challenge_id, nonce, iat }: AuthClaims): AuthClaims {
  return { aud, challenge_id, nonce, iat }
}

function compatText({ nonce, challenge_id, timestamp }: CompatClaims): Uint8Array {
  return Buffer.from(`AGENTCHAT_AUTH|${nonce}|${challenge_id}|${timestamp}`)
}
