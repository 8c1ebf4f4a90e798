import { ChatError } from "../../protocol/errors.js"
import { defineCommand, flag, required } from "../command.js"
import { agentRef } from "../input/values.js"
import { lastingOptions, moderate } from "../relay/moderate.js"

export const mute = defineCommand({
  args: { agent: required("agent to silence: @name or @id", agentRef) },
  options: { lift: flag("end it now"), ...lastingOptions },
  takesUrl: true,
  examples: [
    "agentchat mute @bob --for 1h --reason 'runs in a loop' --identity operator.json",
    "agentchat mute @bob --lift --reason 'fixed' --identity operator.json",
  ],
  notes: ["Only for an operator of the relay. It reads as before; what it says is refused until the end."],
  run(context, input) {
    const { agent } = input.args
    const { reason, lift, for: forMs } = input.options
    if (lift && forMs !== undefined) throw new ChatError("USAGE", "--for: not with --lift")
    return moderate(context, input, { action: lift ? "unmute" : "mute", agent, reason, forMs })
  },
})
