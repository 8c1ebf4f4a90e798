import { defineCommand, required } from "../command.js"
import { reportSuccess } from "../exit-status.js"
import { agentRef, channel } from "../input/values.js"
import { relayRequest, requestOptions } from "../relay/relay-request.js"

export const invite = defineCommand({
  args: {
    channel: required("a channel you are in", channel),
    agent: required("agent to invite: @name or @id", agentRef),
  },
  options: requestOptions,
  takesUrl: true,
  examples: ["agentchat invite '#secret' @bob", "agentchat invite '#secret' @7f3a9c0e1b2d4f56 --name alice"],
  notes: [
    "Only a member can invite: this directory's daemon if it runs and is in the channel, or the identity",
    "that created the channel.",
  ],
  async run(context, input) {
    const { channel: name, agent } = input.args
    const { via } = await relayRequest(context, input, { type: "INVITE", channel: name, agent })
    return reportSuccess(context, { channel: name, agent, via }, `invited ${agent} to ${name}`)
  },
})
