import { pairOf } from "../../guards/scopes.js"
import type { Kind } from "../../protocol/message-kinds.js"
import type { AgentId, Channel as ChannelName } from "../../protocol/names.js"
import type { Channel } from "../channels/channel.js"
import type { Stored } from "../delivery/message-json.js"
import { answerIdOf } from "../tasks/task-messages.js"
import type { GuardInput } from "./guard-service.js"
import { readableText } from "./message-text.js"

/**
 * A message that a relay let pass, as the guards look at it; undefined for anything else. The answer to a task is
 * nothing that was said.
 */
export function replicatedInput(
  message: Stored,
  channelOf: (name: ChannelName) => Channel | undefined,
): GuardInput | undefined {
  if (message.type !== "MSG") return undefined
  const { msg_id: id, from, to, in_reply_to: answers, mentions = [] } = message
  const kind = message.kind as Kind | undefined
  if (answers !== undefined && id === answerIdOf(from as AgentId, answers)) return undefined
  const channel = to.startsWith("#") ? channelOf(to as ChannelName) : undefined
  const said = readableText(message)
  return {
    ...{ id, from, kind, answers, text: said },
    room: to.startsWith("#") ? to : pairOf(from, to),
    to: to.startsWith("#") ? mentions : [to],
    recipients: channel?.members.size ?? 1,
    bytes: Buffer.byteLength(said),
  }
}
