import type { Clock } from "../base/clock.js"
import type { Identity } from "../identity/identity-file.js"
import type { ChannelSettings } from "../protocol/server-messages.js"

/** How an agent connects. */
export interface AgentChatClientOptions {
  /** `ws://` or `wss://` address of the relay. */
  readonly server: string
  /** What the agent calls itself: 1-64 letters, digits, `.`, `_`, `-`. */
  readonly name: string
  /** Path of an identity file, or an identity read before. Without one the relay gives an id for this session. */
  readonly identity?: string | Identity
  /** What the agent does, for the roster. */
  readonly role?: string
  /** Whatever else it wants to say of itself. */
  readonly card?: object
  /** Get a lost session back by itself, for ever, and enter the same channels; off when absent. */
  readonly reconnect?: boolean
  /** Also talk to a relay of the first AgentChat. */
  readonly compat?: boolean
  /** Milliseconds until a relay that does not let us in is given up; 10,000 when absent. */
  readonly handshakeMs?: number
  /** Where time comes from; the system's when absent. */
  readonly clock?: Clock
  /** Uniform in [0, 1), spreads reconnects; the system's when absent. */
  readonly random?: () => number
}

/** What a new channel is to be. */
export interface CreateOptions extends ChannelSettings {
  /** Only members see it, and those they invite. */
  readonly inviteOnly?: boolean
  /** Kept on disk: every member goes on where it stopped. Needs a relay with a store. */
  readonly durable?: boolean
}
