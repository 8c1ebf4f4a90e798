import { commandIdPrefix, isWrittenBy } from "../../protocol/message-id.js"
import { type ServerMessage, serverMessages } from "../../protocol/server-messages.js"
import { type IdentifiedLine, type InboxLine, taskLineId } from "./line.js"

const maxReason = 500

/**
 * Converts a message of the relay to an inbox line. Lines are short, because every field costs a reader's context.
 * @param self - the daemon's own agent id; its own replayed channel messages are left out
 * @returns undefined for a message that does not belong in the inbox
 */
export function messageToLine(message: ServerMessage, self: string): IdentifiedLine | undefined {
  switch (message.type) {
    case "MSG":
      // A message to yourself is delivered like any other; one you posted to a channel comes back only as history.
      if (message.from === self && message.to !== self) return undefined
      return { line: messageLine(message), msgId: message.msg_id }
    case "TASK":
      if (isForCommand(message)) return undefined
      return { line: taskLine(message), msgId: taskLineId(message.task, message.attempt) }
    default: {
      const row = serverMessages[message.type]
      const inbox = "inbox" in row ? row.inbox : undefined
      const isAnswer = "re" in message && !isForCommand(message)
      return inbox === "unchanged" || (inbox === "if asked" && isAnswer) ? { line: message } : undefined
    }
  }
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
): IdentifiedLine {
  return { line: { type: "MSG", self: true, from: self, to, content, ts, msg_id: msgId }, msgId }
}

/** Absent fields stay undefined: JSON leaves them out. */
function messageLine(message: ServerMessage<"MSG">): InboxLine {
  const { type, from, name, to, content, ts, msg_id, in_reply_to, kind, mentions, sig, parts } = message
  const hops = message.hops > 0 ? message.hops : undefined
  const replay = message.replay === true ? true : undefined
  // The parts come after msg_id: readLineId takes the first `msg_id` of a line, and parts may contain one.
  return { type, from, name, to, content, ts, msg_id, in_reply_to, hops, kind, mentions, sig, replay, parts }
}

function taskLine(message: ServerMessage<"TASK">): InboxLine {
  const { type, task, role, from, name, content, parts, lease_ms, attempt, ts } = message
  return { type, task, role, from, name, content, parts, lease_ms, attempt, ts }
}

/** Reports whether a message answers a CLI command, which prints it itself. */
function isForCommand({ re }: { readonly re?: string }): boolean {
  return re?.startsWith(commandIdPrefix) === true
}

/** Reports whether a message id begins with its sender's id, as every relay makes it. */
export function isFromSender({ from, msg_id: msgId }: ServerMessage<"MSG">): boolean {
  return isWrittenBy(from, msgId)
}
