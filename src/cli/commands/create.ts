import { defineCommand, flag, required } from "../command.js"
import { settingsOf, textOptions } from "../input/channel-settings.js"
import { channel } from "../input/values.js"
import { relayRequest, requestOptions } from "../relay/relay-request.js"

export const create = defineCommand({
  args: { channel: required("the new channel", channel) },
  options: {
    ...requestOptions,
    private: flag("invite-only: others do not even see it"),
    durable: flag("kept on disk: every member goes on where it stopped (relay with --data or --backbone)"),
    ...textOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat create '#team.backend' --durable --description 'the backend, and who breaks it'",
    "agentchat create '#secret' --private",
    "agentchat create ws://127.0.0.1:6667 '#mychannel'",
  ],
  notes: ["A running daemon of this directory makes the channel and stays in it."],
  async run(context, input) {
    const { io, config } = context
    const { channel: name } = input.args
    const { private: inviteOnly, durable } = input.options
    const { via } = await relayRequest(context, input, {
      type: "CREATE_CHANNEL",
      channel: name,
      invite_only: inviteOnly,
      ...(durable ? { durable } : {}),
      ...settingsOf(input.options),
    })
    if (config.json) io.json({ ok: true, channel: name, invite_only: inviteOnly, durable, via })
    else io.out(`created ${name}`)
    if (via === "relay" && inviteOnly && input.options.identity === undefined) {
      io.talk("nobody can enter it: it belongs to a session that is over; use --identity, or a daemon")
    }
    return 0
  },
})
