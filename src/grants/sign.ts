import { signDetached, verifyDetached } from "../identity/detached-jws.js"
import { formatDidKey } from "../identity/keys.js"
import type { KeyPair } from "../identity/signer.js"
import { ChatError } from "../protocol/errors.js"
import type { Grant } from "../protocol/grants.js"

const grantType = "agentchat.grant+jws"

/** Signs a grant. */
export function signGrant(unsigned: Omit<Grant, "v" | "type" | "from" | "sig">, keyPair: KeyPair): Grant {
  const statement = { ...unsigned, v: 1, type: "GRANT", from: formatDidKey(keyPair.publicKey) } as const
  return { ...statement, sig: signDetached(statement, keyPair, grantType) }
}

/** @throws {ChatError} VERIFICATION_FAILED unless the key in `from` signed the grant */
export function verifyGrant({ sig, ...statement }: Grant): void {
  if (formatDidKey(verifyDetached(sig, statement, grantType)) === statement.from) return
  throw new ChatError("VERIFICATION_FAILED", `grant: must be signed by ${statement.from}`)
}
