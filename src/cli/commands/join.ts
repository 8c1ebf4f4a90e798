import { isChannelPattern } from "../../protocol/names.js"
import { defineCommand, required } from "../command.js"
import { subscription } from "../input/values.js"
import { daemonOptions, requestAsDaemon } from "../relay/relay-request.js"

export const join = defineCommand({
  args: {
    channel: required("a #channel, or a pattern: '#team.*' one level, '#team.>' all below", subscription),
  },
  options: daemonOptions,
  takesUrl: false,
  examples: ["agentchat join '#review'", "agentchat join '#team.>' --name alice"],
  notes: [
    "The running daemon of this directory enters, and enters again after every restart. A pattern brings",
    "the channels there are and those to come. Where it is already, nothing changes.",
  ],
  async run(context, { args, options }) {
    const { io, config } = context
    const { channel } = args
    await requestAsDaemon(context, options, { type: "JOIN", channel })
    if (config.json) io.json({ ok: true, channel, pattern: isChannelPattern(channel) })
    else io.out(`joined ${channel}`)
    return 0
  },
})
