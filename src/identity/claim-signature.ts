import { omitUndefined } from "../base/plain.js"
import type { ClaimEntry } from "../protocol/claims.js"
import { ChatError } from "../protocol/errors.js"
import { signDetached, verifyDetached } from "./detached-jws.js"
import { agentIdOf } from "./keys.js"
import type { KeyPair } from "./signer.js"

/** The statement that the owner of a claim signs. `aud` is the `server_id` of the relay, so that a claim is valid on one relay only. */
export interface SignedClaim {
  readonly aud: string
  readonly repo: string
  readonly paths: readonly string[]
  readonly note?: string | undefined
  readonly seconds: number
  readonly ts: number
}

const claimType = "agentchat.claim+jws"

/** Signs a claim with the key of its owner. */
export function signClaim(claim: SignedClaim, keyPair: KeyPair): string {
  return signDetached(pick(claim), keyPair, claimType)
}

/** Reports whether the key of an agent signed a claim for a relay. Whether it has expired is not checked. */
export function isClaimOf(claim: SignedClaim, sig: string, agentId: string): boolean {
  try {
    return agentIdOf(verifyDetached(sig, pick(claim), claimType)) === agentId
  } catch (error) {
    if (error instanceof ChatError) return false
    throw error
  }
}

/** Returns the claims of a list that their owners signed for the relay `aud`, with the end that they signed. */
export function signedClaims(list: readonly ClaimEntry[], aud: string): ClaimEntry[] {
  return list.filter(
    (claim) =>
      claim.expires_ts === claim.ts + claim.seconds * 1_000 &&
      isClaimOf({ ...claim, aud }, claim.sig, claim.owner),
  )
}

function pick({ aud, repo, paths, note, seconds, ts }: SignedClaim): object {
  return omitUndefined({ aud, repo, paths, note, seconds, ts })
}
