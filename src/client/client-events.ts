import type { ChatError } from "../protocol/errors.js"
import type { ServerMessage } from "../protocol/server-messages.js"

/** What a client tells its listeners. */
export interface AgentChatClientEvents {
  /** A message to a channel this client is in, or to itself. `replay` marks history. */
  message: [message: ServerMessage<"MSG">]
  agent_joined: [event: ServerMessage<"AGENT_JOINED">]
  agent_left: [event: ServerMessage<"AGENT_LEFT">]
  presence: [event: ServerMessage<"PRESENCE_CHANGED">]
  /** Somebody let this client into an invite-only channel. */
  invite: [event: ServerMessage<"INVITE">]
  /** A direct message of this client is safe with its recipient. */
  delivery: [event: ServerMessage<"DELIVERY">]
  /** The same identity connected elsewhere; `disconnect` follows, and no reconnect. */
  displaced: [error: ChatError]
  /** The session, or a try to get it back, ended without being asked to. */
  disconnect: [error: ChatError, willReconnect: boolean]
  /** The session is back and the channels are entered again. */
  reconnect: [welcome: ServerMessage<"WELCOME">]
  /** A failure no call waits for. Unlike other emitters' it is not thrown when nobody listens. */
  error: [error: ChatError]
}
