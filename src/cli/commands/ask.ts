import { defineCommand, required, value } from "../command.js"
import { messageFrame, messageOptions } from "../input/message-frame.js"
import { anyText, seconds, worker } from "../input/values.js"
import { sendAndWait } from "../relay/delivery.js"
import { requestOptions } from "../relay/relay-request.js"

/** Milliseconds to wait for the answer, without `--wait`. */
const answerMs = 120_000

const { timeout: _timeout, ...senderOptions } = requestOptions

export const ask = defineCommand({
  args: {
    target: required("@agent or +role (one free worker of it)", worker),
    text: required("the question; - reads it from standard input", anyText),
  },
  options: {
    ...senderOptions,
    wait: value("S", `seconds to wait for the answer (default ${answerMs / 1_000})`, seconds),
    ...messageOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat ask +reviewer 'is src/a.ts safe to merge?'",
    "agentchat ask @bob 'which port?' --wait 30",
    "git diff | agentchat ask +reviewer - --wait 600 --json",
  ],
  notes: [
    "Prints the answer. Exit 4 on timeout; prints whether the question is queued or who claimed it.",
    "The question is not lost: a late answer arrives in the inbox of the daemon that asked.",
  ],
  async run(context, input) {
    const { target, text } = input.args
    const frame = await messageFrame(context, target, text, input.options)
    return sendAndWait(context, input, {
      frame,
      wanted: "answered",
      timeoutMs: input.options.wait ?? answerMs,
    })
  },
})
