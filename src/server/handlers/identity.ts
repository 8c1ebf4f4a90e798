import { randomBytes } from "node:crypto"
import { agentIdOf, formatDidKey, type PublicKey, parsePublicKey } from "../../identity/keys.js"
import type { ClientHandlers, ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { closeCodes, protocolVersion } from "../../protocol/limits.js"
import type { AgentId } from "../../protocol/names.js"
import type { RelayState } from "../relay-state.js"
import { Agent } from "../sessions/agent.js"
import { Challenge } from "../sessions/challenge.js"
import { displace } from "../sessions/displacement.js"
import type { Session } from "../sessions/session.js"

/** RFC 6455 §7.4.1: the endpoint has received something that violates its policy. */
const policyViolation = 1008
const base32 = "abcdefghijklmnopqrstuvwxyz234567"
const ephemeralIdLength = 8
/** Characters of a card as JSON: it is kept for as long as its agent is known. */
const cardLength = 16 * 1024

/** Who connects, and whether it is true. */
export function identityHandlers(
  house: RelayState,
): Pick<ClientHandlers<Session>, "IDENTIFY" | "VERIFY_IDENTITY"> {
  const { limits, clock, isCompat, log } = house.options
  return {
    IDENTIFY(session, message) {
      if (session.state !== "connecting") {
        throw new ChatError("ALREADY_IDENTIFIED", "IDENTIFY: this session has named itself")
      }
      if (message.card !== undefined && JSON.stringify(message.card).length > cardLength) {
        throw new ChatError("INVALID_MSG", `card: must be at most ${cardLength} characters of JSON`)
      }
      if (message.pubkey === undefined) {
        admit(house, session, undefined, message, message.id)
        return
      }
      const claim = { message, publicKey: parsePublicKey(message.pubkey) }
      const challenge = new Challenge(claim, house.serverId, clock.monotonic() + limits.challengeMs)
      session.ask(challenge)
      const { id: challenge_id, nonce } = challenge
      const expires_ms = limits.challengeMs
      session.send({ type: "CHALLENGE", challenge_id, nonce, aud: house.serverId, expires_ms }, message.id)
    },

    VERIFY_IDENTITY(session, message) {
      const { challenge } = session
      if (session.isReady) throw new ChatError("ALREADY_IDENTIFIED", "VERIFY_IDENTITY: the key is proven")
      if (challenge === undefined) throw new ChatError("AUTH_REQUIRED", "IDENTIFY with a pubkey comes first")
      try {
        challenge.check(message, clock.monotonic(), isCompat)
      } catch (error) {
        if (!(error instanceof ChatError) || error.code === "INVALID_MSG") throw error
        log(
          `refused: ${agentIdOf(challenge.claim.publicKey)} from ${session.remoteAddress}: ${error.message}`,
        )
        session.refuse(error, message.id)
        session.close(
          error.code === "HANDSHAKE_TIMEOUT" ? closeCodes.handshakeTimeout : policyViolation,
          error.code,
        )
        return
      }
      const { claim } = challenge
      session.confirmsMail = message.sig !== undefined
      if (message.sig === undefined) log(`compat: ${claim.message.name} used the older handshake`)
      admit(house, session, claim.publicKey, claim.message, message.id)
    },
  }
}

function admit(
  house: RelayState,
  session: Session,
  publicKey: PublicKey | undefined,
  message: ClientMessage<"IDENTIFY">,
  re: string | undefined,
): void {
  const { name, role, card } = message
  const did = publicKey === undefined ? undefined : formatDidKey(publicKey)
  const id = publicKey === undefined ? ephemeralId(house) : agentIdOf(publicKey)
  const old = house.hub.find(id)
  if (old !== undefined) displace(old, house.options.clock, house.options.log)
  const { memory, evicted } =
    publicKey === undefined ? { memory: house.makeMemory(), evicted: undefined } : house.residents.enter(id)
  if (evicted !== undefined) house.keeper.forget(evicted)
  const { clock, limits } = house.options
  const agent = new Agent(id, name, memory, session.outgoing, { clock, staleMs: limits.staleMs })
  agent.introduce({ role, card, did }, house.keeper.claim(agent))
  session.admit(agent)
  house.hub.add(session)
  house.keeper.began(session)
  house.options.log(`came: ${id} ${name} from ${session.remoteAddress}`)
  welcome(house, session, re)
  house.arrive(session)
}

function welcome(house: RelayState, session: Session, re: string | undefined): void {
  const { limits, guards, clock, name } = house.options
  const { agent } = session
  const message = {
    type: "WELCOME",
    agent_id: agent.id,
    name: agent.name,
    server: name,
    server_id: house.serverId,
    protocol: protocolVersion,
    limits: {
      frame_bytes: limits.frameBytes,
      rate_per_s: limits.ratePerSecond,
      burst: limits.rateBurst,
      rate_bytes: guards.rateBytes,
      buffer: limits.bufferSize,
    },
    ts: clock.now(),
  } as const
  session.send(message, re)
}

function ephemeralId({ hub }: RelayState): AgentId {
  for (;;) {
    let id = "@"
    for (const byte of randomBytes(ephemeralIdLength)) id += base32.charAt(byte & 31)
    if (hub.find(id) === undefined) return id as AgentId
  }
}
