import { LruMap } from "../base/lru-map.js"
import type { EdgeRow, MessageRow } from "./shapes.js"

/** Length of the span for which tokens are counted, and of one part of it. */
const spanMs = 3_600_000
const partMs = 300_000
const bytesPerToken = 4
const maxEdges = 2_000
const maxAgents = 10_000
/** Edges that are shown, the busiest ones. */
const shownEdges = 200

interface Parts {
  /** Number of the newest part since the epoch, and the tokens of each of the last ones. */
  newest: number
  readonly tokens: number[]
}

/** Returns the tokens of a text: a quarter of its bytes. */
function tokensOf(text: string): number {
  return Math.ceil(Buffer.byteLength(text) / bytesPerToken)
}

/** Counts who writes to whom, and the tokens that each agent writes in an hour. */
export class Traffic {
  readonly #edges = new LruMap<string, { from: string; to: string; messages: number; tokens: number }>(
    maxEdges,
  )
  readonly #agents = new LruMap<string, Parts>(maxAgents)

  /** @param to - agents that it addresses; empty if it only goes to its channel */
  add({ from, ts, text, conversation, isMine }: MessageRow, to: readonly string[]): void {
    const tokens = tokensOf(text)
    const partner = isMine || conversation.startsWith("#") ? conversation : from
    const targets = to.length > 0 ? to : [partner]
    for (const target of targets) {
      const key = `${from} ${target}`
      const edge = this.#edges.get(key) ?? { from, to: target, messages: 0, tokens: 0 }
      edge.messages++
      edge.tokens += tokens
      this.#edges.set(key, edge)
    }
    const part = Math.floor(ts / partMs)
    const known = this.#agents.get(from) ?? { newest: part, tokens: [0] }
    while (known.newest < part && known.tokens.length > 0) {
      known.newest = Math.max(known.newest + 1, part - spanMs / partMs)
      known.tokens.push(0)
      if (known.tokens.length > spanMs / partMs) known.tokens.shift()
    }
    const at = known.tokens.length - 1 - (known.newest - part)
    if (at >= 0) known.tokens[at] = (known.tokens[at] ?? 0) + tokens
    this.#agents.set(from, known)
  }

  /** Returns the tokens that an agent wrote within the last hour, to five minutes. */
  tokensOf(agent: string, now: number): number {
    const known = this.#agents.peek(agent)
    if (known === undefined) return 0
    const oldest = Math.floor(now / partMs) - spanMs / partMs + 1
    const { newest, tokens } = known
    return tokens.reduce(
      (sum, each, at) => (newest - (tokens.length - 1 - at) >= oldest ? sum + each : sum),
      0,
    )
  }

  edges(): EdgeRow[] {
    const all = Array.from(this.#edges, ([, edge]) => ({ ...edge }))
    return all.sort((a, b) => b.messages - a.messages).slice(0, shownEdges)
  }
}
