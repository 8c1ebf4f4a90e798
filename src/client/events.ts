import type { ChatError } from "../protocol/errors.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import type { DealEvent } from "./deals/deal-event.js"

/** What a client tells its listeners. */
export interface AgentChatClientEvents {
  /** A message to a channel this client is in, or to itself. `replay` marks history. */
  message: [message: ServerMessage<"MSG">]
  agent_joined: [event: ServerMessage<"AGENT_JOINED">]
  agent_left: [event: ServerMessage<"AGENT_LEFT">]
  presence: [event: ServerMessage<"PRESENCE_CHANGED">]
  /** Somebody let this client into an invite-only channel. */
  invite: [event: ServerMessage<"INVITE">]
  /** Work for the role this client has, under a lease: end it with `done` or `fail`, renew it with `extend`. */
  task: [event: ServerMessage<"TASK">]
  /** A task is no longer this client's: its lease ended, or somebody else has ended it. */
  task_lost: [event: ServerMessage<"TASK_LOST">]
  /** A channel this client is in tells newcomers something else now. */
  channel_changed: [event: ServerMessage<"CHANNEL_CHANGED">]
  /** A message of this client reached a rung: `mirrored`, `retrieved`; for a task `claimed`, `failed`. */
  delivery: [event: ServerMessage<"DELIVERY">]
  /** A guard of the relay warns or stopped this client, or lets it go on. */
  guard: [event: ServerMessage<"GUARD">]
  /** Another agent proposes something: answer it with `accept` or `reject`. Verified, as the four below. */
  proposal: [event: DealEvent<"PROPOSAL">]
  /** The other party took one's own proposal. */
  accept: [event: DealEvent<"ACCEPT">]
  /** The other party turned it down. */
  reject: [event: DealEvent<"REJECT">]
  /** The other party says that a deal is carried out. */
  complete: [event: DealEvent<"COMPLETE">]
  /** The other party says that it is not, or not as agreed. */
  dispute: [event: DealEvent<"DISPUTE">]
  /** The same identity connected elsewhere; `disconnect` follows, and no reconnect. */
  displaced: [error: ChatError]
  /** The session, or a try to get it back, ended without being asked to. */
  disconnect: [error: ChatError, willReconnect: boolean]
  /** The session is back and the channels are entered again. */
  reconnect: [welcome: ServerMessage<"WELCOME">]
  /** A failure no call waits for. Unlike other emitters' it is not thrown when nobody listens. */
  error: [error: ChatError]
}
