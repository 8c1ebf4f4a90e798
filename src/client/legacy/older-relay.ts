import { createHash } from "node:crypto"
import type { Clock } from "../../base/clock.js"
import { type ClientFrame, clientMessages } from "../../protocol/client-messages.js"
import { type Members, validateServerMessage } from "../../protocol/parse-message.js"
import type { ServerMessage } from "../../protocol/server-messages.js"

/** How the translation reaches both sides. */
export interface OlderRelayHost {
  readonly agentId: string
  readonly clock: Clock
  write(text: string): void
  deliver(message: ServerMessage): void
}

/**
 * Speaks to a relay of the first AgentChat, which answers no frame by its id and acknowledges no message.
 * Each frame is followed by a PING and the next one waits for its PONG: the relay works in order, so whatever
 * it says before the PONG answers that frame, and silence means it was carried out.
 */
export class OlderRelay {
  readonly #host: OlderRelayHost
  readonly #queue: ClientFrame[] = []
  /** Sent, its PONG still to come. */
  #current: { readonly frame: ClientFrame; isAnswered: boolean } | undefined

  constructor(host: OlderRelayHost) {
    this.#host = host
  }

  send(frame: ClientFrame): void {
    // Unknown to older relays, which keep nothing to acknowledge.
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
    if (!current.isAnswered) this.#host.deliver(this.#answerOfSilence(current.frame))
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

  #answerOfSilence(frame: ClientFrame): ServerMessage {
    const ts = this.#host.clock.now()
    const re = reOf(frame)
    if (frame.type === "LEAVE") return { type: "LEFT", ...re, channel: frame.channel }
    if (frame.type === "PING") return { type: "PONG", ...re, ts }
    if (frame.type === "INVITE" || frame.type === "SET_PRESENCE") {
      return { type: "ACK", ...re, ts, state: "done" }
    }
    if (frame.type !== "MSG") {
      return {
        type: "ERROR",
        ...re,
        code: "UNSUPPORTED",
        message: `${frame.type}: the relay does not answer it`,
      }
    }
    const msgId = `${this.#host.agentId.slice(1)}.${frame.id ?? ts}`
    return { type: "ACK", ...re, ts, state: "accepted", msg_id: msgId }
  }

  /** Older relays may send a sender its own channel message. */
  #isOwnEcho(message: ServerMessage): boolean {
    return message.type === "MSG" && message.from === this.#host.agentId && message.replay !== true
  }

  /** Adds the fields older relays do not have. */
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

/** The same message replayed on the next session must get the same id, so that a double is recognised. */
function idOfOlderMessage({ from, to, ts, content }: Members): string {
  const text = JSON.stringify([from, to, ts, content])
  return `older.${createHash("sha256").update(text).digest("base64url").slice(0, 22)}`
}

function rosterOf(list: unknown): { id: unknown; name: unknown; status: unknown }[] {
  return asList(list).map((entry) => {
    const { id, name, status } =
      typeof entry === "object" && entry !== null ? (entry as Members) : { id: entry }
    return { id, name: name ?? nameOf(id), status: status ?? "idle" }
  })
}

function channelsOf(list: unknown): unknown[] {
  return asList(list).map((entry) => {
    const { name, agents } =
      typeof entry === "object" && entry !== null ? (entry as Members) : { name: entry }
    return { name, agents: typeof agents === "number" ? agents : 0, invite_only: false }
  })
}

function asList(value: unknown): unknown[] {
  return Array.isArray(value) ? value : []
}
