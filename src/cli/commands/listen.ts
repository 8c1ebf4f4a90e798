import type { Timer } from "../../base/clock.js"
import type { AgentChatClient } from "../../client/client.js"
import { ChatError } from "../../protocol/errors.js"
import { defaultChannels } from "../../protocol/limits.js"
import { type Channel, parseChannel } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import { defineCommand, flag, rest, value } from "../command.js"
import type { Context } from "../context.js"
import { ExitStatus } from "../exit-status.js"
import { channel, choice, seconds, wholeNumber } from "../input/values.js"
import { makeColors } from "../output/message-text.js"
import { LiveView } from "../output/reading.js"
import { makeClient, sessionOptions } from "../relay/session.js"

const formats = ["json", "text"] as const
/** Bytes that may wait for the reader of standard output. */
const maxUnreadBytes = 16 * 1024 * 1024

export const listen = defineCommand({
  args: { channels: rest(`#channels to join (default ${defaultChannels.join(" ")})`, channel) },
  options: {
    ...sessionOptions,
    "max-messages": value("N", "exit after N messages", wholeNumber(1)),
    replay: flag("also print and count messages from before it joined"),
    timeout: value("S", "exit after S seconds; exit 4 if no message arrived", seconds),
    format: value("FORM", "json (one object per line, the default) or text", choice(formats), formats),
  },
  takesUrl: true,
  examples: [
    "agentchat listen '#general' --max-messages 5",
    "agentchat listen ws://127.0.0.1:6667 '#general' '#agents' --timeout 60",
    "agentchat listen --format text",
  ],
  notes: ["Prints messages only while it runs. To miss none, run a daemon and read its inbox."],
  async run(context, input) {
    const { io, config, clock } = context
    const { "max-messages": messages, timeout: timeoutMs, format, replay } = input.options
    const colors = makeColors(io.hasColor)
    const asText = format === "text" && !config.json
    const live = new LiveView(
      clock,
      () => ({ colors, nowMs: clock.now() }),
      (line) => io.out(line),
    )
    const print = (message: ServerMessage) => {
      if (asText) live.add({ ...message, seq: undefined })
      else io.json(message)
      if (io.output.writableLength <= maxUnreadBytes) return
      listener.end(
        new ChatError("FILE_FAILED", "standard output is not read, so further messages are left out", {
          hint: "to miss none, run a daemon and read its inbox: agentchat inbox --follow",
        }),
      )
    }
    const client = await makeClient(context, input, { reconnect: false })
    const listener = new Listener(client, { messages, timeoutMs, hasReplay: replay }, print)
    listener.start(context)
    try {
      const { channels } = input.args
      const joined = channels.length > 0 ? channels : defaultChannels.map(parseChannel)
      await Promise.race([join(client, joined), listener.status])
      return await listener.status
    } finally {
      listener.stop()
      live.flush()
      await client.disconnect()
    }
  },
})

async function join(client: AgentChatClient, channels: readonly Channel[]): Promise<void> {
  await client.connect()
  for (const name of channels) await client.join(name)
}

const printedEvents = [
  "message",
  "agent_joined",
  "agent_left",
  "presence",
  "invite",
  "channel_changed",
] as const

/** Limits after which a listener ends; undefined for no limit. */
interface ListenerLimits {
  readonly messages: number | undefined
  readonly timeoutMs: number | undefined
  readonly hasReplay: boolean
}

/** Prints the events of a client until a limit is reached, a signal arrives, or the session is lost. */
class Listener {
  readonly #print: (message: ServerMessage) => void
  readonly #limits: ListenerLimits
  readonly #exit = new ExitStatus()
  #timer: Timer | undefined
  #messages = 0

  constructor(client: AgentChatClient, limits: ListenerLimits, print: (message: ServerMessage) => void) {
    this.#print = print
    this.#limits = limits
    for (const event of printedEvents) {
      client.on(event, (message: ServerMessage) => this.#take(message))
    }
    client.on("disconnect", (error) => this.#exit.end(error))
  }

  /** The exit status. Rejects with TIMEOUT if no message arrived, or with the error that ended the session. */
  get status(): Promise<number> {
    return this.#exit.status
  }

  end(error: ChatError): void {
    this.#exit.end(error)
  }

  /** Starts the timeout and handles signals. */
  start(context: Context): void {
    const { timeoutMs } = this.#limits
    this.#exit.endOnSignal(context)
    if (timeoutMs === undefined) return
    this.#timer = context.clock.setTimer(() => this.#timeOut(timeoutMs), timeoutMs)
  }

  stop(): void {
    this.#timer?.cancel()
  }

  #take(message: ServerMessage): void {
    const isReplay = message.type === "MSG" && message.replay === true
    if (this.#exit.isOver || (isReplay && !this.#limits.hasReplay)) return
    this.#print(message)
    if (message.type === "MSG" && ++this.#messages === this.#limits.messages) this.#exit.end(0)
  }

  #timeOut(timeoutMs: number): void {
    const error = new ChatError("TIMEOUT", `no message came within ${timeoutMs / 1000} s`)
    this.#exit.end(this.#messages > 0 ? 0 : error)
  }
}
