import type { Clock } from "../base/clock.js"
import type { Identity } from "../identity/identity-file.js"
import type { ClientFrame } from "../protocol/client-messages.js"
import { ChatError } from "../protocol/errors.js"
import { type Members, parseMembers, validateServerMessage } from "../protocol/parse-message.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import type { FrameSocket } from "./frame-socket.js"
import {
  answerOlderChallenge,
  isOlderChallenge,
  isOlderWelcome,
  olderWelcome,
} from "./legacy/older-handshake.js"
import { errorOfMessage } from "./relay-error.js"
import type { SocketReader } from "./socket-reader.js"

/** Who connects. */
export interface HandshakeOptions {
  /** What the agent calls itself. */
  readonly name: string
  /** Without one the relay gives an id for this session only. */
  readonly identity?: Identity
  readonly role?: string
  readonly card?: object
  /** Also accept a relay that speaks the handshake of the first AgentChat. */
  readonly compat?: boolean
  readonly clock: Clock
}

/** A session that stands. */
export interface Session {
  readonly welcome: ServerMessage<"WELCOME">
  /** The relay is of the first generation: its messages need translation. */
  readonly isOlder: boolean
}

/** Frames a relay may say before WELCOME; more is no handshake. */
const maxFrames = 64

/**
 * Identifies, proves the key if there is one, and waits for WELCOME.
 * @throws {ChatError} the relay's refusal; VERIFICATION_FAILED when it welcomes somebody else;
 * UNSUPPORTED when it does not speak this protocol
 */
export async function shakeHands(
  socket: FrameSocket,
  inlet: SocketReader,
  options: HandshakeOptions,
): Promise<Session> {
  const say = (frame: ClientFrame) => {
    socket.send(JSON.stringify(frame))
  }
  say(await identify(options))
  let audience: string | undefined
  for (let frames = 0; frames < maxFrames; frames++) {
    const members = parseMembers(await inlet.next())
    const message = members && validateServerMessage(members)
    if (message?.type === "ERROR") throw errorOfMessage(message)
    if (message?.type === "CHALLENGE") {
      say(await answerChallenge(message, options))
      audience = message.aud
    } else if (message?.type === "WELCOME") {
      checkWelcome(message, options.identity, audience)
      return { welcome: message, isOlder: false }
    } else if (members !== undefined && message === undefined) {
      const session = await acceptOlder(members, options, say)
      if (session !== undefined) return session
    }
  }
  throw new ChatError("UNSUPPORTED", "server: does not speak the agentchat protocol")
}

async function identify(options: HandshakeOptions): Promise<ClientFrame<"IDENTIFY">> {
  const { name, identity, role, card, compat } = options
  return {
    type: "IDENTIFY",
    name,
    ...(identity === undefined ? {} : { pubkey: compat === true ? await pemOf(identity) : identity.did }),
    ...(role === undefined ? {} : { role }),
    ...(card === undefined ? {} : { card }),
  }
}

async function answerChallenge(
  challenge: ServerMessage<"CHALLENGE">,
  { identity, clock }: HandshakeOptions,
): Promise<ClientFrame<"VERIFY_IDENTITY">> {
  const { challenge_id, nonce, aud } = challenge
  if (identity === undefined) throw unasked()
  const { signChallenge } = await import("../identity/auth-proof.js")
  const iat = Math.floor(clock.now() / 1000)
  const sig = signChallenge({ aud, challenge_id, nonce, iat }, identity.keyPair)
  return { type: "VERIFY_IDENTITY", challenge_id, iat, sig }
}

/** A first-generation relay's frame, if that is what it is. */
async function acceptOlder(
  members: Members,
  options: HandshakeOptions,
  say: (frame: ClientFrame) => void,
): Promise<Session | undefined> {
  const isChallenge = isOlderChallenge(members)
  if (!isChallenge && !isOlderWelcome(members)) return undefined
  if (options.compat !== true) {
    throw new ChatError("UNSUPPORTED", "server: speaks the handshake of an older AgentChat", {
      hint: "allow it with --compat",
    })
  }
  if (!isChallenge) return { welcome: olderWelcome(members, options), isOlder: true }
  if (options.identity === undefined) throw unasked()
  say(await answerOlderChallenge(members, options.identity, options.clock))
  return undefined
}

/** A relay that puts us through as somebody else, or was not the one that asked for the proof, is not to be trusted. */
function checkWelcome(
  welcome: ServerMessage<"WELCOME">,
  identity: Identity | undefined,
  audience: string | undefined,
): void {
  if (identity === undefined) return
  if (audience !== welcome.server_id) {
    throw new ChatError("VERIFICATION_FAILED", "server: did not ask for a proof made for itself")
  }
  if (welcome.agent_id !== identity.agentId) {
    throw new ChatError("VERIFICATION_FAILED", "server: welcomed another agent id than the key's")
  }
}

async function pemOf(identity: Identity): Promise<string> {
  const { formatPublicPem } = await import("../identity/keys.js")
  return formatPublicPem(identity.keyPair.publicKey)
}

function unasked(): ChatError {
  return new ChatError("UNSUPPORTED", "server: asks for the proof of a key that was not named")
}
