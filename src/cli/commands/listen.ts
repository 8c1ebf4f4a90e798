import type { AgentChatClient } from "../../client/client.js"
import { defaultChannels } from "../../protocol/limits.js"
import { type Channel, parseChannel } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import { defineCommand, rest, value } from "../command.js"
import { channel, choice, seconds, wholeNumber } from "../input/values.js"
import { makePaint } from "../output/colors.js"
import { formatMessage } from "../output/message-text.js"
import { Listener } from "../relay/listener.js"
import { explained, makeClient, sessionOptions } from "../relay/session.js"

const formats = ["json", "text"] as const

export const listen = defineCommand({
  args: { channels: rest(`#channels to enter; without any, ${defaultChannels.join(" ")}`, channel) },
  options: {
    ...sessionOptions,
    "max-messages": value("N", "end after N messages; replayed ones count", wholeNumber(1)),
    timeout: value("S", "end after S seconds; exit 4 when no message came", seconds),
    format: value("FORM", "json (one object per line; the default) or text", choice(formats), formats),
  },
  takesUrl: true,
  examples: [
    "agentchat listen '#general' --max-messages 5",
    "agentchat listen ws://127.0.0.1:6667 '#general' '#agents' --timeout 60",
    "agentchat listen --format text",
  ],
  notes: ["Prints what comes while it runs. To miss nothing, run a daemon and read its inbox."],
  async run(context, input) {
    const { io, config } = context
    const { "max-messages": messages, timeout: timeoutMs, format } = input.options
    const paint = makePaint(io.hasColor)
    const asText = format === "text" && !config.json
    const print = (message: ServerMessage) => {
      if (asText) io.out(formatMessage(message, paint))
      else io.json(message)
    }
    const client = await makeClient(context, input, { reconnect: false })
    const listener = new Listener(client, { messages, timeoutMs }, print)
    listener.start(context)
    try {
      await Promise.race([enter(client, channelsOf(input.args.channels)), listener.ended])
      return await listener.ended
    } finally {
      listener.stop()
      await client.disconnect()
    }
  },
})

async function enter(client: AgentChatClient, channels: readonly Channel[]): Promise<void> {
  await explained(client.connect())
  for (const name of channels) await client.join(name)
}

function channelsOf(named: readonly Channel[]): readonly Channel[] {
  return named.length > 0 ? named : defaultChannels.map(parseChannel)
}
