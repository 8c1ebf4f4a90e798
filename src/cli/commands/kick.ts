import { defineCommand, required } from "../command.js"
import { agentRef, channel } from "../input/values.js"
import { lastingOptions, moderate } from "../relay/moderate.js"

/** Milliseconds for which a daemon may not come back, which would join again at once. */
const defaultMs = 3_600_000

export const kick = defineCommand({
  args: {
    channel: required("channel", channel),
    agent: required("agent to take out: @name or @id", agentRef),
  },
  options: lastingOptions,
  takesUrl: true,
  examples: [
    "agentchat kick '#general' @bob --reason 'posts test output' --identity operator.json",
    "agentchat kick '#general' @bob --for 24h --reason spam --identity operator.json",
  ],
  notes: ["Only for an operator of the relay. Without --for the agent may join again after an hour."],
  run(context, input) {
    const { agent, channel: name } = input.args
    const { reason, for: forMs = defaultMs } = input.options
    return moderate(context, input, { action: "kick", agent, channel: name, reason, forMs })
  },
})
