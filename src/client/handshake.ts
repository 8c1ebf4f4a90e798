import type { Clock } from "../base/clock.js"
import { omitUndefined } from "../base/plain.js"
import { canonicalize } from "../identity/canonical-json.js"
import type { Identity } from "../identity/identity-file.js"
import type { ClientFrame } from "../protocol/client-messages.js"
import { ChatError } from "../protocol/errors.js"
import { maxRotations } from "../protocol/limits.js"
import { type Members, parseMembers, validateServerMessage } from "../protocol/parse-message.js"
import type { ServerMessage, WelcomeLimits } from "../protocol/server-messages.js"
import type { FrameSocket } from "./frame-socket.js"
import { answerOlderChallenge, isOlderChallenge, isOlderWelcome, olderWelcome } from "./older-relay.js"
import type { ReceiveQueue } from "./receive-queue.js"
import { errorOfMessage } from "./relay-error.js"

export interface HandshakeOptions {
  readonly name: string
  /** Without one the relay assigns an id for this session only. */
  readonly identity?: Identity
  readonly role?: string
  readonly card?: object
  /** True if each DELIVERY and INVITE is confirmed with RECEIVED (default: the relay sends it once). */
  readonly confirmsNotices?: boolean
  /** Also accept the handshake of the first AgentChat. */
  readonly compat?: boolean
  /** Tells a late attempt of this process from a newer one. */
  readonly attempt?: Attempt
  readonly clock: Clock
}

/** One attempt to open a session. */
interface Attempt {
  /** Random name of the process. */
  readonly process: string
  /** Rises with each attempt of the process. */
  readonly attempt: number
}

export interface Session {
  readonly welcome: ServerMessage<"WELCOME">
  /** True for a relay of the first AgentChat, whose messages need translation. */
  readonly isOlder: boolean
}

/** Most frames a relay may send before WELCOME. */
const maxFrames = 64

/**
 * Identifies, proves the key if there is one, and waits for WELCOME.
 * @throws {ChatError} the relay's refusal; VERIFICATION_FAILED if it welcomes another agent; UNSUPPORTED if it does not
 * speak this protocol
 */
export async function performHandshake(
  socket: FrameSocket,
  received: ReceiveQueue,
  options: HandshakeOptions,
): Promise<Session> {
  const send = (frame: ClientFrame) => {
    socket.send(JSON.stringify(frame))
  }
  send(await identify(options))
  let audience: string | undefined
  for (let frames = 0; frames < maxFrames; frames++) {
    const members = parseMembers(await received.next())
    const message = members && validateServerMessage(members)
    if (message?.type === "ERROR") throw await refusalOf(message, options.identity)
    if (message?.type === "CHALLENGE") {
      send(await answerChallenge(message, options))
      audience = message.aud
    } else if (message?.type === "WELCOME") {
      checkWelcome(message, options.identity, audience)
      checkLimits(message.limits)
      return { welcome: message, isOlder: false }
    } else if (members !== undefined && message === undefined) {
      const session = await acceptOlder(members, options, send)
      if (session !== undefined) return session
    }
  }
  throw new ChatError("UNSUPPORTED", "server: does not speak the agentchat protocol")
}

async function identify(options: HandshakeOptions): Promise<ClientFrame<"IDENTIFY">> {
  const { name, identity, role, card, compat, attempt, confirmsNotices: confirms_notices } = options
  // JSON would change a value such as NaN or a Date.
  if (card !== undefined) canonicalize({ card })
  const pubkey = identity && (compat === true ? await pemOf(identity) : identity.did)
  return { type: "IDENTIFY", name, ...omitUndefined({ pubkey, role, card, confirms_notices }), ...attempt }
}

async function answerChallenge(
  challenge: ServerMessage<"CHALLENGE">,
  { identity, clock }: HandshakeOptions,
): Promise<ClientFrame<"VERIFY_IDENTITY">> {
  const { challenge_id, nonce, aud } = challenge
  if (identity === undefined) throw unexpectedChallenge()
  const { signChallenge } = await import("../identity/auth-proof.js")
  const iat = Math.floor(clock.now() / 1000)
  const sig = signChallenge({ aud, challenge_id, nonce, iat }, identity.keyPair)
  const rotations = identity.rotations.slice(-maxRotations)
  // Some grants belong to whoever shows them first, so that no other relay may see them.
  const grants = identity.grants.filter((grant) => grant.aud === aud)
  const shown = { ...(rotations.length > 0 && { rotations }), ...(grants.length > 0 && { grants }) }
  return { type: "VERIFY_IDENTITY", challenge_id, iat, sig, ...shown }
}

/** Handles a frame of the first AgentChat. @returns the session if the frame is its welcome */
async function acceptOlder(
  members: Members,
  options: HandshakeOptions,
  send: (frame: ClientFrame) => void,
): Promise<Session | undefined> {
  const isChallenge = isOlderChallenge(members)
  if (!isChallenge && !isOlderWelcome(members)) return undefined
  if (options.compat !== true) {
    throw new ChatError("UNSUPPORTED", "server: speaks the handshake of an older AgentChat", {
      hint: "allow it with --compat",
    })
  }
  if (!isChallenge) return { welcome: olderWelcome(members, options), isOlder: true }
  if (options.identity === undefined) throw unexpectedChallenge()
  send(await answerOlderChallenge(members, options.identity, options.clock))
  return undefined
}

/** Refuses a relay that assigns another agent id, or whose challenge was for another relay. */
function checkWelcome(
  welcome: ServerMessage<"WELCOME">,
  identity: Identity | undefined,
  audience: string | undefined,
): void {
  if (identity === undefined) return
  if (audience !== welcome.server_id) {
    throw new ChatError("VERIFICATION_FAILED", "server: the challenge was for another relay")
  }
  if (welcome.agent_id !== identity.agentId) {
    throw new ChatError("VERIFICATION_FAILED", "server: welcomed another agent id than that of the key")
  }
}

/** The least and greatest value of each limit that a client can work with. */
const limitRanges: Readonly<Record<keyof WelcomeLimits, readonly [least: number, greatest: number]>> = {
  frame_bytes: [512, 2 ** 30],
  rate_per_s: [1 / 86_400, 1e12],
  burst: [1, 1e12],
  rate_bytes: [0, 2 ** 40],
  buffer: [0, 1e6],
}

/** Refuses limits with which a client would send nothing, or try again and again. */
function checkLimits(limits: WelcomeLimits): void {
  for (const [name, [least, greatest]] of Object.entries(limitRanges)) {
    const value = limits[name as keyof WelcomeLimits]
    if (value === undefined || (value >= least && value <= greatest)) continue
    const problem = `WELCOME.limits.${name}: ${value} is not between ${least} and ${greatest}`
    throw new ChatError("UNSUPPORTED", `server: ${problem}`, {
      hint: "no relay has such a limit; check host and port",
    })
  }
}

async function pemOf(identity: Identity): Promise<string> {
  const { formatPublicPem } = await import("../identity/keys.js")
  return formatPublicPem(identity.keyPair.publicKey)
}

/** Returns the error of a relay; a final one if it proves the end of this key. Without the proof it may be wrong or lie. */
async function refusalOf(
  message: ServerMessage<"ERROR">,
  identity: Identity | undefined,
): Promise<ChatError> {
  const { code, key_end: end } = message
  const refusal = errorOfMessage(message)
  if (code !== "KEY_ENDED" || end === undefined || end.from !== identity?.did) return refusal
  const { verifyKeyStatement } = await import("../identity/succession.js")
  try {
    verifyKeyStatement(end)
  } catch (error) {
    if (error instanceof ChatError) return refusal
    throw error
  }
  const problem = end.type === "ROTATION" ? `was replaced by ${end.to}` : "was revoked"
  return new ChatError("BAD_IDENTITY", `identity: its key ${problem}; nobody can speak as it again`, {
    hint: "use the identity of the newer key, or generate another one",
  })
}

function unexpectedChallenge(): ChatError {
  return new ChatError("UNSUPPORTED", "server: asks for proof of a key that was not named")
}
