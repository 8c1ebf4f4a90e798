import type { Clock } from "../../base/clock.js"
import type { Identity } from "../../identity/identity-file.js"
import type { ClientFrame } from "../../protocol/client-messages.js"
import type { Members } from "../../protocol/parse-message.js"
import type { ServerMessage } from "../../protocol/server-messages.js"

/** Older relays do not tell their bounds; these keep below what they were shipped with. */
const assumedLimits = { frame_bytes: 64 * 1024, rate_per_s: 1, burst: 1, buffer: 20 } as const

/** A challenge as the first AgentChat writes it: `{challenge_id, nonce}`, for no audience. */
export function isOlderChallenge(members: Members): members is Members & {
  readonly challenge_id: string
  readonly nonce: string
} {
  const { type, challenge_id: challengeId, nonce, aud } = members
  return (
    type === "CHALLENGE" && typeof challengeId === "string" && typeof nonce === "string" && aud === undefined
  )
}

/** A welcome as the first AgentChat writes it: `{agent_id, server}`, without a protocol version. */
export function isOlderWelcome(members: Members): members is Members & { readonly agent_id: string } {
  const { type, agent_id: agentId, protocol } = members
  return type === "WELCOME" && typeof agentId === "string" && protocol === undefined
}

/** Signs the text the first AgentChat has signed. Nothing in it names the relay: hence only when asked for. */
export async function answerOlderChallenge(
  { challenge_id, nonce }: { readonly challenge_id: string; readonly nonce: string },
  identity: Identity,
  clock: Clock,
): Promise<ClientFrame<"VERIFY_IDENTITY">> {
  const { signCompatChallenge } = await import("../../identity/auth-proof.js")
  const timestamp = clock.now()
  const signature = signCompatChallenge({ challenge_id, nonce, timestamp }, identity.keyPair)
  return { type: "VERIFY_IDENTITY", challenge_id, signature, timestamp }
}

/** The welcome of an older relay with what it does not say filled in; `protocol` 0 tells it apart. */
export function olderWelcome(
  members: Members & { readonly agent_id: string },
  { name, clock }: { readonly name: string; readonly clock: Clock },
): ServerMessage<"WELCOME"> {
  const { agent_id: agentId, server } = members
  return {
    type: "WELCOME",
    agent_id: agentId.startsWith("@") ? agentId : `@${agentId}`,
    name,
    server: typeof server === "string" ? server : "agentchat",
    server_id: "",
    protocol: 0,
    limits: assumedLimits,
    ts: clock.now(),
  }
}
