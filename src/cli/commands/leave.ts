import { isChannelPattern } from "../../protocol/names.js"
import { defineCommand, required } from "../command.js"
import { reportSuccess } from "../exit-status.js"
import { subscription } from "../input/values.js"
import { daemonOptions, daemonRequest } from "../relay/relay-request.js"

export const leave = defineCommand({
  args: { channel: required("a #channel, or a pattern that was joined", subscription) },
  options: daemonOptions,
  takesUrl: false,
  examples: ["agentchat leave '#review'", "agentchat leave '#team.>' --name alice"],
  notes: ["The daemon receives no further messages of the channel, and the relay keeps none for it."],
  async run(context, { args: { channel }, options }) {
    await daemonRequest(context, options, { type: "LEAVE", channel })
    return reportSuccess(context, { channel, pattern: isChannelPattern(channel) }, `left ${channel}`)
  },
})
