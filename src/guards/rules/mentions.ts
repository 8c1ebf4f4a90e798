import { LruMap } from "../../base/lru-map.js"
import type { GuardMessage } from "../guard-message.js"
import { othersThan } from "../scopes.js"
import { type Count, noCounts, WindowRule } from "./rule.js"

const mentionedKept = 4_096
/** Open counts that one agent ends when it speaks; the oldest others end by time. */
const openKept = 256

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
  /** Scopes with a count, by mentioned agent. */
  readonly #open = new LruMap<string, Set<string>>(mentionedKept)

  override load(state: unknown): void {
    super.load(state)
    for (const [scope] of this.windows) this.#addOpen(mentionedOf(scope), scope)
  }

  count(message: GuardMessage): readonly Count[] {
    const mentioned = mentionedIn(message)
    if (mentioned.length === 0) return noCounts
    return mentioned.flatMap((agent) => this.countOf(scopeOf(message, agent), 1, message.ts) ?? noCounts)
  }

  take(message: GuardMessage): void {
    const { from, channel } = message
    const answered = this.#open.peek(from)
    if (answered !== undefined) this.#close(answered, channel)
    for (const agent of mentionedIn(message)) {
      const scope = scopeOf(message, agent)
      this.add(scope, 1, message)
      this.#addOpen(agent, scope)
    }
  }

  reasonFor({ scope, limit }: Pick<Count, "scope" | "limit">): string {
    return `${mentionedOf(scope)} was called ${limit} times and has not answered: go on without, or ask somebody else`
  }

  #addOpen(agent: string, scope: string): void {
    const scopes = this.#open.get(agent) ?? new Set()
    scopes.add(scope)
    for (const oldest of scopes) {
      if (scopes.size <= openKept) break
      scopes.delete(oldest)
    }
    this.#open.set(agent, scopes)
  }

  /** Ends the counts in a channel: the mentioned agent spoke there. */
  #close(scopes: Set<string>, channel: string): void {
    for (const scope of scopes) {
      if (!scope.endsWith(` in ${channel}`)) continue
      scopes.delete(scope)
      this.windows.delete(scope)
      this.stops.delete(this.name, scope)
    }
  }
}

function mentionedOf(scope: string): string {
  return scope.split(" ")[2] ?? ""
}

function mentionedIn({ channel, kind, from, to }: GuardMessage): readonly string[] {
  if (to.length === 0 || !channel.startsWith("#") || kind === "status" || kind === "ack") return []
  return othersThan(from, to)
}

function scopeOf({ from, channel }: GuardMessage, agent: string): string {
  return `${from} to ${agent} in ${channel}`
}
