import { ChatError } from "../../protocol/errors.js"
import { defineCommand, flag, required } from "../command.js"
import { channel, closeChoice } from "../input/values.js"
import { moderate, moderationOptions } from "../relay/moderate.js"

const verbs = ["clear"] as const

export const history = defineCommand({
  args: {
    verb: required(verbs.join(", "), closeChoice(verbs), verbs),
    channel: required("channel", channel),
  },
  options: { force: flag("delete the messages for good (required)"), ...moderationOptions },
  takesUrl: true,
  examples: [
    "agentchat history clear '#general' --force --reason 'a password'",
    "agentchat history clear '#general' --force --reason 'a password' --identity operator.json",
  ],
  notes: [
    "Only for an operator of the relay. Deletes what the relay keeps of a channel; what members have received stays in",
    "their inboxes. With serve --two-person, a second operator has to give the same command within 10 minutes.",
  ],
  run(context, input) {
    const { channel: name } = input.args
    const { reason, force } = input.options
    if (!force) {
      throw new ChatError("USAGE", "--force: is required, because the messages cannot be brought back")
    }
    return moderate(context, input, { action: "clear", channel: name, reason })
  },
})
