import { createHash } from "node:crypto"
import type { Clock } from "../base/clock.js"
import { isPlain } from "../base/plain.js"
import type { Identity } from "../identity/identity-file.js"
import { type ClientFrame, clientMessages } from "../protocol/client-messages.js"
import { formatMessageId } from "../protocol/message-id.js"
import type { AgentId } from "../protocol/names.js"
import { type Members, validateServerMessage } from "../protocol/parse-message.js"
import type { ServerMessage } from "../protocol/server-messages.js"

export interface OlderRelayHost {
  readonly agentId: string
  readonly clock: Clock
  write(text: string): void
  deliver(message: ServerMessage): void
}

/**
 * Translates for a relay of the first AgentChat, which answers no frame by its id and acknowledges no message.
 * Sends a PING after each frame and holds the next frame until the PONG. The relay works in order, so a message before
 * the PONG answers the frame; if none comes, the frame was carried out.
 */
export class OlderRelay {
  readonly #host: OlderRelayHost
  readonly #queue: ClientFrame[] = []
  /** The frame whose PONG has not arrived yet. */
  #current: { readonly frame: ClientFrame; isAnswered: boolean } | undefined

  constructor(host: OlderRelayHost) {
    this.#host = host
  }

  send(frame: ClientFrame): void {
    // Older relays do not know RECEIVED and keep nothing to acknowledge.
    if (frame.type === "RECEIVED") return
    this.#queue.push(frame)
    this.#sendNext()
  }

  receive(members: Members): void {
    if (members["type"] === "PONG") {
      this.#finish()
      return
    }
    const message = validateServerMessage(this.#complete(members))
    if (message === undefined || this.#isOwnEcho(message)) return
    this.#host.deliver(this.#isAnswer(message) ? this.#asAnswer(message) : message)
  }

  #sendNext(): void {
    if (this.#current !== undefined) return
    const frame = this.#queue.shift()
    if (frame === undefined) return
    this.#current = { frame, isAnswered: false }
    if (frame.type !== "PING") this.#host.write(JSON.stringify(frame))
    this.#host.write('{"type":"PING"}')
  }

  #finish(): void {
    const current = this.#current
    if (current === undefined) return
    this.#current = undefined
    if (!current.isAnswered) this.#host.deliver(this.#impliedAnswer(current.frame))
    this.#sendNext()
  }

  #isAnswer(message: ServerMessage): boolean {
    const current = this.#current
    if (current === undefined || current.isAnswered) return false
    if (message.type === "ERROR") return true
    const row = clientMessages[current.frame.type]
    return "answer" in row && row.answer === message.type
  }

  #asAnswer(message: ServerMessage): ServerMessage {
    const current = this.#current
    if (current === undefined) return message
    current.isAnswered = true
    return { ...message, ...reOf(current.frame) }
  }

  #impliedAnswer(frame: ClientFrame): ServerMessage {
    const ts = this.#host.clock.now()
    const re = reOf(frame)
    if (frame.type === "LEAVE") return { type: "LEFT", ...re, channel: frame.channel }
    if (frame.type === "PING") return { type: "PONG", ...re, ts }
    if (frame.type === "INVITE" || frame.type === "SET_PRESENCE") {
      return { type: "ACK", ...re, ts, state: "done" }
    }
    if (frame.type !== "MSG") {
      const message = `${frame.type}: the relay does not answer it`
      return { type: "ERROR", ...re, code: "UNSUPPORTED", message }
    }
    const msgId = formatMessageId(this.#host.agentId as AgentId, frame.id ?? String(ts))
    return { type: "ACK", ...re, ts, state: "accepted", msg_id: msgId }
  }

  /** Older relays may send a sender its own channel message. */
  #isOwnEcho(message: ServerMessage): boolean {
    return message.type === "MSG" && message.from === this.#host.agentId && message.replay !== true
  }

  /** Adds the fields that older relays do not send. */
  #complete(members: Members): Members {
    const ts = this.#host.clock.now()
    switch (members["type"]) {
      case "MSG":
        return { name: nameOf(members["from"]), hops: 0, msg_id: idOfOlderMessage(members), ts, ...members }
      case "JOINED": {
        const roster = rosterOf(members["agents"])
        const agents = roster.map(({ id }) => id)
        return { count: roster.length, seq: 0, invite_only: false, ...members, agents, roster }
      }
      case "AGENTS": {
        const roster = rosterOf(members["list"])
        return { ...members, list: roster.map(({ id }) => id), roster }
      }
      case "CHANNELS":
        return { ...members, list: channelsOf(members["list"]) }
      case "AGENT_JOINED":
      case "AGENT_LEFT":
      case "PRESENCE_CHANGED":
        return { name: nameOf(members["agent"]), ts, ...members }
      default:
        return { ts, ...members }
    }
  }
}

function reOf(frame: ClientFrame): { readonly re?: string } {
  return frame.id === undefined ? {} : { re: frame.id }
}

function nameOf(agentId: unknown): unknown {
  return typeof agentId === "string" ? agentId.replace(/^@/, "") : agentId
}

/** An id that depends on the message alone, so that a replay in the next session is recognised as a duplicate. */
function idOfOlderMessage({ from, to, ts, content }: Members): string {
  const text = JSON.stringify([from, to, ts, content])
  return `older.${createHash("sha256").update(text).digest("base64url").slice(0, 22)}`
}

function rosterOf(list: unknown): { id: unknown; name: unknown; status: unknown }[] {
  return asList(list).map((entry) => {
    const { id, name, status }: Members = isPlain(entry) ? entry : { id: entry }
    return { id, name: name ?? nameOf(id), status: status ?? "idle" }
  })
}

function channelsOf(list: unknown): unknown[] {
  return asList(list).map((entry) => {
    const { name, agents }: Members = isPlain(entry) ? entry : { name: entry }
    return { name, agents: typeof agents === "number" ? agents : 0, invite_only: false }
  })
}

function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}

/** Older relays do not send their limits; these are below the defaults they shipped with. */
const assumedLimits = { frame_bytes: 64 * 1024, rate_per_s: 1, burst: 1, buffer: 20 } as const

/** Reports whether a frame is a challenge of the first AgentChat: `{challenge_id, nonce}` without an audience. */
export function isOlderChallenge(members: Members): members is Members & {
  readonly challenge_id: string
  readonly nonce: string
} {
  const { type, challenge_id: challengeId, nonce, aud } = members
  return (
    type === "CHALLENGE" && typeof challengeId === "string" && typeof nonce === "string" && aud === undefined
  )
}

/** Reports whether a frame is a welcome of the first AgentChat: `{agent_id, server}` without a protocol version. */
export function isOlderWelcome(members: Members): members is Members & { readonly agent_id: string } {
  const { type, agent_id: agentId, protocol } = members
  return type === "WELCOME" && typeof agentId === "string" && protocol === undefined
}

/** Signs a challenge of the first AgentChat. The text does not name the relay, so this is done only on request. */
export async function answerOlderChallenge(
  { challenge_id, nonce }: { readonly challenge_id: string; readonly nonce: string },
  identity: Identity,
  clock: Clock,
): Promise<ClientFrame<"VERIFY_IDENTITY">> {
  const { signCompatChallenge } = await import("../identity/auth-proof.js")
  const timestamp = clock.now()
  const signature = signCompatChallenge({ challenge_id, nonce, timestamp }, identity.keyPair)
  return { type: "VERIFY_IDENTITY", challenge_id, signature, timestamp }
}

/** Fills in what the welcome of an older relay lacks. `protocol` 0 marks it as older. */
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
