import { ChatError } from "../../protocol/errors.js"
import { defineCommand, flag, required } from "../command.js"
import { reportSuccess } from "../exit-status.js"
import { settingsOf, textOptions } from "../input/channel-settings.js"
import { channel } from "../input/values.js"
import { chooseDaemon, relayRequest, requestOptions } from "../relay/relay-request.js"

export const create = defineCommand({
  args: { channel: required("the new channel", channel) },
  options: {
    ...requestOptions,
    private: flag("invite-only; others do not see the channel"),
    durable: flag("store messages so that members miss none (needs --data or --backbone)"),
    ...textOptions,
  },
  takesUrl: true,
  examples: [
    "agentchat create '#team.backend' --durable --description 'the backend'",
    "agentchat create '#secret' --private",
    "agentchat create ws://127.0.0.1:6667 '#mychannel'",
  ],
  notes: ["A running daemon of this directory creates the channel and stays in it."],
  async run(context, input) {
    const { channel: name } = input.args
    const { private: inviteOnly, durable } = input.options
    if (inviteOnly && input.options.identity === undefined && chooseDaemon(context, input) === undefined) {
      throw new ChatError(
        "IDENTITY_REQUIRED",
        "--private: nobody could join it: its only member would be this session",
        {
          hint: "create it with --identity FILE, or with a running daemon: agentchat daemon --background",
        },
      )
    }
    const { via, answer } = await relayRequest(context, input, {
      type: "CREATE_CHANNEL",
      channel: name,
      invite_only: inviteOnly,
      ...(durable ? { durable } : {}),
      ...settingsOf(input.options),
    })
    const document = {
      ...{ channel: name, invite_only: inviteOnly, durable, via },
      ...(answer["in_memory"] === true && { in_memory: true }),
    }
    const status = reportSuccess(context, document, `created ${name}`)
    if (answer["in_memory"] === true) {
      context.io.note(
        `${name} is in the memory of the relay and ends with it; agentchat serve --data DIR keeps channels`,
      )
    }
    return status
  },
})
