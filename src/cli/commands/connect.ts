import { defaultChannels } from "../../protocol/limits.js"
import { type Nick, parseChannel } from "../../protocol/names.js"
import { Chat } from "../chat/chat.js"
import { ChatScreen } from "../chat/chat-screen.js"
import { defineCommand, list } from "../command.js"
import { ExitStatus } from "../exit-status.js"
import { channel } from "../input/values.js"
import { makeColors } from "../output/message-text.js"
import { makeClient, sessionOptions } from "../relay/session.js"

export const connect = defineCommand({
  args: {},
  options: {
    ...sessionOptions,
    join: list("CHANNEL", `#channels to join (default ${defaultChannels[0]})`, channel),
  },
  takesUrl: true,
  examples: [
    "agentchat connect",
    "agentchat connect --join '#general' '#agents' --nick anna",
    "agentchat connect ws://127.0.0.1:6667 --identity me.json",
  ],
  notes: [
    "Type text to send it; /help lists the commands, such as /join, /dm and /quit.",
    "Without a terminal, reads lines from standard input and prints lines.",
  ],
  async run(context, input) {
    const { io } = context
    const exit = new ExitStatus()
    exit.endOnSignal(context)
    const queue = new TaskQueue((error) => exit.end(error))
    let chat: Chat | undefined
    const screen = new ChatScreen(io, {
      onLine: (line) =>
        queue.add(async () => {
          if ((await chat?.handleLine(line)) === false) exit.end(0)
          else screen.refresh()
        }),
      onEnd: () =>
        queue.add(() => {
          exit.end(0)
          return Promise.resolve()
        }),
      onInterrupt: () => exit.end(130),
    })
    const client = (name?: Nick) => {
      const options = name === undefined ? input.options : { ...input.options, nick: name }
      return makeClient(context, { url: input.url, options }, { reconnect: true })
    }
    queue.add(async () => {
      chat = new Chat(await client(), {
        clock: context.clock,
        view: screen,
        colors: makeColors(io.hasColor),
        makeClient: client,
        onLost: (error) => exit.end(error),
      })
      await chat.connect()
      for (const name of input.options.join ?? [parseChannel(defaultChannels[0])]) await chat.join(name)
    })
    try {
      return await exit.status
    } finally {
      screen.close()
      await chat?.close()
    }
  },
})

/** Runs tasks one after another, so that typed lines are sent in order. A failed task ends the queue. */
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
