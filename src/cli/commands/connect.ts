import { defaultChannels } from "../../protocol/limits.js"
import { type Nick, parseChannel } from "../../protocol/names.js"
import { Chat } from "../chat/chat.js"
import { ChatScreen } from "../chat/chat-screen.js"
import { defineCommand, list } from "../command.js"
import { Outcome } from "../exit-status.js"
import { channel } from "../input/values.js"
import { makePaint } from "../output/colors.js"
import { explained, makeClient, sessionOptions } from "../relay/session.js"

export const connect = defineCommand({
  args: {},
  options: {
    ...sessionOptions,
    join: list("CHANNEL", `#channels to enter; ${defaultChannels[0]} unless given`, channel),
  },
  takesUrl: true,
  examples: [
    "agentchat connect",
    "agentchat connect --join '#general' '#agents' --nick anna",
    "agentchat connect ws://127.0.0.1:6667 --identity me.json",
  ],
  notes: [
    "A prompt with history: type to talk; /join /leave /who /dm /nick /quit, and /help for more.",
    "Without a terminal: lines in, lines out.",
  ],
  async run(context, input) {
    const { io } = context
    const outcome = new Outcome()
    outcome.heedSignals(context)
    const queue = new TaskQueue((error) => outcome.end(error))
    let chat: Chat | undefined
    const screen = new ChatScreen(io, {
      onLine: (line) =>
        queue.add(async () => {
          if ((await chat?.take(line)) === false) outcome.end(0)
          else screen.refresh()
        }),
      onEnd: () =>
        queue.add(() => {
          outcome.end(0)
          return Promise.resolve()
        }),
      onInterrupt: () => outcome.end(130),
    })
    const client = (name?: Nick) => {
      const options = name === undefined ? input.options : { ...input.options, nick: name }
      return makeClient(context, { url: input.url, options }, { reconnect: true })
    }
    queue.add(async () => {
      const paint = makePaint(io.hasColor)
      chat = new Chat(await client(), {
        clock: context.clock,
        view: screen,
        paint,
        makeClient: client,
        onLost: (error) => outcome.end(error),
      })
      await explained(chat.connect())
      for (const name of input.options.join ?? [parseChannel(defaultChannels[0])]) await chat.join(name)
    })
    try {
      return await outcome.status
    } finally {
      screen.close()
      await chat?.close()
    }
  },
})

/** One after the other: a person's words stay in order. After one that failed, none is begun. */
class TaskQueue {
  readonly #onError: (error: Error) => void
  #last: Promise<void> = Promise.resolve()

  constructor(onError: (error: Error) => void) {
    this.#onError = onError
  }

  add(task: () => Promise<void>): void {
    this.#last = this.#last.then(task)
    this.#last.catch((error: unknown) => this.#onError(error as Error))
  }
}
