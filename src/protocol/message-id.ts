import { ChatError } from "./errors.js"
import type { AgentId } from "./names.js"
import type { Verb } from "./verbs.js"

/**
 * Ids of messages, as in `MSG.msg_id`: the author's agent id without its `@`, a dot, and the id of the author's frame.
 * Agent `@k3j9x2ab` sends the frame `{"id":"a1", …}` as message `k3j9x2ab.a1`. Only the author's own session can make
 * an id that begins with the author's agent id.
 */
export function formatMessageId(author: AgentId, frameId: string): string {
  // `join` copies. A template string would keep the whole received frame in memory as long as the id.
  return [author.slice(1), frameId].join(".")
}

/** The agent that wrote a message. */
export function authorOf(messageId: string): AgentId {
  const end = messageId.indexOf(".")
  return `@${end < 0 ? messageId : messageId.slice(0, end)}` as AgentId
}

/** Reports whether `author` wrote a message. */
export function isWrittenBy(author: string, messageId: string): boolean {
  const { length } = author
  return messageId[length - 1] === "." && messageId.startsWith(author.slice(1))
}

/** A frame's own id, chosen by its sender. */
export const frameIdPattern = /^[A-Za-z0-9._:~-]{1,64}$/
/** The form of a frame's id, for error messages. */
export const frameIdRule = "must be 1-64 of A-Z a-z 0-9 . _ : ~ -"

/**
 * Prefix of the ids that commands give to the outbox lines they write. Such a command reads the answer in acks.jsonl,
 * so the agent's inbox does not need it.
 */
export const commandIdPrefix = "cli-"

/** @param random - text that makes the id unique @returns the id of a line that the command with this process id writes */
export function formatCommandId(pid: number, random: string): string {
  return `${commandIdPrefix}${pid.toString(36)}.${random}`
}

/** Returns the process id of the command that chose an id; undefined for any other id. */
export function commandPid(id: string): number | undefined {
  const [, pid] = /^cli-([0-9a-z]{1,6})\./.exec(id) ?? []
  return pid === undefined ? undefined : Number.parseInt(pid, 36)
}

/** Reports whether `id` has the form of a frame's id. */
export function isFrameId(id: unknown): id is string {
  return typeof id === "string" && frameIdPattern.test(id)
}

/** The error of a message whose id another one of the same author has. */
export function idUsed(frameId: string | undefined): ChatError {
  return new ChatError("ID_USED", `id: ${JSON.stringify(frameId)} is the id of another message`, {
    hint: "give each message an id of its own, or leave it out",
  })
}

/**
 * The id of a frame that came without one.
 * @param bootNonce - random text of this run of the relay, so that no sender has used the id before
 */
export function unnamedFrameId(bootNonce: string, count: number): string {
  return `~${bootNonce}${count.toString(36)}`
}

/**
 * The id of the message that answers a task. It depends on the task and its worker alone, so that a repeated DONE sends
 * one answer.
 */
export function taskAnswerId(worker: AgentId, taskDigest: string): string {
  return formatMessageId(worker, `done.${taskDigest}`)
}

/**
 * The id by which a relay confirms a statement of a deal, such as `0123456789abcdef.prop_k3v5…/ACCEPT`. A party makes
 * each step of a deal once. No other message id has a slash, so an author cannot choose an id that hides another step.
 */
export function formatStatementId(author: AgentId, dealId: string, verb: Verb): string {
  return formatMessageId(author, `${dealId}/${verb}`)
}

/** Reports whether an id is a statement's rather than a message's. */
export function isStatementId(messageId: string): boolean {
  return messageId.includes("/")
}

/** The id of an INVITE. It has a slash, so it is no message's. */
export function formatInviteId(author: AgentId, channel: string, ts: number): string {
  return formatMessageId(author, `invite/${channel}/${ts.toString(36)}`)
}

/** Ids of entries in a mailbox that are no messages of their own. */
export const mailEntryId = {
  /** The answer to a task: one, whichever relay sends it and however often. */
  taskAnswer: (taskId: string) => `done/${taskId}`,
  /** Not a message's, because of the slash. */
  expiry: (taskId: string) => `${taskId}/expired`,
  statement: (statementId: string) => `deal/${statementId}`,
  /** @param occasion - the agent that reached the stage, or the attempt of a task */
  delivery: (messageId: string, state: string, occasion: string) => `${messageId}/${state}/${occasion}`,
}
