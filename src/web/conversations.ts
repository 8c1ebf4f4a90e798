import { LruMap } from "../base/lru-map.js"
import { omitUndefined } from "../base/plain.js"
import type { ConversationRow, MessageRow, StageRow } from "./shapes.js"

/** Most messages of one conversation, and of all together. */
const perConversation = 2_000
const maxMessages = 20_000
/** Most characters of all messages. */
const maxCharacters = 32 * 1024 * 1024
/** Most direct conversations. */
const maxConversations = 1_000

/** Facts about a channel. */
export interface ChannelFacts {
  readonly description?: string | undefined
  readonly agents: number
  readonly isPrivate: boolean
}

interface Conversation {
  readonly key: string
  title: string
  facts: ChannelFacts | undefined
  /** Oldest first. */
  readonly messages: MessageRow[]
  readTs: number
}

/** A page of messages, oldest first; `more` if there are older ones. */
export interface MessagePage {
  readonly messages: readonly MessageRow[]
  readonly more: boolean
}

/** The newest messages of all conversations, within fixed bounds, and how far the person has read each. */
export class Conversations {
  readonly #conversations = new Map<string, Conversation>()
  /** By id, in the order of arrival. */
  readonly #messages = new LruMap<string, MessageRow>(maxMessages, (_, message) => this.#unlink(message))
  #characters = 0
  readonly #startTs: number

  /** @param startTs - messages before it count as read until the person has a position */
  constructor(startTs: number) {
    this.#startTs = startTs
  }

  get size(): number {
    return this.#messages.size
  }

  find(id: string): MessageRow | undefined {
    return this.#messages.peek(id)
  }

  keys(): Iterable<string> {
    return this.#conversations.keys()
  }

  /** Yields all messages in the order of arrival. */
  *all(): Iterable<MessageRow> {
    for (const [, message] of this.#messages) yield message
  }

  /** Adds a message. @returns false if it is known */
  add(message: MessageRow, title: string): boolean {
    if (this.#messages.has(message.id)) return false
    const conversation = this.open(message.conversation, title)
    const { messages } = conversation
    let at = messages.length
    while (at > 0 && isBefore(message, messages[at - 1] ?? message)) at--
    messages.splice(at, 0, message)
    this.#messages.set(message.id, message)
    this.#characters += message.text.length
    if (messages.length > perConversation) this.#drop(messages[0])
    while (this.#characters > maxCharacters) {
      const [oldest] = this.all()
      this.#drop(oldest)
    }
    return true
  }

  /** Adds a stage to a message. @returns false if the message is not known, or has the stage */
  addStage(id: string, stage: StageRow): boolean {
    const message = this.#messages.peek(id)
    if (message === undefined) return false
    if (message.stages.some(({ state, by }) => state === stage.state && by === stage.by)) return false
    const next = { ...message, stages: [...message.stages, stage].slice(-maxStages) }
    const messages = this.#conversations.get(message.conversation)?.messages ?? []
    messages[messages.indexOf(message)] = next
    this.#messages.set(id, next)
    return true
  }

  /** Returns a conversation; adds it if it is new. */
  open(key: string, title: string): Conversation {
    const known = this.#conversations.get(key)
    if (known !== undefined) {
      if (title !== "") known.title = title
      return known
    }
    const conversation = { key, title, facts: undefined, messages: [], readTs: this.#startTs }
    this.#conversations.set(key, conversation)
    if (this.#conversations.size > maxConversations) this.#dropQuietest(key)
    return conversation
  }

  /** Sets the facts of a channel. @returns whether they were others */
  setChannel(name: string, facts: ChannelFacts): boolean {
    const channel = this.open(name, name)
    const isChanged = JSON.stringify(channel.facts) !== JSON.stringify(facts)
    channel.facts = facts
    return isChanged
  }

  /** Notes that the person has read up to a time. @returns whether that is further than before */
  markRead(key: string, ts: number): boolean {
    const conversation = this.#conversations.get(key)
    if (conversation === undefined || ts <= conversation.readTs) return false
    conversation.readTs = ts
    return true
  }

  /** Sets the position of an earlier session, which may be before the start. */
  restorePosition(key: string, readTs: number): void {
    this.open(key, key).readTs = readTs
  }

  /** Yields the positions of all conversations. */
  *positions(): Generator<[key: string, readTs: number]> {
    for (const { key, readTs } of this.#conversations.values()) yield [key, readTs]
  }

  /**
   * Returns messages of a conversation, the newest if `before` is absent.
   * @param before - id of a message; older ones are returned
   */
  page(key: string, before: string | undefined, limit: number): MessagePage {
    const messages = this.#conversations.get(key)?.messages ?? []
    const found = before === undefined ? -1 : messages.findIndex(({ id }) => id === before)
    const end = before === undefined ? messages.length : Math.max(0, found)
    const start = Math.max(0, end - limit)
    return { messages: messages.slice(start, end), more: start > 0 }
  }

  row(key: string): ConversationRow | undefined {
    const conversation = this.#conversations.get(key)
    if (conversation === undefined) return undefined
    const { title, facts, messages, readTs } = conversation
    const isThread = key.startsWith("@")
    return {
      ...{ key, title, readTs, count: messages.length, ...unreadIn(conversation) },
      isPrivate: facts?.isPrivate ?? isThread,
      lastTs: lastOf(conversation),
      isOpen: facts !== undefined || isThread,
      ...omitUndefined({ description: facts?.description, agents: facts?.agents }),
    }
  }

  remove(key: string): void {
    for (const message of [...(this.#conversations.get(key)?.messages ?? [])]) this.#drop(message)
    this.#conversations.delete(key)
  }

  #drop(message: MessageRow | undefined): void {
    if (message === undefined) return
    this.#messages.delete(message.id)
    this.#unlink(message)
  }

  #unlink(message: MessageRow): void {
    this.#characters -= message.text.length
    const messages = this.#conversations.get(message.conversation)?.messages ?? []
    const at = messages.indexOf(message)
    if (at >= 0) messages.splice(at, 1)
  }

  #dropQuietest(except: string): void {
    let quietest: Conversation | undefined
    for (const each of this.#conversations.values()) {
      if (each.key === except) continue
      if (lastOf(each) < (quietest === undefined ? Infinity : lastOf(quietest))) quietest = each
    }
    if (quietest !== undefined) this.remove(quietest.key)
  }
}

/** Most stages of one message: a broadcast may be read by many. */
const maxStages = 32

/** Counts the messages of others after the person's position, and of these those that are for it. */
function unreadIn({ messages, readTs }: Conversation): { unread: number; mentions: number } {
  let unread = 0
  let mentions = 0
  for (let at = messages.length - 1; at >= 0; at--) {
    const message = messages[at]
    if (message === undefined || message.ts <= readTs) break
    if (message.isMine) continue
    unread++
    if (message.isForMe) mentions++
  }
  return { unread, mentions }
}

function lastOf({ messages }: Conversation): number {
  return messages.at(-1)?.ts ?? 0
}

/** In a channel the relay's numbers decide; between them and messages without one, the time. */
function isBefore(a: MessageRow, b: MessageRow): boolean {
  return a.seq !== undefined && b.seq !== undefined ? a.seq < b.seq : a.ts < b.ts
}
