import { randomBytes } from "node:crypto"
import { agentIdOf, formatDidKey, type PublicKey, parsePublicKey } from "../../identity/keys.js"
import type { ClientHandlers, ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { closeCodes, protocolVersion } from "../../protocol/limits.js"
import type { AgentId } from "../../protocol/names.js"
import type { RelaySettings, Services } from "../services.js"
import { Agent, makeAgentMemory } from "../sessions/agent.js"
import { Challenge } from "../sessions/challenge.js"
import type { Session } from "../sessions/session.js"

/** RFC 6455 §7.4.1: the endpoint has received something that violates its policy. */
const policyViolation = 1008
const base32 = "abcdefghijklmnopqrstuvwxyz234567"
const ephemeralIdLength = 8
/** Characters of a card as JSON. A card is kept as long as its agent is known. */
const cardLength = 16 * 1024

type IdentityServices = Pick<Services, "backbone" | "sessions" | "knownAgents" | "rosterSync">

/** Handles IDENTIFY and VERIFY_IDENTITY: a client states its name, and proves its key if it has one. */
export function identityHandlers(
  { backbone, sessions, knownAgents, rosterSync }: IdentityServices,
  settings: RelaySettings,
): Pick<ClientHandlers<Session>, "IDENTIFY" | "VERIFY_IDENTITY"> {
  const { limits, clock, isCompat, log } = settings
  const serverId = backbone.id

  function admit(
    session: Session,
    publicKey: PublicKey | undefined,
    message: ClientMessage<"IDENTIFY">,
  ): Agent {
    const { name, role, card } = message
    const did = publicKey === undefined ? undefined : formatDidKey(publicKey)
    const id = publicKey === undefined ? newEphemeralId() : agentIdOf(publicKey)
    sessions.find(id)?.displace()
    const { memory, evicted } =
      publicKey === undefined
        ? { memory: makeAgentMemory(limits, clock), evicted: undefined }
        : knownAgents.enter(id)
    if (evicted !== undefined) rosterSync.forget(evicted)
    const agent = new Agent(id, name, memory, session.sendQueue, { clock, staleMs: limits.staleMs })
    agent.introduce({ role, card, did }, rosterSync.claim(agent))
    session.admit(agent)
    log(`came: ${id} ${name} from ${session.remoteAddress}`)
    return agent
  }

  function newEphemeralId(): AgentId {
    for (;;) {
      let id = "@"
      for (const byte of randomBytes(ephemeralIdLength)) id += base32.charAt(byte & 31)
      if (sessions.find(id) === undefined) return id as AgentId
    }
  }

  /** Sends WELCOME, and after it everything that waits for the agent. */
  function welcome(session: Session, agent: Agent, re: string | undefined): void {
    session.send(
      {
        type: "WELCOME",
        agent_id: agent.id,
        name: agent.name,
        server: settings.name,
        server_id: serverId,
        protocol: protocolVersion,
        limits: {
          frame_bytes: limits.frameBytes,
          rate_per_s: limits.ratePerSecond,
          burst: limits.rateBurst,
          rate_bytes: settings.guards.rateBytes,
          buffer: limits.bufferSize,
        },
        ts: clock.now(),
      },
      re,
    )
    sessions.add(session)
  }

  return {
    IDENTIFY(session, message) {
      if (session.state !== "connecting") {
        throw new ChatError("ALREADY_IDENTIFIED", "IDENTIFY: this session is identified already")
      }
      if (message.card !== undefined && JSON.stringify(message.card).length > cardLength) {
        throw new ChatError("INVALID_MSG", `card: must be at most ${cardLength} characters of JSON`)
      }
      if (message.pubkey === undefined) {
        welcome(session, admit(session, undefined, message), message.id)
        return
      }
      const claim = { message, publicKey: parsePublicKey(message.pubkey) }
      const challenge = new Challenge(claim, serverId, clock.monotonic() + limits.challengeMs)
      session.startChallenge(challenge)
      const { id: challenge_id, nonce } = challenge
      const expires_ms = limits.challengeMs
      session.send({ type: "CHALLENGE", challenge_id, nonce, aud: serverId, expires_ms }, message.id)
    },

    VERIFY_IDENTITY(session, message) {
      const { challenge } = session
      if (session.isReady) throw new ChatError("ALREADY_IDENTIFIED", "VERIFY_IDENTITY: the key is proven")
      if (challenge === undefined) throw new ChatError("AUTH_REQUIRED", "IDENTIFY with a pubkey comes first")
      const { claim } = challenge
      try {
        challenge.check(message, clock.monotonic(), isCompat)
      } catch (error) {
        if (!(error instanceof ChatError) || error.code === "INVALID_MSG") throw error
        log(`refused: ${agentIdOf(claim.publicKey)} from ${session.remoteAddress}: ${error.message}`)
        session.sendError(error, message.id)
        session.close(
          error.code === "HANDSHAKE_TIMEOUT" ? closeCodes.handshakeTimeout : policyViolation,
          error.code,
        )
        return
      }
      session.sendsReceived = message.sig !== undefined
      if (message.sig === undefined) log(`compat: ${claim.message.name} used the older handshake`)
      welcome(session, admit(session, claim.publicKey, claim.message), message.id)
    },
  }
}
