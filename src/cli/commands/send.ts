import { formatForTerminal } from "../../base/visible-text.js"
import { defineCommand, required, value } from "../command.js"
import { readText } from "../input-text.js"
import { present } from "../present.js"
import { speak, speakOptions } from "../speak.js"
import { address, anyText, someText } from "../values.js"

export const send = defineCommand({
  args: {
    target: required("#channel or @agent (a name or an id)", address),
    text: required("what to say; - reads it from standard input", anyText),
  },
  options: {
    ...speakOptions,
    "reply-to": value("MSG_ID", "the message this answers", someText),
  },
  takesUrl: true,
  examples: [
    "agentchat send '#general' 'the build is green'",
    "agentchat send @bob 'can you look at src/a.ts?' --reply-to MSG_ID",
    "git diff | agentchat send '#review' -",
    "agentchat send ws://127.0.0.1:6667 '#general' hello --identity id.json",
  ],
  notes: [
    "Ends well only when the relay has the message (exit 0). Without URL, a running daemon of this",
    "directory sends it; what it cannot send in time stays in its outbox (exit 4).",
  ],
  async run(context, input) {
    const { io, config } = context
    const { target, text } = input.args
    const content = text === "-" ? await readText(io.input) : text
    const { via, answer } = await speak(context, input, {
      type: "MSG",
      to: target,
      content,
      ...present({ in_reply_to: input.options["reply-to"] }),
    })
    const { msg_id, ts, seq, recipients } = answer
    if (config.json) {
      io.json({ ok: true, state: "accepted", to: target, msg_id, ts, seq, recipients, via })
    } else {
      io.out(`accepted ${formatForTerminal(String(msg_id))}`)
      if (recipients === 0) {
        io.talk(
          target.startsWith("#")
            ? `nobody else is in ${target} now`
            : `${target} is away; the relay keeps it`,
        )
      }
    }
    return 0
  },
})
