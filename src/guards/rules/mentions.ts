import { LruMap } from "../../base/lru-map.js"
import { isNumber, isPlain } from "../../base/plain.js"
import type { GuardMessage } from "../guard-message.js"
import { formatEntries, readEntries } from "../saved.js"
import { authorIn, othersThan } from "../scopes.js"
import { type Count, noCounts, WindowRule } from "./rule.js"

const speakersKept = 8_192
const savedCharacters = 25_000

/**
 * Stops an author from mentioning an agent in a channel after `mentionsOfOne` mentions in five minutes without an answer.
 * Anything the mentioned agent says in the channel is an answer and begins a new count. Statuses, acknowledgements and
 * direct messages call nobody by name and are not counted.
 */
export class MentionsRule extends WindowRule {
  readonly name = "mentions"
  readonly liftedBy = "time"
  override readonly firstPauseMs = this.limits.mentionWindowMs
  protected readonly limit = this.limits.mentionsOfOne
  protected readonly windowMs = this.limits.mentionWindowMs
  /** Time of the last message, by `agent in channel`. */
  readonly #spokeAt = new LruMap<string, number>(speakersKept)

  override save(): string {
    return `{"base":${super.save()},"spokeAt":${formatEntries(this.#spokeAt, savedCharacters)}}`
  }

  override load(state: unknown): void {
    if (!isPlain(state)) return
    super.load(state["base"])
    readEntries(this.#spokeAt, state["spokeAt"], (value) => (isNumber(value) ? value : undefined))
  }

  count(message: GuardMessage): readonly Count[] {
    const mentioned = mentionedIn(message)
    if (mentioned.length === 0) return noCounts
    const counts: Count[] = []
    for (const agent of mentioned) {
      const scope = scopeOf(message, agent)
      const isAnswered = this.#isAnswered(scope, agent, message)
      const used = isAnswered ? 0 : this.usedIn(scope, message.ts)
      const evidence = this.windows.peek(scope)?.ids ?? []
      counts.push({ scope, used, cost: 1, limit: this.limit, evidence, isLifted: isAnswered })
    }
    return counts
  }

  take(message: GuardMessage): void {
    for (const agent of mentionedIn(message)) {
      const scope = scopeOf(message, agent)
      if (this.#isAnswered(scope, agent, message)) this.windows.delete(scope)
      this.add(scope, 1, message)
    }
    if (message.channel.startsWith("#"))
      this.#spokeAt.set(authorIn(message.from, message.channel), message.ts)
  }

  reasonFor({ scope, limit }: Pick<Count, "scope" | "limit">): string {
    const [, , agent = ""] = scope.split(" ")
    return `${agent} was called ${limit} times and has not answered: go on without, or ask somebody else`
  }

  #isAnswered(scope: string, agent: string, { channel }: GuardMessage): boolean {
    const window = this.windows.peek(scope)
    return (
      window !== undefined &&
      (this.#spokeAt.peek(authorIn(agent, channel)) ?? Number.NEGATIVE_INFINITY) > window.last
    )
  }
}

function mentionedIn({ channel, kind, from, to }: GuardMessage): readonly string[] {
  if (to.length === 0 || !channel.startsWith("#") || kind === "status" || kind === "ack") return []
  return othersThan(from, to)
}

function scopeOf({ from, channel }: GuardMessage, agent: string): string {
  return `${from} to ${agent} in ${channel}`
}
