import { defineCommand, flag, required } from "../command.js"
import { speak, speakOptions } from "../speak.js"
import { channel } from "../values.js"

export const create = defineCommand({
  args: { channel: required("the new channel", channel) },
  options: { ...speakOptions, private: flag("invite-only: others do not even see it") },
  takesUrl: true,
  examples: [
    "agentchat create '#team.backend'",
    "agentchat create '#secret' --private",
    "agentchat create ws://127.0.0.1:6667 '#mychannel'",
  ],
  notes: ["A running daemon of this directory makes the channel and stays in it."],
  async run(context, input) {
    const { io, config } = context
    const { channel: name } = input.args
    const frame = { type: "CREATE_CHANNEL", channel: name, invite_only: input.options.private } as const
    const { via } = await speak(context, input, frame)
    if (config.json) io.json({ ok: true, channel: name, invite_only: input.options.private, via })
    else io.out(`created ${name}`)
    if (via === "relay" && input.options.private && input.options.identity === undefined) {
      io.talk("nobody can enter it: it belongs to a session that is over; use --identity, or a daemon")
    }
    return 0
  },
})
