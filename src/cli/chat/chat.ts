import { type Clock, delay } from "../../base/clock.js"
import { LruMap } from "../../base/lru-map.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { AgentChatClient } from "../../client/client.js"
import type { PresenceState } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { Address, AgentRef, Channel, Nick } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Paint } from "../output/colors.js"
import { formatMessage } from "../output/message-text.js"
import { type ChatAction, chatHelp, parseChatLine } from "./chat-actions.js"

/** Lines of one message that are shown. */
const shownLines = 40
const rememberedIds = 1_000

/** Where a chat shows things. */
interface ChatView {
  print(line: string): void
  setPlace(place: string): void
}

/** What a chat is made of. */
export interface ChatOptions {
  readonly clock: Clock
  readonly view: ChatView
  readonly paint: Paint
  /** A client under another name, not connected yet. */
  makeClient(name: Nick): Promise<AgentChatClient>
  /** The session is gone and will not come back. */
  onLost(error: ChatError): void
}

/** A person's conversation: lines typed become requests, and what comes becomes lines. */
export class Chat {
  readonly #options: ChatOptions
  #client: AgentChatClient
  #place: Address | undefined
  /** Messages shown or sent lately: a new session replays what was there before. */
  readonly #known = new LruMap<string, true>(rememberedIds)

  /** @param client - not connected yet */
  constructor(client: AgentChatClient, options: ChatOptions) {
    this.#options = options
    this.#client = client
  }

  /**
   * Does what one typed line asks for, and tells what went wrong.
   * @returns whether the chat goes on
   */
  async take(line: string): Promise<boolean> {
    try {
      const action = parseChatLine(line)
      if (action?.kind === "quit") return false
      if (action !== undefined) await this.#act(action)
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#complain(error)
    }
    return true
  }

  /** Opens the session. @throws {ChatError} when that fails */
  async connect(): Promise<void> {
    const client = this.#client
    const { view } = this.#options
    client.on("message", (message) => {
      if (!this.#isNew(message.msg_id)) return
      for (const line of this.#linesOf(message)) view.print(line)
    })
    for (const event of ["agent_joined", "agent_left", "presence", "invite", "channel_changed"] as const) {
      client.on(event, (message: ServerMessage) =>
        view.print(formatMessage({ ...message }, this.#options.paint)),
      )
    }
    client.on("disconnect", (error, willReconnect) => {
      this.#complain(error)
      if (!willReconnect) this.#options.onLost(error)
    })
    client.on("reconnect", () => this.#note("connected again"))
    client.on("error", (error) => this.#complain(error))
    const welcome = await client.connect()
    this.#note(
      `on ${formatForTerminal(welcome.server)} as ${formatForTerminal(`${welcome.name} ${welcome.agent_id}`)}`,
    )
  }

  /** Enters a channel, making it if need be; what is typed goes there. @throws {ChatError} */
  async join(channel: Channel): Promise<void> {
    const joined = await this.#enter(channel)
    this.#moveTo(channel)
    const others = joined.count - 1
    this.#note(`in ${channel}, ${others === 0 ? "alone" : `with ${others} other${others === 1 ? "" : "s"}`}`)
  }

  async close(): Promise<void> {
    await this.#client.disconnect()
  }

  async #act(action: Exclude<ChatAction, { kind: "quit" }>): Promise<void> {
    switch (action.kind) {
      case "say":
        return this.#say(this.#placeOrRefuse(), action.text)
      case "join":
        return this.join(action.channel)
      case "leave":
        return this.#leave(action.channel ?? this.#channelOrRefuse())
      case "who":
        return this.#who(action.channel ?? this.#channelOrRefuse())
      case "dm":
        return this.#turnTo(action.to, action.text)
      case "nick":
        return this.#rename(action.name)
      case "presence":
        return this.#tell(action.status, action.activity)
      case "help":
        for (const line of chatHelp) this.#options.view.print(line)
    }
  }

  async #tell(status: PresenceState, activity: string): Promise<void> {
    await this.#client.setPresence(status, activity === "" ? undefined : activity)
    this.#note(`you are ${status}`)
  }

  /** Without a text, what is typed from now on goes there. */
  async #turnTo(agent: AgentRef, text: string): Promise<void> {
    if (text !== "") await this.#say(agent, text)
    else this.#moveTo(agent)
  }

  /** Sends, and waits its turn when the relay says "too fast": a person's line is not lost to that. */
  async #say(to: string, text: string): Promise<void> {
    for (;;) {
      try {
        const { id, recipients, isMember } = await this.#client.send(to, text)
        this.#isNew(id)
        if (recipients === 0 && isMember) this.#note(`nobody else is in ${to} now`)
        return
      } catch (error) {
        if (!(error instanceof ChatError) || error.code !== "RATE_LIMITED") throw error
        await delay(this.#options.clock, error.retryAfterMs ?? 1_000)
      }
    }
  }

  async #enter(channel: Channel): Promise<ServerMessage<"JOINED">> {
    try {
      return await this.#client.join(channel)
    } catch (error) {
      if (!(error instanceof ChatError) || error.code !== "CHANNEL_NOT_FOUND") throw error
      return this.#client.createChannel(channel)
    }
  }

  async #leave(channel: Channel): Promise<void> {
    await this.#client.leave(channel)
    this.#note(`left ${channel}`)
    if (this.#place === channel) this.#moveTo(this.#client.channels.at(-1) as Channel | undefined)
  }

  async #who(channel: Channel): Promise<void> {
    for (const { id, name, status, activity } of await this.#client.listAgents(channel)) {
      const doing = activity === undefined ? status : `${status}: ${activity}`
      this.#options.view.print(`  ${[name, id, doing].map(formatForTerminal).join("  ")}`)
    }
  }

  async #rename(name: Nick): Promise<void> {
    const channels = this.#client.channels as readonly Channel[]
    const client = await this.#options.makeClient(name)
    await this.#client.disconnect()
    this.#client = client
    await this.connect()
    for (const channel of channels) await this.#enter(channel)
  }

  /** A message of several lines keeps them, each behind a bar, so that none can pass for a line of ours. */
  #linesOf(message: ServerMessage<"MSG">): string[] {
    const [first = "", ...others] = message.content.split(/\r?\n/)
    const lines = [formatMessage({ ...message, content: first, seq: undefined }, this.#options.paint)]
    for (const line of others.slice(0, shownLines))
      lines.push(`         | ${formatForTerminal(line.replaceAll("\t", "  "))}`)
    if (others.length > shownLines) lines.push(`         | … ${others.length - shownLines} more lines`)
    return lines
  }

  /** Remembers the id. */
  #isNew(id: string): boolean {
    if (this.#known.has(id)) return false
    this.#known.set(id, true)
    return true
  }

  #moveTo(place: Address | undefined): void {
    this.#place = place
    this.#options.view.setPlace(place ?? "")
  }

  #placeOrRefuse(): Address {
    if (this.#place !== undefined) return this.#place
    throw new ChatError("USAGE", "you are nowhere yet", { hint: "enter a channel: /join #general" })
  }

  #channelOrRefuse(): Channel {
    const place = this.#placeOrRefuse()
    if (place.startsWith("#")) return place as Channel
    throw new ChatError("USAGE", `${place} is not a channel`, { hint: "name one, such as #general" })
  }

  #note(text: string): void {
    this.#options.view.print(this.#options.paint.dim(`-- ${text}`))
  }

  #complain({ message, hint }: ChatError): void {
    const text = formatForTerminal(hint === undefined ? message : `${message}; ${hint}`)
    this.#options.view.print(this.#options.paint.warning(`!! ${text}`))
  }
}
