import { type Clock, delay } from "../../base/clock.js"
import { LruMap } from "../../base/lru-map.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { AgentChatClient } from "../../client/client.js"
import type { PresenceState } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { defaultChannels } from "../../protocol/limits.js"
import {
  type Address,
  type AgentRef,
  type Channel,
  type Nick,
  nickPattern,
  parseAddress,
  parseAgentRef,
  parseChannel,
  parseNick,
} from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import { type Colors, formatMessage, type Look } from "../output/message-text.js"
import { LiveView, note } from "../output/reading.js"
import { lastWord } from "./chat-screen.js"
import { ChatViews } from "./chat-views.js"

/** Lines printed of one message, after the first. */
const maxLines = 40
/** Characters printed of one message. */
const maxCharacters = 2_000
const maxKnownIds = 1_000
const maxKnownNames = 200

/** The screen that a chat prints to. */
interface ChatView {
  print(line: string): void
  setTarget(target: string): void
}

export interface ChatOptions {
  readonly clock: Clock
  readonly view: ChatView
  readonly colors: Colors
  /** Creates a client under another name, not connected yet. */
  makeClient(name: Nick): Promise<AgentChatClient>
  /** Called when the session is lost for good. */
  onLost(error: ChatError): void
}

/** A chat session of a person: turns typed lines into requests and received messages into printed lines. */
export class Chat {
  readonly #options: ChatOptions
  readonly #live: LiveView
  #client: AgentChatClient
  readonly #views: ChatViews
  /** Where typed text goes. */
  #target: Address | undefined
  /** Messages that arrived in other channels since the person was there. */
  readonly #unread = new Map<string, number>()
  /** The last message of each channel or agent, for /reply and /thread. */
  readonly #lastIds = new LruMap<string, string>(maxKnownNames)
  /** Names seen, for completion. */
  readonly #names = new LruMap<string, true>(maxKnownNames)
  /** Pasted text that waits for an answer whether to send it. */
  #pasted: string | undefined
  /** Ids of recent messages, to skip those that a new session replays. */
  readonly #knownIds = new LruMap<string, true>(maxKnownIds)

  /** @param client - not connected yet */
  constructor(client: AgentChatClient, options: ChatOptions) {
    this.#options = options
    this.#client = client
    this.#views = new ChatViews({
      client: () => this.#client,
      nowMs: () => options.clock.now(),
      print: (line) => options.view.print(line),
      note: (text) => this.#printNote(text),
      printMessage: (message) => {
        for (const line of this.#linesOf(message)) options.view.print(line)
      },
    })
    this.#live = new LiveView(
      options.clock,
      () => this.#look(),
      (line) => options.view.print(line),
    )
  }

  /**
   * Carries out a typed line, and prints the error if that fails.
   * @returns false if the line ends the chat
   */
  async handleLine(line: string): Promise<boolean> {
    try {
      if (this.#pasted !== undefined) {
        await this.#answerPaste(this.#pasted, line)
        return true
      }
      const action = parseChatLine(line)
      if (action?.kind === "quit") return false
      if (action !== undefined) await this.#act(action)
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#printError(error)
    }
    return true
  }

  /** Asks whether to send lines that were pasted. They are one text; none of them is a command. */
  handlePaste(lines: readonly string[]): void {
    this.#pasted = lines.join("\n")
    this.#printNote(`${lines.length} lines pasted; send them as one message? y or n`)
  }

  async #answerPaste(text: string, answer: string): Promise<void> {
    const isYes = /^\s*\/?y(es)?\s*$/i.test(answer)
    if (!isYes && !/^\s*\/?no?\s*$/i.test(answer)) {
      this.#printNote("y sends the pasted lines, n discards them")
      return
    }
    this.#pasted = undefined
    if (isYes) await this.#send(this.#requireTarget(), text)
    else this.#printNote("discarded")
  }

  /** Returns what the last word of a line may become: a command, a channel or a name. */
  complete(line: string): string[] {
    const word = lastWord(line)
    const commands = line === word ? Object.keys(readers).map((name) => `/${name}`) : []
    const channels = [...new Set([...this.#client.channels, ...defaultChannels])]
    const names = Array.from(this.#names, ([name]) => `@${name}`)
    const all = [...commands, ...channels, ...names]
    const hits = all.filter((text) => word !== "" && text.startsWith(word))
    return hits.map((text) => `${text} `)
  }

  #noteName(name: unknown): void {
    if (typeof name === "string" && nickPattern.test(name)) this.#names.set(name, true)
  }

  /** Opens the session. @throws {ChatError} */
  async connect(): Promise<void> {
    const client = this.#client
    const { view } = this.#options
    client.on("message", (message) => {
      if (!this.#isNew(message.msg_id)) return
      this.#noteName(message.name)
      this.#live.flush()
      for (const line of this.#linesOf(message)) view.print(line)
      this.#noteArrival(message)
    })
    client.on("task", (task) => this.#views.showNeed(task))
    client.on("task_lost", ({ task, reason }) => this.#views.dropNeed(task, reason))
    for (const event of ["agent_joined", "agent_left", "presence", "invite", "channel_changed"] as const) {
      client.on(event, (message: ServerMessage) => {
        this.#noteName((message as { name?: unknown }).name)
        this.#live.add({ ...message, seq: undefined })
      })
    }
    client.on("disconnect", (error, willReconnect) => {
      this.#printError(error)
      if (!willReconnect) this.#options.onLost(error)
    })
    client.on("reconnect", () => this.#printNote("connected again"))
    client.on("error", (error) => this.#printError(error))
    const welcome = await client.connect()
    this.#printNote(
      `on ${formatForTerminal(welcome.server)} as ${formatForTerminal(`${welcome.name} ${welcome.agent_id}`)}`,
    )
  }

  /** Joins a channel, creating it if necessary, and makes it the target of typed text. @throws {ChatError} */
  async join(channel: Channel): Promise<void> {
    const joined = await this.#joinOrCreate(channel)
    for (const { name } of joined.roster) this.#noteName(name)
    this.#setTarget(channel)
    const others = joined.count - 1
    this.#printNote(
      `in ${channel}, ${others === 0 ? "alone" : `with ${others} other${others === 1 ? "" : "s"}`}`,
    )
  }

  async close(): Promise<void> {
    this.#live.flush()
    await this.#client.disconnect()
  }

  async #act(action: Exclude<ChatAction, { kind: "quit" }>): Promise<void> {
    switch (action.kind) {
      case "send":
        return this.#send(this.#requireTarget(), action.text)
      case "join":
        return this.join(action.channel)
      case "leave":
        return this.#leave(action.channel)
      case "who":
        return this.#listAgents(action.channel ?? this.#requireChannel())
      case "list":
        return this.#listChannels()
      case "dm":
        return this.#sendDirect(action.to, action.text)
      case "nick":
        return this.#rename(action.name)
      case "presence":
        return this.#setPresence(action.status, action.activity)
      case "help":
        for (const line of chatHelp) this.#options.view.print(line)
        return undefined
      default:
        return this.#list(action)
    }
  }

  /** Carries out an action about messages, questions, deals and tasks. */
  async #list(action: ListAction): Promise<void> {
    switch (action.kind) {
      case "reply":
        return this.#reply(action.text)
      case "thread":
        return this.#views.thread(action.id ?? this.#lastIdOf(this.#requireTarget()))
      case "history":
        return this.#views.history(action.channel ?? this.#requireChannel())
      case "search":
        return this.#views.search(action.text)
      case "needs":
        return this.#views.needs()
      case "answer":
        return this.#views.answer(action.which, action.text)
      case "deal":
        return this.#views.deal(action.id, action.step, action.text)
      case "task":
        return action.to === undefined ? this.#views.tasks() : this.#send(action.to, action.text)
    }
  }

  /** Sends a direct message; without a text, makes the agent the target of typed text. */
  async #sendDirect(to: AgentRef, text: string): Promise<void> {
    if (text === "") this.#setTarget(to)
    else await this.#send(to, text)
  }

  async #setPresence(status: PresenceState, activity: string): Promise<void> {
    await this.#client.setPresence(status, activity === "" ? undefined : activity)
    this.#printNote(`you are ${status}`)
  }

  /** Sends a text. Retries while the relay refuses it for its rate, so that no typed line is lost. */
  async #send(to: string, text: string, inReplyTo?: string): Promise<void> {
    for (;;) {
      try {
        const options = inReplyTo === undefined ? {} : { inReplyTo }
        const { id, recipients, isMember } = await this.#client.send(to, text, options)
        this.#isNew(id)
        if (recipients === 0 && isMember) this.#printNote(`nobody else is in ${to} now`)
        return
      } catch (error) {
        if (!(error instanceof ChatError) || error.code !== "RATE_LIMITED") throw error
        await delay(this.#options.clock, error.retryAfterMs ?? 1_000)
      }
    }
  }

  async #joinOrCreate(channel: Channel): Promise<ServerMessage<"JOINED">> {
    try {
      return await this.#client.join(channel)
    } catch (error) {
      if (!(error instanceof ChatError) || error.code !== "CHANNEL_NOT_FOUND") throw error
      return this.#client.createChannel(channel)
    }
  }

  async #leave(channel = this.#requireChannel()): Promise<void> {
    await this.#client.leave(channel)
    this.#printNote(`left ${channel}`)
    if (this.#target === channel) this.#setTarget(this.#client.channels.at(-1) as Channel | undefined)
  }

  async #listAgents(channel: Channel): Promise<void> {
    for (const { id, name, status, activity } of await this.#client.listAgents(channel)) {
      const state = activity === undefined ? status : `${status}: ${activity}`
      this.#options.view.print(`  ${[name, id, state].map(formatForTerminal).join("  ")}`)
    }
  }

  async #listChannels(): Promise<void> {
    for (const { name, agents, settings } of await this.#client.listChannels()) {
      const unread = this.#unread.get(name) ?? 0
      const news = unread === 0 ? "" : `${unread} unread`
      const texts = [name, String(agents), news, settings?.description ?? ""].filter((text) => text !== "")
      this.#options.view.print(`  ${texts.map(formatForTerminal).join("  ")}`.trimEnd())
    }
  }

  async #rename(name: Nick): Promise<void> {
    const channels = this.#client.channels as readonly Channel[]
    const client = await this.#options.makeClient(name)
    await this.#client.disconnect()
    this.#client = client
    await this.connect()
    for (const channel of channels) await this.#joinOrCreate(channel)
  }

  #noteArrival({ to, from, msg_id, replay }: ServerMessage<"MSG">): void {
    const place = to.startsWith("#") ? to : from
    this.#lastIds.set(place, msg_id)
    if (replay === true || place === this.#target) return
    this.#unread.set(place, (this.#unread.get(place) ?? 0) + 1)
    this.#showTarget()
  }

  /** Sends an answer to the last message of the channel or agent in the prompt. */
  async #reply(text: string): Promise<void> {
    const target = this.#requireTarget()
    await this.#send(target, text, this.#lastIdOf(target))
  }

  #lastIdOf(target: Address): string {
    const id = this.#lastIds.get(target)
    if (id !== undefined) return id
    throw new ChatError("USAGE", `no message of ${target} was shown yet`, {
      hint: "name its id, or see /history",
    })
  }

  #look(): Look {
    const { colors, clock } = this.#options
    return { colors, nowMs: clock.now() }
  }

  /** Returns the lines to print. A bar before each further line keeps it from looking like a line of the program. */
  #linesOf(message: ServerMessage<"MSG">): string[] {
    const { length } = message.content
    const [first = "", ...others] = message.content.slice(0, maxCharacters).toWellFormed().split(/\r?\n/)
    const head = formatMessage({ ...message, content: first, seq: undefined }, this.#look())
    const self = this.#client.agentId
    const isForMe = self !== undefined && message.mentions?.includes(self) === true
    const lines = [isForMe ? this.#options.colors.warning(`» ${head}`) : head]
    for (const line of others.slice(0, maxLines))
      lines.push(`         | ${formatForTerminal(line.replaceAll("\t", "  "))}`)
    if (others.length > maxLines || length > maxCharacters)
      lines.push(`         | … (cut, ${length} characters)`)
    return lines
  }

  /** Returns whether the id is new, and remembers it. */
  #isNew(id: string): boolean {
    if (this.#knownIds.has(id)) return false
    this.#knownIds.set(id, true)
    return true
  }

  #setTarget(target: Address | undefined): void {
    this.#target = target
    if (target !== undefined) this.#unread.delete(target)
    this.#showTarget()
  }

  /** Shows in the prompt where typed text goes, and how many messages arrived elsewhere. */
  #showTarget(): void {
    const unread = [...this.#unread.values()].reduce((sum, count) => sum + count, 0)
    this.#options.view.setTarget(`${this.#target ?? ""}${unread === 0 ? "" : ` (${unread} elsewhere)`}`)
  }

  #requireTarget(): Address {
    if (this.#target !== undefined) return this.#target
    throw new ChatError("USAGE", "you are in no channel", { hint: "join one: /join #general" })
  }

  #requireChannel(): Channel {
    const target = this.#requireTarget()
    if (target.startsWith("#")) return target as Channel
    throw new ChatError("USAGE", `${target} is not a channel`, { hint: "name one, such as #general" })
  }

  #printNote(text: string): void {
    this.#options.view.print(note(this.#options, text))
  }

  #printError({ message, hint }: ChatError): void {
    const text = formatForTerminal(hint === undefined ? message : `${message}; ${hint}`)
    this.#options.view.print(this.#options.colors.warning(`!! ${text}`))
  }
}

/** A parsed line of the prompt. */
export type ChatAction =
  | { readonly kind: "send"; readonly text: string }
  | { readonly kind: "join"; readonly channel: Channel }
  | { readonly kind: "leave"; readonly channel: Channel | undefined }
  | { readonly kind: "list" }
  | { readonly kind: "who"; readonly channel: Channel | undefined }
  | { readonly kind: "dm"; readonly to: AgentRef; readonly text: string }
  | { readonly kind: "nick"; readonly name: Nick }
  | { readonly kind: "presence"; readonly status: PresenceState; readonly activity: string }
  | ListAction
  | { readonly kind: "help" }
  | { readonly kind: "quit" }

/** An action of {@link ChatViews}, a reply or a task. */
type ListAction =
  | { readonly kind: "reply" | "search"; readonly text: string }
  | { readonly kind: "thread"; readonly id: string | undefined }
  | { readonly kind: "history"; readonly channel: Channel | undefined }
  | { readonly kind: "needs" }
  | { readonly kind: "answer"; readonly which: string; readonly text: string }
  | { readonly kind: "deal"; readonly id: string; readonly step: string; readonly text: string }
  | { readonly kind: "task"; readonly to: Address | undefined; readonly text: string }

type Read = (first: string, others: string) => ChatAction

const presence =
  (status: PresenceState): Read =>
  (first, others) => ({ kind: "presence", status, activity: `${first} ${others}`.trim() })

const direct: Read = (agent, text) => ({
  kind: "dm",
  to: parseAgentRef(agent),
  text,
})

const readers: Readonly<Record<string, Read>> = {
  join: (channel) => ({ kind: "join", channel: channelOf(channel) }),
  leave: (channel) => ({ kind: "leave", channel: optionalChannel(channel) }),
  who: (channel) => ({ kind: "who", channel: optionalChannel(channel) }),
  list: () => ({ kind: "list" }),
  dm: direct,
  msg: direct,
  me: (first, others) => ({ kind: "send", text: `* ${first} ${others}`.trim() }),
  nick: (name) => ({ kind: "nick", name: parseNick(name) }),
  working: presence("working"),
  waiting: presence("waiting"),
  idle: presence("idle"),
  away: presence("away"),
  reply: (first, others) => ({ kind: "reply", text: requireText("/reply", `${first} ${others}`.trim()) }),
  thread: (id) => ({ kind: "thread", id: id === "" ? undefined : id }),
  history: (channel) => ({ kind: "history", channel: optionalChannel(channel) }),
  search: (first, others) => ({ kind: "search", text: `${first} ${others}`.trim() }),
  needs: () => ({ kind: "needs" }),
  answer: (which, text) => ({ kind: "answer", which: requireText("/answer", which), text }),
  deal: (id, others) => {
    const [, step = "", text = ""] = /^(\S*)\s*(.*)$/s.exec(others) ?? []
    return { kind: "deal", id, step, text }
  },
  task: (role, text) => ({
    kind: "task",
    to: role === "" ? undefined : parseAddress(role.startsWith("+") ? role : `+${role}`),
    text: role === "" ? "" : requireText("/task", text),
  }),
  help: () => ({ kind: "help" }),
  quit: () => ({ kind: "quit" }),
}

/** Lines printed for `/help`. */
export const chatHelp = [
  "text            send it to the channel or agent in the prompt",
  "/join #channel  join a channel, or create it, and send there",
  "/leave          leave this channel; or /leave #channel",
  "/who            list the agents here; or /who #channel",
  "/list           list the channels",
  "/dm @agent text send to one agent (or /msg); without text, send there from now on",
  "/me TEXT        say what you do",
  "/reply TEXT     answer the last message here; /thread shows its conversation",
  "/history        show the page of earlier messages; again for the page before",
  "/search WORDS   find messages in all your channels",
  "/needs          list the questions to people, and the agents that wait",
  "/answer N TEXT  answer a question of /needs, signed",
  "/deal           list deals; /deal ID accept, reject, complete or dispute TEXT",
  "/task           list tasks; /task +role TEXT gives one",
  "/nick NAME      change your name (opens a new session)",
  "/working TEXT   set your status and activity; also /waiting /idle /away",
  "//text          send a text that starts with /",
  "/quit           leave (or Ctrl-D)",
] as const

/**
 * Parses a line typed at the prompt.
 * @returns undefined for an empty line
 * @throws {ChatError} USAGE or INVALID_NAME
 */
export function parseChatLine(line: string): ChatAction | undefined {
  if (line.trim() === "") return undefined
  if (line.startsWith("//")) return { kind: "send", text: line.slice(1) }
  if (!line.startsWith("/")) return { kind: "send", text: line }
  const [, word = "", first = "", others = ""] = /^\/(\S*)\s*(\S*)\s*(.*)$/s.exec(line) ?? []
  if (Object.hasOwn(readers, word)) {
    const action = readers[word]?.(first, others)
    if (action !== undefined) return action
  }
  throw new ChatError("USAGE", `/${word}: no such command`, {
    hint: `commands: /${Object.keys(readers).join(" /")}; to send a text that starts with /, write //`,
  })
}

/** @throws {ChatError} USAGE for an empty text */
function requireText(command: string, text: string): string {
  if (text !== "") return text
  throw new ChatError("USAGE", `${command}: the text is missing`, { hint: "see /help" })
}

function optionalChannel(text: string): Channel | undefined {
  return text === "" ? undefined : channelOf(text)
}

/** Parses a channel, which a person may write without its `#`. */
function channelOf(text: string): Channel {
  return parseChannel(text === "" || text.startsWith("#") ? text : `#${text}`)
}
