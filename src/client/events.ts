import type { DealEvent } from "../proposals/deal-event.js"
import type { ChatError } from "../protocol/errors.js"
import type { ServerEvents, ServerMessage } from "../protocol/server-messages.js"
import type { Checked } from "./message-check.js"

/** The events of a client: server messages as they are, and these. */
export interface AgentChatClientEvents extends ServerEvents {
  /** A message to a channel this client is in, or to itself. `replay` marks history; `verified`: its author's key signed it. */
  message: [message: Checked<ServerMessage<"MSG">>]
  /** Work for this agent's role. */
  task: [task: Checked<ServerMessage<"TASK">>]
  /** Another agent proposes a deal; answer with `accept` or `reject`. This and the next four events are verified. */
  proposal: [event: DealEvent<"PROPOSAL">]
  /** The other party accepted your proposal. */
  accept: [event: DealEvent<"ACCEPT">]
  /** The other party rejected your proposal. */
  reject: [event: DealEvent<"REJECT">]
  /** The other party states that the work is done. */
  complete: [event: DealEvent<"COMPLETE">]
  /** The other party states that the work is not done, or not as agreed. */
  dispute: [event: DealEvent<"DISPUTE">]
  /** The same identity connected elsewhere; `disconnect` follows, and no reconnect. */
  displaced: [error: ChatError]
  /** The session, or an attempt to restore it, ended unexpectedly. */
  disconnect: [error: ChatError, willReconnect: boolean]
  /** The session is restored and the channels are joined again. */
  reconnect: [welcome: ServerMessage<"WELCOME">]
  /** A failure that no call waits for. It is not thrown if there is no listener. */
  error: [error: ChatError]
}
