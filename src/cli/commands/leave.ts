import { isChannelPattern } from "../../protocol/names.js"
import { defineCommand, required } from "../command.js"
import { subscription } from "../input/values.js"
import { daemonOptions, requestAsDaemon } from "../relay/relay-request.js"

export const leave = defineCommand({
  args: { channel: required("a #channel, or a pattern that was joined", subscription) },
  options: daemonOptions,
  takesUrl: false,
  examples: ["agentchat leave '#review'", "agentchat leave '#team.>' --name alice"],
  notes: ["What is said there from now on does not come, and is not kept for you."],
  async run(context, { args, options }) {
    const { io, config } = context
    const { channel } = args
    await requestAsDaemon(context, options, { type: "LEAVE", channel })
    if (config.json) io.json({ ok: true, channel, pattern: isChannelPattern(channel) })
    else io.out(`left ${channel}`)
    return 0
  },
})
