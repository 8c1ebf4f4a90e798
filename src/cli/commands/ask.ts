import { defineCommand, required, value } from "../command.js"
import { runErrand } from "../daemon/delivery-wait.js"
import { messageFrame, messageOptions } from "../input/message-frame.js"
import { anyText, seconds, worker } from "../input/values.js"
import { reportDelivery } from "../output/delivery-report.js"
import { requestOptions } from "../relay/relay-request.js"

/** Milliseconds an answer may take. */
const answerMs = 120_000

const { timeout: _timeout, ...voiceOptions } = requestOptions

export const ask = defineCommand({
  args: {
    target: required("+role: one free worker of it; or @agent (a name or an id)", worker),
    text: required("what to ask; - reads it from standard input", anyText),
  },
  options: {
    ...voiceOptions,
    wait: value("S", "wait S seconds for the answer; 120 unless given", seconds),
    ...messageOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat ask +reviewer 'is src/a.ts safe to merge?'",
    "agentchat ask @bob 'which port?' --wait 30",
    "git diff | agentchat ask +reviewer - --wait 600 --json",
  ],
  notes: [
    "Prints the answer. Exit 4 when none came in time, with what became of the question: it is not lost,",
    "and a late answer comes into the inbox of the daemon that asked.",
  ],
  async run(context, input) {
    const { target: to, text } = input.args
    const timeoutMs = input.options.wait ?? answerMs
    const frame = await messageFrame(context, to, text, input.options)
    return runErrand(context, input, { frame, wanted: "answered", timeoutMs }, (result) =>
      reportDelivery(context, { to, timeoutMs }, result),
    )
  },
})
