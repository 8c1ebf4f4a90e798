import { randomBytes, randomInt } from "node:crypto"
import { httpAgent } from "../../coordination/event.js"
import type { Rights } from "../../grants/decide.js"
import { agentIdOf, formatDidKey, parsePublicKey } from "../../identity/keys.js"
import { verifySuccession } from "../../identity/succession.js"
import type { ClientHandlers, ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { closeCodes, protocolVersion } from "../../protocol/limits.js"
import type { RotationClaim } from "../../protocol/message-fields.js"
import type { AgentId } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { RelaySettings, Services } from "../services.js"
import { Agent } from "../sessions/agent.js"
import { Challenge, type Claim } from "../sessions/challenge.js"
import { addressOrigin } from "../sessions/origin.js"
import { policyViolation, type Session } from "../sessions/session.js"
import { moveBelongings, replaceIds } from "./take-over.js"

const base32 = "234567abcdefghijklmnopqrstuvwxyz"
const base32Digits = 6
const ephemeralIdLength = 8
/** Operators named in WELCOME. */
const maxOperators = 32
/** Characters of a card as JSON. A card is kept as long as its agent is known. */
const cardLength = 16 * 1024

type IdentityServices = Pick<
  Services,
  | "backbone"
  | "warn"
  | "sessions"
  | "knownAgents"
  | "endedKeys"
  | "moderation"
  | "grants"
  | "makeMemory"
  | "roster"
  | "rosterSync"
  | "mailboxes"
  | "channels"
  | "tasks"
>

/**
 * Handles IDENTIFY and VERIFY_IDENTITY: a client states its name, and proves its key if it has one. Handles KEY_STATEMENT:
 * a key has ended.
 */
export function identityHandlers(
  services: IdentityServices,
  settings: RelaySettings,
): Pick<ClientHandlers<Session>, "IDENTIFY" | "VERIFY_IDENTITY" | "KEY_STATEMENT"> {
  const { limits, clock, isCompat, log } = settings
  const { backbone, endedKeys, grants } = services

  return {
    IDENTIFY(session, message) {
      if (session.state !== "connecting") {
        throw new ChatError("ALREADY_IDENTIFIED", "IDENTIFY: this session is identified already")
      }
      if (message.card !== undefined && JSON.stringify(message.card).length > cardLength) {
        throw new ChatError("INVALID_MSG", `card: must be at most ${cardLength} characters of JSON`)
      }
      if (message.pubkey === undefined) {
        if (grants.isClosed) {
          throw new ChatError("IDENTITY_REQUIRED", "pubkey: the relay is closed to agents without a key")
        }
        admit(session, { message }, message.id, services, settings)
        return
      }
      const claim = { message, publicKey: parsePublicKey(message.pubkey) }
      const end = endedKeys.find(agentIdOf(claim.publicKey))
      if (end !== undefined) {
        session.endKey(end, message.id)
        return
      }
      const challenge = new Challenge(claim, backbone.id, clock.monotonic() + limits.challengeMs)
      session.startChallenge(challenge)
      const { id: challenge_id, nonce } = challenge
      const expires_ms = limits.challengeMs
      session.send({ type: "CHALLENGE", challenge_id, nonce, aud: backbone.id, expires_ms }, message.id)
    },

    async VERIFY_IDENTITY(session, message) {
      const { challenge } = session
      if (session.isReady) throw new ChatError("ALREADY_IDENTIFIED", "VERIFY_IDENTITY: the key is proven")
      if (challenge === undefined) throw new ChatError("AUTH_REQUIRED", "IDENTIFY with a pubkey comes first")
      const { claim } = challenge
      let keys: readonly string[]
      try {
        challenge.check(message, clock, isCompat)
        keys = verifySuccession(message.rotations ?? [], formatDidKey(claim.publicKey))
      } catch (error) {
        if (!(error instanceof ChatError) || error.code === "INVALID_MSG") throw error
        services.warn(
          `refused: ${agentIdOf(claim.publicKey)} from ${session.remoteAddress}: ${error.message}`,
        )
        session.sendError(error, message.id)
        session.close(closeCodeOf(error), error.code)
        return
      }
      session.sendsReceived = message.sig !== undefined
      session.isOlder ||= message.sig === undefined
      if (message.sig === undefined) log(`compat: ${claim.message.name} used the older handshake`)
      const proven = { ...claim, keys, rotations: message.rotations }
      if (!grants.isClosed || (await isGranted(session, proven, message, services))) {
        admit(session, proven, message.id, services, settings)
      }
    },

    async KEY_STATEMENT(session, { id, statement }) {
      // A closed relay has no session for who has lost the key.
      const origin = session.isReady ? session.agent.origin : addressOrigin(session.remoteAddress)
      await endedKeys.add(statement, origin)
      session.send({ type: "ACK", ts: clock.now(), state: "done" }, id)
    },
  }
}

interface ProvenClaim extends Claim {
  /** did:keys of the agent, from the oldest that it shows to the proven one. */
  readonly keys: readonly string[]
  readonly rotations: readonly RotationClaim[] | undefined
}

/** Ends the session unless a grant lets the agent enter. @returns true if one does, and the session is still there */
async function isGranted(
  session: Session,
  { message: { role }, publicKey, keys }: ProvenClaim,
  { id: re, grants: shown = [] }: ClientMessage<"VERIFY_IDENTITY">,
  { grants, warn }: IdentityServices,
): Promise<boolean> {
  const id = agentIdOf(publicKey)
  const holder = { id, formerly: keys.slice(0, -1).map((key) => agentIdOf(parsePublicKey(key))) }
  try {
    await grants.enter(holder, formatDidKey(publicKey), shown)
    if (role !== undefined && !grants.mayServe(holder, role)) {
      throw new ChatError("FORBIDDEN", `role: no grant lets you serve the role ${role}`)
    }
    return session.isReadable
  } catch (error) {
    if (!(error instanceof ChatError)) throw error
    warn(`refused: ${id} from ${session.remoteAddress}: ${error.message}`)
    session.sendError(error, re)
    session.close(policyViolation, error.code)
    return false
  }
}

/** Makes a session ready, and sends it WELCOME and then everything that waits for its agent. */
function admit(
  session: Session,
  { message, publicKey, keys = [], rotations: proof }: Pick<Claim, "message"> & Partial<ProvenClaim>,
  re: string | undefined,
  services: IdentityServices,
  settings: RelaySettings,
): void {
  const { backbone, sessions, knownAgents, rosterSync, grants } = services
  const { limits, clock, log } = settings
  const { name, role, card } = message
  const did = publicKey === undefined ? undefined : formatDidKey(publicKey)
  const id = publicKey === undefined ? newEphemeralId(sessions) : agentIdOf(publicKey)
  if (mayNotEnter(session, { id, keys, message, re }, services)) return
  sessions.find(id)?.displace(message.process)
  const ids = succeed(keys, services, settings)
  const address = addressOrigin(session.remoteAddress)
  const memory = publicKey === undefined ? services.makeMemory() : knownAgents.enter(id)
  const agent = new Agent(id, name, memory, session.sendQueue, { clock, staleMs: limits.staleMs, address })
  const isSuccessor = ids.length > 0
  const formerly = isSuccessor ? ids.slice(0, -1) : undefined
  const rotations = isSuccessor ? proof : undefined
  for (const each of rotations ?? []) void noteRotation(each, agent, services)
  agent.introduce({ role, card, did, formerly, rotations }, rosterSync.claim(agent))
  grants.limit(agent)
  knownAgents.noteOrigin(id, agent.origin)
  session.attempt = message
  session.confirmsNotices = message.confirms_notices === true
  session.admit(agent)
  log(`came: ${id} ${name} from ${session.remoteAddress}`)
  session.send(formatWelcome(agent, backbone.id, settings, grants.rightsOf(agent)), re)
  sessions.add(session)
  void moveBelongings(ids, services, log)
}

interface Entrant {
  readonly id: AgentId
  /** did:keys, from the oldest that it shows. */
  readonly keys: readonly string[]
  readonly message: Claim["message"]
  /** Id of the frame to answer. */
  readonly re: string | undefined
}

/** Ends the session of an agent whose key has ended, that is banned, or that has connected again meanwhile. */
function mayNotEnter(
  session: Session,
  { id, keys, message, re }: Entrant,
  { endedKeys, moderation, sessions }: IdentityServices,
): boolean {
  const end = endedKeys.find(id)
  if (end !== undefined) {
    session.endKey(end, re)
    return true
  }
  const ban = moderation.banOf([...keys.map((key) => agentIdOf(parsePublicKey(key))), id])
  const current = sessions.find(id)
  const isTooLate = current !== undefined && isLate(message, current.attempt)
  const late = "IDENTIFY: a later attempt of the same process is connected"
  const error = ban ?? (isTooLate ? new ChatError("SESSION_DISPLACED", late) : undefined)
  if (error === undefined) return false
  session.sendError(error, re)
  session.close(ban === undefined ? closeCodes.displaced : policyViolation, error.code)
  return true
}

/** Stores that a key was replaced. If it cannot be stored, the next session of the agent tries again. */
async function noteRotation(
  rotation: RotationClaim,
  { origin }: Agent,
  { endedKeys, warn }: IdentityServices,
) {
  try {
    await endedKeys.add(rotation, origin)
  } catch (error) {
    if (!(error instanceof ChatError)) throw error
    warn(`the rotation of ${rotation.from} is not stored: ${error.message}`)
  }
}

/** @returns the ids of an agent that replaces its earlier ones, oldest first; none if it replaces none */
function succeed(
  keys: readonly string[],
  services: IdentityServices,
  { operators, log }: RelaySettings,
): readonly AgentId[] {
  const ids = keys.map((key) => agentIdOf(parsePublicKey(key)))
  if (ids.length < 2) return []
  if (replaceIds(ids, services, operators)) return ids
  log(`refused: ${String(ids.at(-1))} as successor: its earlier key has another one`)
  return []
}

/** Reports whether a network that stalled delivers an attempt which its process has given up since. */
function isLate(message: Session["attempt"], current: Session["attempt"]): boolean {
  if (message.process === undefined || message.process !== current.process) return false
  return (message.attempt ?? 0) < (current.attempt ?? 0)
}

function closeCodeOf({ code }: ChatError): number {
  return code === "HANDSHAKE_TIMEOUT" ? closeCodes.handshakeTimeout : policyViolation
}

function newEphemeralId(sessions: Services["sessions"]): AgentId {
  for (;;) {
    // The first is a digit, so that no usual name, such as "reviewer", has the form of an id.
    let id = `@${base32.charAt(randomInt(base32Digits))}`
    for (const byte of randomBytes(ephemeralIdLength - 1)) id += base32.charAt(byte & 31)
    if (sessions.find(id) === undefined && id !== httpAgent) return id as AgentId
  }
}

function formatWelcome(
  agent: Agent,
  serverId: string,
  { name, limits, guards, clock, operators }: RelaySettings,
  rights: Rights | undefined,
): ServerMessage<"WELCOME"> {
  const shown = operators.newest(maxOperators)
  return {
    type: "WELCOME",
    agent_id: agent.id,
    name: agent.name,
    server: name,
    server_id: serverId,
    protocol: protocolVersion,
    limits: {
      frame_bytes: limits.frameBytes,
      rate_per_s: limits.ratePerSecond,
      burst: limits.rateBurst,
      rate_bytes: guards.rateBytes,
      buffer: limits.bufferSize,
    },
    ...(rights !== undefined && { rights }),
    ...(shown.length > 0 && agent.isPersistent && { operators: shown }),
    ts: clock.now(),
  }
}
