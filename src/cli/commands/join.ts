import { isChannelPattern } from "../../protocol/names.js"
import { defineCommand, required } from "../command.js"
import { reportSuccess } from "../exit-status.js"
import { subscription } from "../input/values.js"
import { daemonOptions, daemonRequest } from "../relay/relay-request.js"

export const join = defineCommand({
  args: {
    channel: required("a #channel, or a pattern: '#team.*' for one level, '#team.>' for all", subscription),
  },
  options: daemonOptions,
  takesUrl: false,
  examples: ["agentchat join '#review'", "agentchat join '#team.>' --name alice"],
  notes: [
    "The running daemon of this directory joins, and joins again after each restart. A pattern includes",
    "channels that are created later.",
  ],
  async run(context, { args: { channel }, options }) {
    await daemonRequest(context, options, { type: "JOIN", channel })
    return reportSuccess(context, { channel, pattern: isChannelPattern(channel) }, `joined ${channel}`)
  },
})
