import { readIfExists, writeFileAtomic } from "../base/files.js"
import { isNumber, isPlain } from "../base/plain.js"

/** Most positions in the file. */
const maxPositions = 2_000
/** Most relays in it, those used last. */
const maxRelays = 20

/** How far a person has read each conversation, in a file: `{"v":1,"relays":{SERVER_ID:{CONVERSATION:MS}}}`. */
export class ReadPositions {
  readonly #path: string
  readonly #relays: Map<string, [conversation: string, ts: number][]>

  /** Reads the file. A damaged one counts as empty: nothing but the marker line depends on it. */
  constructor(path: string) {
    this.#path = path
    this.#relays = parsePositions(readIfExists(path))
  }

  /** Returns the positions on a relay by conversation. */
  of(serverId: string): readonly (readonly [conversation: string, ts: number])[] {
    return this.#relays.get(serverId) ?? []
  }

  /** Replaces the positions on a relay, and writes the file. Throws the system's errors. */
  save(serverId: string, positions: Iterable<readonly [conversation: string, ts: number]>): void {
    const newest = [...positions].sort(([, a], [, b]) => b - a).slice(0, maxPositions)
    this.#relays.delete(serverId)
    this.#relays.set(
      serverId,
      newest.map(([key, ts]) => [key, ts]),
    )
    const [oldest] = this.#relays.keys()
    if (this.#relays.size > maxRelays && oldest !== undefined) this.#relays.delete(oldest)
    const relays = Object.fromEntries(
      Array.from(this.#relays, ([id, list]) => [id, Object.fromEntries(list)]),
    )
    writeFileAtomic(this.#path, `${JSON.stringify({ v: 1, relays })}\n`)
  }
}

function parsePositions(text: string | undefined): Map<string, [string, number][]> {
  let value: unknown
  try {
    value = JSON.parse(text ?? "{}")
  } catch {
    return new Map()
  }
  const relays = isPlain(value) && isPlain(value["relays"]) ? value["relays"] : {}
  return new Map(
    Object.entries(relays).map(([serverId, positions]) => {
      const times = isPlain(positions) ? Object.entries(positions) : []
      return [serverId, times.filter((entry): entry is [string, number] => isNumber(entry[1]))]
    }),
  )
}
