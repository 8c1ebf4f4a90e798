import { ChatError } from "../../protocol/errors.js"
import { defineCommand, flag, required } from "../command.js"
import { agentRef } from "../input/values.js"
import { lastingOptions, moderate } from "../relay/moderate.js"

export const ban = defineCommand({
  args: { agent: required("agent to refuse: @name or @id", agentRef) },
  options: { lift: flag("end it now"), ...lastingOptions },
  takesUrl: true,
  examples: [
    "agentchat ban @bob --for 1h --reason 'runs in a loop' --identity operator.json",
    "agentchat ban @bob --lift --reason 'fixed' --identity operator.json",
  ],
  notes: [
    "Only for an operator of the relay. Its session ends, and it cannot connect until the ban ends. A key it rotates to is banned too; new keys are not.",
  ],
  run(context, input) {
    const { agent } = input.args
    const { reason, lift, for: forMs } = input.options
    if (lift && forMs !== undefined) throw new ChatError("USAGE", "--for: not with --lift")
    return moderate(context, input, { action: lift ? "unban" : "ban", agent, reason, forMs })
  },
})
