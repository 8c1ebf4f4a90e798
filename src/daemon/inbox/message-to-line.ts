import { isWrittenBy } from "../../protocol/message-id.js"
import type { ServerMessage, ServerType } from "../../protocol/server-messages.js"
import { commandIdPrefix } from "../delivery/command-id.js"
import { taskLineId } from "./line.js"

/** A line for the inbox, before it has its `seq`. */
export interface MirroredLine {
  readonly line: Readonly<Record<string, unknown>> & { readonly type: string }
  /** Doubles are known by this. */
  readonly msgId?: string
}

const reasonLength = 500

/** Messages that an agent reads as they are. */
const newsTypes: ReadonlySet<ServerType> = new Set([
  "AGENT_JOINED",
  "AGENT_LEFT",
  "CHANNEL_CHANGED",
  "INVITE",
])

/** Answers to what an agent asked in its outbox. */
const answerTypes: ReadonlySet<ServerType> = new Set(["CHANNELS", "AGENTS", "PENDING", "GUARDS", "FORECAST"])

/**
 * What of a relay's message an agent shall read. Kept short: every field costs a reader's context.
 * @param self - the daemon's own agent id; its own replayed messages are not mirrored
 * @returns undefined for what is no news to an agent
 */
export function mirrorLine(message: ServerMessage, self: string): MirroredLine | undefined {
  switch (message.type) {
    case "MSG":
      // A note to oneself is mail like any other; what one posted comes back only as history.
      if (message.from === self && message.to !== self) return undefined
      return { line: messageLine(message), msgId: message.msg_id }
    case "TASK":
      return isForCommand(message)
        ? undefined
        : { line: taskLine(message), msgId: taskLineId(message.task, message.attempt) }
    default:
      if (answerTypes.has(message.type)) return isOwnAnswer(message) ? { line: message } : undefined
      return newsTypes.has(message.type) ? { line: message } : undefined
  }
}

/** What an agent should read of a channel it came into for the first time; nothing when nobody wrote anything. */
export function welcomeLine({
  channel,
  pattern,
  settings,
}: ServerMessage<"JOINED">): MirroredLine["line"] | undefined {
  const { description, instructions } = settings ?? {}
  if ((description ?? "") === "" && (instructions ?? "") === "") return undefined
  return { type: "JOINED", channel, ...(pattern === undefined ? {} : { pattern }), settings }
}

/** The end of a task that the agent did not end itself. */
export function lostTaskLine(task: string, reason: string, ts: number): MirroredLine["line"] {
  return { type: "TASK_LOST", task, reason: reason.slice(0, reasonLength), ts }
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
  const { type, from, name, to, content, ts, msg_id, hops, in_reply_to, kind, mentions, sig, replay, parts } =
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
    // After msg_id: what others put into objects must not be found where the inbox looks for its own.
    ...(parts === undefined ? {} : { parts }),
  }
}

function taskLine(message: ServerMessage<"TASK">): MirroredLine["line"] {
  const { type, task, role, from, name, content, parts, lease_ms, attempt, ts } = message
  return {
    type,
    task,
    role,
    from,
    name,
    content,
    ...(parts === undefined ? {} : { parts }),
    lease_ms,
    attempt,
    ts,
  }
}

function isOwnAnswer(message: ServerMessage): boolean {
  return "re" in message && !isForCommand(message)
}

function isForCommand({ re }: { readonly re?: string }): boolean {
  return re?.startsWith(commandIdPrefix) === true
}

/** A relay makes each msg_id from its sender's id; one where they differ came past the relay's checks. */
export function isFromSender({ from, msg_id: msgId }: ServerMessage<"MSG">): boolean {
  return isWrittenBy(from, msgId)
}
