import { randomBytes } from "node:crypto"
import type { Clock } from "../../base/clock.js"
import { verifyChallenge, verifyCompatChallenge } from "../../identity/auth-proof.js"
import type { PublicKey } from "../../identity/keys.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"

const idBytes = 16
const nonceBytes = 32
/** The clock of a client may be wrong by this; the nonce alone proves that an answer is fresh. */
const mostSkewMs = 366 * 86_400_000

/** The claim of IDENTIFY. */
export interface Claim {
  readonly message: ClientMessage<"IDENTIFY">
  readonly publicKey: PublicKey
}

/** A challenge to one connection to prove the key it claims. It can be answered once. */
export class Challenge {
  readonly id = randomBytes(idBytes).toString("base64url")
  readonly nonce = randomBytes(nonceBytes).toString("base64url")
  readonly claim: Claim
  readonly #audience: string
  readonly #expiresAtMs: number

  /**
   * @param audience - the relay's id; it makes the answer worthless to any other relay
   * @param expiresAtMs - monotonic
   */
  constructor(claim: Claim, audience: string, expiresAtMs: number) {
    this.claim = claim
    this.#audience = audience
    this.#expiresAtMs = expiresAtMs
  }

  /**
   * @param clock - of the relay
   * @param isCompat - whether the proof of the first AgentChat, which names no audience, is accepted too
   * @throws {ChatError} VERIFICATION_FAILED unless `answer` proves the claimed key to this relay;
   * HANDSHAKE_TIMEOUT if it came too late; INVALID_MSG if it contains no proof
   */
  check(answer: ClientMessage<"VERIFY_IDENTITY">, clock: Clock, isCompat: boolean): void {
    const { challenge_id, sig, iat, signature, timestamp } = answer
    if (challenge_id !== this.id) {
      throw new ChatError(
        "VERIFICATION_FAILED",
        "VERIFY_IDENTITY.challenge_id: is not that of this connection's challenge",
      )
    }
    if (clock.monotonic() > this.#expiresAtMs)
      throw new ChatError("HANDSHAKE_TIMEOUT", "the challenge has expired")
    checkTime(iat === undefined ? timestamp : iat * 1_000, clock.now())
    const { publicKey } = this.claim
    const { nonce } = this
    if (sig !== undefined && iat !== undefined) {
      verifyChallenge(sig, { aud: this.#audience, challenge_id, nonce, iat }, publicKey)
    } else if (isCompat && signature !== undefined && timestamp !== undefined) {
      verifyCompatChallenge(signature, { challenge_id, nonce, timestamp }, publicKey)
    } else {
      const isOlder = signature !== undefined
      const advice = isOlder ? "; agentchat serve --compat accepts the proof of the first AgentChat" : ""
      throw new ChatError("INVALID_MSG", `VERIFY_IDENTITY: sig and iat are required${advice}`)
    }
  }
}

function checkTime(ts: number | undefined, now: number): void {
  if (ts === undefined || Math.abs(ts - now) <= mostSkewMs) return
  const today = new Date(now).toISOString().slice(0, 10)
  throw new ChatError(
    "VERIFICATION_FAILED",
    "VERIFY_IDENTITY.iat: is more than a year from the relay's clock",
    {
      hint: `set the clock of the machine that is wrong; the relay's says ${today}`,
    },
  )
}
