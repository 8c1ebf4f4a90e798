import { defaultChannels } from "../../protocol/limits.js"
import { parseChannel } from "../../protocol/names.js"
import { humanRole } from "../../protocol/questions.js"
import { Chat } from "../chat/chat.js"
import { ChatScreen } from "../chat/chat-screen.js"
import { defineCommand, flag, list } from "../command.js"
import { ExitStatus } from "../exit-status.js"
import { channel } from "../input/values.js"
import { makeColors } from "../output/message-text.js"
import { lastingIdentity } from "../relay/person-identity.js"
import { makeClient, sessionOptions } from "../relay/session.js"

export const connect = defineCommand({
  args: {},
  options: {
    ...sessionOptions,
    ephemeral: flag("use a random id for this session"),
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
    "Questions to +human appear here: /needs lists them, /answer answers.",
    "Your id lasts: one for each name and directory, in .agentchat/people.",
    "Without a terminal, reads lines from standard input and prints lines.",
  ],
  async run(context, input) {
    const { io } = context
    const exit = new ExitStatus()
    exit.endOnSignal(context)
    const queue = new TaskQueue((error) => exit.end(error))
    let chat: Chat | undefined
    const screen = new ChatScreen(
      io,
      context.clock,
      {
        onPaste: (lines) =>
          queue.add(() => {
            chat?.handlePaste(lines)
            screen.refresh()
            return Promise.resolve()
          }),
        complete: (line) => chat?.complete(line) ?? [],
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
      },
      context.env["TERM"] === "dumb",
    )
    const own = lastingIdentity(context, input.options)
    const identity = input.options.identity ?? own?.path
    const client = (name = input.options.nick) =>
      makeClient(
        context,
        { url: input.url, options: { ...input.options, identity, nick: name } },
        // Only an agent with a key can answer.
        { reconnect: true, ...(identity !== undefined && { role: humanRole }) },
      )
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
      own?.release()
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
