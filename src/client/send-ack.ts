import { omitUndefined } from "../base/plain.js"
import { canonicalize } from "../identity/canonical-json.js"
import type { ClientFrame } from "../protocol/client-messages.js"
import type { ServerMessage, TargetFacts } from "../protocol/server-messages.js"

/** Options of a message besides its text. */
export interface SendOptions {
  /** Id of the message, 1-64 characters. Two calls with the same id send one message. */
  readonly id?: string
  /** `msg_id` of the message this answers. */
  readonly inReplyTo?: string
  readonly kind?: NonNullable<ClientFrame<"MSG">["kind"]>
  /** Agents to notify, `@name` or `@id`. */
  readonly mentions?: readonly string[]
  /** Data besides the text: `{kind: "data", data}`, or an object whose kind is a reverse-DNS name of yours. */
  readonly parts?: NonNullable<ClientFrame<"MSG">["parts"]>
}

/** The relay's acknowledgement of a message. */
export interface SendAck {
  /** The message's id, as every reader sees it in `msg_id`. */
  readonly id: string
  /** When the relay accepted the message, in milliseconds since the Unix epoch. */
  readonly ts: number
  /** Position in the channel; absent for a direct message. */
  readonly seq?: number
  /** Number of sessions it was sent to immediately. */
  readonly recipients: number
  /** Id of the agent a direct message is for. */
  readonly to?: string
  /** Facts that the relay has about that agent, such as when it last read something. */
  readonly target?: TargetFacts
  /** True if the sender is in the channel and so receives the replies. */
  readonly isMember: boolean
  /** True if the relay had the message already. */
  readonly isDuplicate: boolean
}

/** @throws {ChatError} INVALID_MSG for parts that JSON would change, such as NaN or a Date */
export function frameOfMessage(to: string, content: string, options: SendOptions): ClientFrame<"MSG"> {
  const { id, inReplyTo, kind, mentions, parts } = options
  if (parts !== undefined) canonicalize({ parts })
  return {
    type: "MSG",
    to,
    content,
    ...omitUndefined({ id, in_reply_to: inReplyTo, kind, mentions: mentions && [...mentions], parts }),
  }
}

export function ackOf(ack: ServerMessage<"ACK">): SendAck {
  return {
    id: ack.msg_id ?? "",
    ts: ack.ts,
    ...omitUndefined({ seq: ack.seq }),
    recipients: ack.recipients ?? 0,
    ...omitUndefined({ to: ack.to, target: ack.target }),
    isMember: ack.member ?? true,
    isDuplicate: ack.duplicate ?? false,
  }
}
