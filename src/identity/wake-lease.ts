import { ChatError } from "../protocol/errors.js"
import type { WakeLease } from "../protocol/wake.js"
import { signDetached, verifyDetached } from "./detached-jws.js"
import { agentIdOf } from "./keys.js"
import type { KeyPair } from "./signer.js"

/** The facts of a lease. `aud` is the `server_id` of the relay, so that a lease is valid on one relay only. */
export type WakeClaims = Omit<WakeLease, "sig"> & { readonly aud: string }

const leaseType = "agentchat.wake+jws"

/** Signs a lease with the key of the agent. */
export function signWakeLease(claims: WakeClaims, keyPair: KeyPair): WakeLease {
  const { aud: _, ...lease } = pickClaims(claims)
  return { ...lease, sig: signDetached(pickClaims(claims), keyPair, leaseType) }
}

/** Reports whether the key of an agent signed a lease for a relay. The times are not checked. */
export function isSignedBy(lease: WakeLease, agentId: string, aud: string): boolean {
  try {
    return agentIdOf(verifyDetached(lease.sig, pickClaims({ ...lease, aud }), leaseType)) === agentId
  } catch (error) {
    if (error instanceof ChatError) return false
    throw error
  }
}

function pickClaims({ aud, method, latency_ms, proven_ts, expires_ts }: WakeClaims): WakeClaims {
  return { aud, method, latency_ms, proven_ts, expires_ts }
}
