/** Messages that are asked for: the pages of a conversation, and those that a search finds. */
import { omitUndefined } from "../base/plain.js"
import type { AgentChatClient } from "../client/client.js"
import { ChatError } from "../protocol/errors.js"
import { type Kind, messageKinds } from "../protocol/message-kinds.js"
import { agentRefPattern, channelPattern } from "../protocol/names.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import type { MessagePage } from "./conversations.js"
import type { Model } from "./model.js"
import { matchesSearch, parseSearch, type Search } from "./search.js"
import type { MessageRow } from "./shapes.js"

/** Most messages of one answer. */
const maxPage = 200
const pageSize = 100

/** The place before which the messages of a page are. */
interface PageQuery {
  readonly conversation: string
  /** The id and the time of the oldest message that is shown; absent for the newest page. */
  readonly before?: string | undefined
  readonly beforeTs?: number | undefined
  readonly limit?: number | undefined
}

/** Answers from the model, and from the relay where that ends. */
export class History {
  readonly #client: AgentChatClient
  readonly #model: Model
  readonly #rowOf: (message: ServerMessage<"MSG">) => MessageRow

  /** @param rowOf - makes a row of a message as the relay keeps it */
  constructor(client: AgentChatClient, model: Model, rowOf: (message: ServerMessage<"MSG">) => MessageRow) {
    this.#client = client
    this.#model = model
    this.#rowOf = rowOf
  }

  /** Returns messages of a conversation, oldest first. */
  async page({ conversation, before, beforeTs, limit = pageSize }: PageQuery): Promise<MessagePage> {
    const count = Math.min(limit, maxPage)
    const page = this.#model.conversations.page(conversation, before, count)
    const [oldest] = page.messages
    if (page.more || (oldest !== undefined && before === undefined))
      return { ...page, more: page.more || isLater(oldest) }
    if (oldest !== undefined) return { ...page, more: isLater(oldest) }
    if (before === undefined || beforeTs === undefined || !channelPattern.test(conversation)) return page
    const query = { channel: conversation, until: beforeTs + 1, limit: count }
    const { rows, more } = await this.#find(query)
    return { messages: rows.filter(({ id }) => id !== before), more }
  }

  /** Returns the newest messages that are searched for. */
  async search(text: string, now: number): Promise<MessagePage> {
    const search = parseSearch(text, now)
    const known = [...this.#model.conversations.all()].filter((message) => matchesSearch(message, search))
    const query = queryOf(search)
    const found = query === undefined ? { rows: [], more: false } : await this.#find(query)
    const all = new Map([...found.rows, ...known].map((message) => [message.id, message]))
    const messages = [...all.values()].sort((a, b) => b.ts - a.ts)
    return { messages: messages.slice(0, maxPage), more: found.more || messages.length > maxPage }
  }

  /** Asks the relay. One that cannot answer now, or knows no search, has nothing to add. */
  async #find(
    query: Parameters<AgentChatClient["listMessages"]>[0],
  ): Promise<{ rows: MessageRow[]; more: boolean }> {
    try {
      const { list, more = false } = await this.#client.listMessages(query)
      return { rows: list.map((message) => this.#rowOf(message as unknown as ServerMessage<"MSG">)), more }
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      return { rows: [], more: false }
    }
  }
}

/** Reports whether a channel has messages before one. */
function isLater(oldest: MessageRow | undefined): boolean {
  return (oldest?.seq ?? 1) > 1
}

/** Returns the question to the relay; undefined for what only the model knows, such as the thread with an agent. */
function queryOf({
  words,
  from,
  in: place,
  kind,
  before,
  after,
}: Search): Parameters<AgentChatClient["listMessages"]>[0] {
  const channel = place === undefined ? undefined : place.startsWith("#") ? place : `#${place}`
  const sender = from === undefined ? undefined : from.startsWith("@") ? from : `@${from}`
  const purpose = messageKinds.find((each): each is Kind => each === kind)
  if (channel !== undefined && !channelPattern.test(channel)) return undefined
  if (sender !== undefined && !agentRefPattern.test(sender)) return undefined
  if (kind !== undefined && purpose === undefined) return undefined
  const text =
    words.length === 0 ? undefined : words.map((word) => (/\s/.test(word) ? `"${word}"` : word)).join(" ")
  const times = omitUndefined({ since: after, until: before })
  return { limit: pageSize, ...omitUndefined({ text, from: sender, channel, kind: purpose }), ...times }
}
