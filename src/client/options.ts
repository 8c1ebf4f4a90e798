import type { Clock } from "../base/clock.js"
import type { Identity } from "../identity/identity-file.js"
import type { ClientFrame } from "../protocol/client-messages.js"
import { ChatError } from "../protocol/errors.js"
import type { ChannelSettings } from "../protocol/server-messages.js"

/** Which messages to find; all members may be absent. */
export type MessageSearch = Omit<ClientFrame<"LIST_MESSAGES">, "type" | "id">

/** Options of an {@link AgentChatClient}. */
export interface AgentChatClientOptions {
  /** `ws://` or `wss://` address of the relay. */
  readonly server: string
  /** The agent's name: 1-64 letters, digits, `.`, `_`, `-`. */
  readonly name: string
  /** An identity, or the path of its file. Without one the relay assigns an id for this session. */
  readonly identity?: string | Identity
  /** The agent's role, as the roster shows it. */
  readonly role?: string
  /** The agent's description of itself, see {@link AgentCard}. */
  readonly card?: object
  /** Restore a lost session, with the same channels, until {@link AgentChatClient.disconnect} (default false). */
  readonly reconnect?: boolean
  /** Also connect to relays of the first AgentChat (default false). */
  readonly compat?: boolean
  /** Longest duration of the handshake, in milliseconds (default 10,000). */
  readonly handshakeMs?: number
  /** Source of time (default: the system clock). */
  readonly clock?: Clock
  /** Returns numbers uniform in [0, 1) that spread reconnects (default: the system's generator). */
  readonly random?: () => number
}

export interface CreateOptions extends ChannelSettings {
  /** Only members and invited agents see the channel (default false). */
  readonly inviteOnly?: boolean
  /** The relay stores the channel, and each member continues where it stopped; needs a relay with a store (default false). */
  readonly durable?: boolean
}

export class IdentitySource {
  readonly #source: string | Identity | undefined
  #current: Identity | undefined

  /** @param source - an identity, the path of an identity file, or undefined for an ephemeral agent */
  constructor(source: string | Identity | undefined) {
    this.#source = source
  }

  /** True if the relay identifies the client by a key. */
  get isPersistent(): boolean {
    return this.#source !== undefined
  }

  /** The session's identity; undefined for an ephemeral agent, and before the first session. */
  get current(): Identity | undefined {
    return this.#current
  }

  /** Returns the identity for a new session. Reads a file anew. @throws {ChatError} NOT_FOUND or BAD_IDENTITY */
  async load(): Promise<Identity | undefined> {
    const source = this.#source
    if (typeof source !== "string") this.#current = source
    else {
      const { readIdentity } = await import("../identity/identity-file.js")
      this.#current = readIdentity(source)
    }
    return this.#current
  }

  /** Returns the session's identity. @throws {ChatError} IDENTITY_REQUIRED; UNREACHABLE before the first session */
  require(): Identity {
    if (this.#current !== undefined) return this.#current
    if (this.isPersistent) throw new ChatError("UNREACHABLE", "client: not connected")
    throw new ChatError("IDENTITY_REQUIRED", "client: signing needs a key", {
      hint: "create one with: agentchat identity --generate, and pass its file as identity",
    })
  }
}

/** Options of `claimPaths` besides repository and paths. */
export interface ClaimOptions {
  /** Your activity there, up to 200 characters. */
  readonly note?: string
  /** Duration in seconds, up to 86,400 (default 1,800). */
  readonly seconds?: number
}
