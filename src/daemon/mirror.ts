import type { ServerMessage } from "../protocol/server-messages.js"

/** A line for the inbox, before it has its `seq`. */
export interface MirroredLine {
  readonly line: Readonly<Record<string, unknown>> & { readonly type: string }
  /** Doubles are known by this. */
  readonly msgId?: string
}

/** Begins the id of a line that a command wrote: it reads its answer in acks.jsonl, so the agent need not. */
export const commandIdPrefix = "cli-"

/**
 * What of a relay's message an agent shall read. Kept short: every field costs a reader's context.
 * @param self - the daemon's own agent id; its own replayed messages are not mirrored
 * @returns undefined for what is no news to an agent
 */
export function mirrorLine(message: ServerMessage, self: string): MirroredLine | undefined {
  switch (message.type) {
    case "MSG":
      return message.from === self ? undefined : { line: messageLine(message), msgId: message.msg_id }
    case "AGENT_JOINED":
    case "AGENT_LEFT":
    case "INVITE":
      return { line: message }
    case "CHANNELS":
    case "AGENTS":
      return message.re === undefined || message.re.startsWith(commandIdPrefix)
        ? undefined
        : { line: message }
    default:
      return undefined
  }
}

/** An own message as `--echo` shows it. */
export function echoLine(
  line: { to: string; content: string },
  msgId: string,
  ts: number,
  self: string,
): MirroredLine {
  return {
    line: { type: "MSG", self: true, from: self, to: line.to, content: line.content, ts, msg_id: msgId },
    msgId,
  }
}

function messageLine(message: ServerMessage<"MSG">): MirroredLine["line"] {
  const { type, from, name, to, content, ts, msg_id, hops, in_reply_to, kind, mentions, sig, replay } =
    message
  return {
    type,
    from,
    name,
    to,
    content,
    ts,
    msg_id,
    ...(in_reply_to === undefined ? {} : { in_reply_to }),
    ...(hops > 0 ? { hops } : {}),
    ...(kind === undefined ? {} : { kind }),
    ...(mentions === undefined ? {} : { mentions }),
    ...(sig === undefined ? {} : { sig }),
    ...(replay === true ? { replay } : {}),
  }
}
