import type { ClientFrame } from "../protocol/client-messages.js"
import type { ServerMessage } from "../protocol/server-messages.js"

/** What may be said beside a message's text. */
export interface SendOptions {
  /** The message's own id, 1-64 characters: sent twice with the same id it stays one message. */
  readonly id?: string
  /** `msg_id` of the message this answers. */
  readonly inReplyTo?: string
  readonly kind?: NonNullable<ClientFrame<"MSG">["kind"]>
  /** Agents to call attention to, `@name` or `@id`. */
  readonly mentions?: readonly string[]
  /** What goes along with the text: `{kind: "data", data}`, or an object of a kind of your own, in reverse DNS. */
  readonly parts?: NonNullable<ClientFrame<"MSG">["parts"]>
}

/** The relay has the message. */
export interface SendAck {
  /** The message's id, as every reader sees it in `msg_id`. */
  readonly id: string
  /** When the relay took it, milliseconds since the Unix epoch. */
  readonly ts: number
  /** Position in the channel; absent for a direct message. */
  readonly seq?: number
  /** Sessions it went to at once. */
  readonly recipients: number
  /** Id of the agent a direct message is for. */
  readonly to?: string
  /** Whether the sender is in the channel, and so hears the answers. */
  readonly isMember: boolean
  /** Whether the relay had it before. */
  readonly isDuplicate: boolean
}

/** The frame of a message. */
export function frameOfMessage(to: string, content: string, options: SendOptions): ClientFrame<"MSG"> {
  const { id, inReplyTo, kind, mentions, parts } = options
  return {
    type: "MSG",
    to,
    content,
    ...(id === undefined ? {} : { id }),
    ...(inReplyTo === undefined ? {} : { in_reply_to: inReplyTo }),
    ...(kind === undefined ? {} : { kind }),
    ...(mentions === undefined ? {} : { mentions: [...mentions] }),
    ...(parts === undefined ? {} : { parts }),
  }
}

/** What an ACK says of a message. */
export function ackOf(ack: ServerMessage<"ACK">): SendAck {
  return {
    id: ack.msg_id ?? "",
    ts: ack.ts,
    ...(ack.seq === undefined ? {} : { seq: ack.seq }),
    recipients: ack.recipients ?? 0,
    ...(ack.to === undefined ? {} : { to: ack.to }),
    isMember: ack.member ?? true,
    isDuplicate: ack.duplicate ?? false,
  }
}
