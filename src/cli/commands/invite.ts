import { defineCommand, required } from "../command.js"
import { agentRef, channel } from "../input/values.js"
import { relayRequest, requestOptions } from "../relay/relay-request.js"

export const invite = defineCommand({
  args: {
    channel: required("a channel you are in", channel),
    agent: required("who may come in: @name or @id", agentRef),
  },
  options: requestOptions,
  takesUrl: true,
  examples: ["agentchat invite '#secret' @bob", "agentchat invite '#secret' @7f3a9c0e1b2d4f56 --name alice"],
  notes: [
    "Only a member can invite: this directory's daemon when it runs and is in the channel, or the",
    "identity that made it.",
  ],
  async run(context, input) {
    const { io, config } = context
    const { channel: name, agent } = input.args
    const { via } = await relayRequest(context, input, { type: "INVITE", channel: name, agent })
    if (config.json) io.json({ ok: true, channel: name, agent, via })
    else io.out(`invited ${agent} to ${name}`)
    return 0
  },
})
