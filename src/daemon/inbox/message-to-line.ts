import type { ChatError } from "../../protocol/errors.js"
import { commandIdPrefix } from "../../protocol/message-id.js"
import { type ServerMessage, serverMessages } from "../../protocol/server-messages.js"
import { type IdentifiedLine, type InboxLine, taskLineId } from "./line.js"

const maxReason = 500

/** A message of the relay; one that another agent wrote says whether its signature was checked. */
export type ReceivedMessage = ServerMessage & { readonly verified?: boolean }

/**
 * Converts a message of the relay to an inbox line. Lines are short, because every field costs a reader's context.
 * @param self - the daemon's own agent id; its own replayed channel messages are left out
 * @param isAnswer - true if a MSG has the signed answer to a question of the agent
 * @returns undefined for a message that does not belong in the inbox
 */
export function messageToLine(
  message: ReceivedMessage,
  self: string,
  isAnswer = false,
): IdentifiedLine | undefined {
  switch (message.type) {
    case "MSG":
      // A message to yourself is delivered like any other; one you posted to a channel comes back only as history.
      if (message.from === self && message.to !== self) return undefined
      return { line: messageLine(message, message.verified === true, isAnswer), msgId: message.msg_id }
    case "TASK":
      if (isForCommand(message)) return undefined
      return {
        line: taskLine(message, message.verified === true),
        msgId: taskLineId(message.task, message.attempt),
      }
    case "TASK_EXPIRED":
    case "INVITE":
      return { line: message, ...(message.msg_id !== undefined && { msgId: message.msg_id }) }
    default:
      return isForInbox(message) ? { line: message } : undefined
  }
}

function isForInbox(message: ServerMessage): boolean {
  const row = serverMessages[message.type]
  const inbox = "inbox" in row ? row.inbox : undefined
  return inbox === "unchanged" || (inbox === "if asked" && "re" in message && !isForCommand(message))
}

/** Returns the line about a channel that was joined for the first time; undefined if it has nothing to read. */
export function joinedLine({ channel, pattern, settings }: ServerMessage<"JOINED">): InboxLine | undefined {
  const { description, instructions } = settings ?? {}
  if ((description ?? "") === "" && (instructions ?? "") === "") return undefined
  return { type: "JOINED", channel, ...(pattern === undefined ? {} : { pattern }), settings }
}

/** Returns the line about a task that ended without the agent ending it. */
export function lostTaskLine(task: string, reason: string, ts: number): InboxLine {
  return { type: "TASK_LOST", task, reason: reason.slice(0, maxReason), ts }
}

/** Returns the line of the agent's own message, for `--echo`. */
export function echoLine(
  { to, content }: { to: string; content: string },
  msgId: string,
  ts: number,
  self: string,
): InboxLine {
  return { type: "MSG", self: true, from: self, to, content, ts, msg_id: msgId }
}

/**
 * Returns the line about an outbox line that was rejected. Its id is the position in the outbox, so that a line found
 * again after a crash is reported once.
 */
export function rejectedLine(
  { at, id, sha256 }: { readonly at: string; readonly id: string; readonly sha256: string },
  { code, message, hint, candidates }: ChatError,
  ts: number,
): InboxLine {
  return {
    type: "REJECTED",
    id,
    line_sha256: sha256,
    code,
    reason: message,
    hint,
    candidates,
    ts,
    msg_id: at,
  }
}

/** Returns a notice of the daemon to its agent. @param channel - the channel that the hint says to join */
export function noticeLine(code: string, message: string, ts: number, channel?: string): InboxLine {
  const hint = channel === undefined ? undefined : JSON.stringify({ type: "JOIN", channel })
  return { type: "NOTICE", code, message, hint, ts }
}

/** Absent fields stay undefined: JSON leaves them out. */
function messageLine(message: ServerMessage<"MSG">, verified: boolean, isAnswer: boolean): InboxLine {
  // The parts come after msg_id: readLineId takes the first `msg_id` of a line, and parts may contain one.
  return {
    type: message.type,
    from: message.from,
    name: message.name,
    to: message.to,
    content: message.content,
    ts: message.ts,
    msg_id: message.msg_id,
    verified,
    in_reply_to: message.in_reply_to,
    hops: message.hops > 0 ? message.hops : undefined,
    kind: message.kind,
    wait_ms: message.wait_ms,
    mentions: message.mentions,
    sig: message.sig,
    answer: message.answer && { verified: isAnswer, ...message.answer },
    replay: message.replay === true ? true : undefined,
    parts: message.parts,
  }
}

function taskLine(message: ServerMessage<"TASK">, verified: boolean): InboxLine {
  const { type, task, role, from, name, content, parts, lease_ms, attempt, ts } = message
  const { choices, schema, default: fallback, expires_ts, offered } = message
  const question = { choices, schema, default: fallback, expires_ts, offered }
  return { type, task, role, from, name, verified, content, parts, lease_ms, attempt, ts, ...question }
}

/** Reports whether a message answers a CLI command, which prints it itself. */
function isForCommand({ re }: { readonly re?: string }): boolean {
  return re?.startsWith(commandIdPrefix) === true
}
