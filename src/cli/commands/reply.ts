import { shellWord } from "../../base/command-hint.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import type { InboxEntry } from "../../daemon/inbox/reader.js"
import { ChatError } from "../../protocol/errors.js"
import { type Address, parseAddress } from "../../protocol/names.js"
import { defineCommand, optional, required } from "../command.js"
import { lineAt, newestLines } from "../daemon/inbox-lines.js"
import { reportSuccess } from "../exit-status.js"
import { messageFrame, messageOptions } from "../input/message-frame.js"
import { anyText, someText } from "../input/values.js"
import { daemonOptions, daemonRequest, requireDaemon } from "../relay/relay-request.js"

type Members = InboxEntry["fields"]

const { "reply-to": _replyTo, ...replyOptions } = messageOptions

export const reply = defineCommand({
  args: {
    "seq|msg_id": optional("the message to answer (default: the last direct message)", someText),
    text: required("the answer; - reads it from standard input", anyText),
  },
  options: { ...daemonOptions, ...replyOptions },
  takesUrl: false,
  examples: [
    "agentchat reply 'port 8080'",
    "agentchat reply 12 'port 8080'",
    "git diff | agentchat reply 12 -",
  ],
  notes: [
    "SEQ is the number that inbox prints before a message; #SEQ works too, in quotes. Answers a direct message to its",
    "author and a message in a channel to the channel. Needs a running daemon of this directory.",
  ],
  async run(context, { args, options }) {
    const { "seq|msg_id": ref, text } = args
    const paths = requireDaemon(context, options.name)
    const line = ref === undefined ? lastDirect(paths) : findLine(paths, ref)
    const { to, msgId } = recipientOf(line)
    const frame = await messageFrame(context, to, text, { ...options, "reply-to": msgId })
    const { msg_id, ts } = await daemonRequest(context, { ...options, name: paths.name }, frame)
    const { seq } = line
    const { name, from } = line.fields as { readonly name?: string; readonly from: string }
    return reportSuccess(
      context,
      { state: "accepted", to, msg_id, ts, in_reply_to: msgId, seq },
      formatForTerminal(`accepted ${String(msg_id)}, answers ${seq} of ${name ?? ""} ${from}`),
    )
  },
})

function findLine(paths: DaemonPaths, ref: string): InboxEntry {
  const digits = /^#?(\d{1,15})$/.exec(ref)?.[1]
  const found =
    digits === undefined
      ? newestLines(paths, 1, ({ msg_id, task }) => msg_id === ref || task === ref)[0]
      : lineAt(paths, Number(digits))
  if (found !== undefined) return found
  throw new ChatError("NOT_FOUND", `reply: the inbox has no message ${JSON.stringify(ref.slice(0, 60))}`, {
    hint: "the number before a message in the inbox names it; if it is part of your text, quote the whole text",
  })
}

function lastDirect(paths: DaemonPaths): InboxEntry {
  const [line] = newestLines(paths, 1, isDirect)
  if (line !== undefined) return line
  throw new ChatError("NOT_FOUND", "reply: the inbox has no direct message", {
    hint: `name the message by its number: agentchat inbox --name ${paths.name}`,
  })
}

function isDirect({ type, to, self }: Members): boolean {
  return type === "MSG" && self !== true && typeof to === "string" && to.startsWith("@")
}

/** @throws {ChatError} USAGE for a line that is no message, with the command that answers it */
function recipientOf({ seq, fields }: InboxEntry): { to: Address; msgId: string } {
  const { type, to, from, msg_id, self, task, id } = fields
  if (type === "MSG" && self !== true && typeof msg_id === "string" && typeof from === "string") {
    return { to: parseAddress(typeof to === "string" && to.startsWith("#") ? to : from), msgId: msg_id }
  }
  const hint =
    type === "TASK"
      ? `agentchat task done ${shellWord(String(task))} 'TEXT'`
      : type === "PROPOSAL"
        ? `agentchat accept ${shellWord(String(id))}, or: agentchat reject ${shellWord(String(id))}`
        : "only messages can be answered"
  throw new ChatError("USAGE", `reply: ${seq} is no message of another agent`, { hint })
}
