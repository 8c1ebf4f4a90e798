import {
  type IndexedFields,
  indexedFieldsOf,
  type MessageFilter,
  messageTest,
  threadAround,
} from "../protocol/message-filter.js"

/** A log that is searched. */
export interface SearchedLog {
  readonly family: string
  readonly key: string
  /** Milliseconds since the Unix epoch; earlier entries are not found. */
  readonly sinceMs: number
}

/** Which messages of some logs to return. */
export interface MessageQuery {
  readonly logs: readonly SearchedLog[]
  readonly filter: MessageFilter
  /** Only the conversation around the message with this id. */
  readonly thread?: string | undefined
  /** Only before this position, the newest of them; see {@link MessagePage}. */
  readonly before?: number | undefined
  /** Only after this position, the oldest of them; not together with `before`. */
  readonly after?: number | undefined
  readonly limit: number
  /** Bytes of entries after which a page ends. */
  readonly maxBytes: number
}

/** An entry of a log that was found. */
export interface FoundEntry extends Pick<SearchedLog, "family" | "key"> {
  readonly seq: number
  /** Milliseconds since the Unix epoch. */
  readonly ts: number
  readonly value: string
}

/** Messages that were found, oldest first. A position rises with the time of an entry. */
export interface MessagePage {
  readonly entries: readonly FoundEntry[]
  /** Position before which, or after which, to continue. */
  readonly next: number
  /** True if there may be more in that direction. */
  readonly hasMore: boolean
  /** Position after which everything is new, for the newest page and the last one of those after a position. */
  readonly end: number
  /** True if not everything was searched. */
  readonly isPartial?: boolean
}

/** An entry in the order of a search, and its position. */
export interface Candidate {
  readonly position: number
  readonly entry: FoundEntry
  readonly fields: IndexedFields
}

/** Positions for entries of the same millisecond. */
export const positionsPerMs = 1_024
/** Most candidates one search looks at. */
const maxCandidates = 20_000

/**
 * Takes the messages of a page.
 * @param candidates - in the order of the search: those after a position rising, else falling
 * @param end - the newest position
 */
export function pageOf(candidates: Iterable<Candidate>, query: MessageQuery, end: number): MessagePage {
  const { filter, limit, maxBytes, before, after } = query
  const isWanted = messageTest(filter)
  const entries: FoundEntry[] = []
  let [next, bytes, count] = [before ?? after ?? end, 0, 0]
  let hasMore = false
  for (const { position, entry, fields } of candidates) {
    hasMore = entries.length >= limit || bytes >= maxBytes || count >= maxCandidates
    if (hasMore) break
    count++
    next = position
    if (!isWanted(fields, entry.ts)) continue
    entries.push(entry)
    bytes += Buffer.byteLength(entry.value)
  }
  if (after === undefined) entries.reverse()
  return { entries, next, hasMore, end: after !== undefined && hasMore ? next : Math.max(end, after ?? 0) }
}

/** Finds messages among entries that were read, where the storage has no index. */
export function searchEntries(entries: readonly FoundEntry[], query: MessageQuery): MessagePage {
  const order = (a: FoundEntry, b: FoundEntry) =>
    a.ts - b.ts || compare(a.family, b.family) || compare(a.key, b.key) || a.seq - b.seq
  let position = 0
  const all = [...entries].sort(order).flatMap((entry): Candidate[] => {
    position = Math.max(position + 1, entry.ts * positionsPerMs)
    const fields = fieldsOf(entry.value)
    return fields === undefined ? [] : [{ position, entry, fields }]
  })
  const { thread, before = Infinity, after } = query
  const replies = new Map(all.map(({ fields: { id, replyTo } }) => [id, replyTo]))
  const ids = thread === undefined ? undefined : threadAround(thread, replies)
  const within = all.filter(
    (each) => each.position < before && each.position > (after ?? -1) && ids?.has(each.fields.id) !== false,
  )
  return pageOf(after === undefined ? within.reverse() : within, query, all.at(-1)?.position ?? 0)
}

/** Returns the fields by which the message of an entry is found; undefined if it is none. */
export function fieldsOf(value: string): IndexedFields | undefined {
  try {
    return indexedFieldsOf(JSON.parse(value))
  } catch {
    return undefined
  }
}

function compare(a: string, b: string): number {
  if (a === b) return 0
  return a < b ? -1 : 1
}
