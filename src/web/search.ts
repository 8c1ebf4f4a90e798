/** Reads the search of the page: words, and filters such as `from:bob in:#general kind:request before:2026-12-01`. */
import { parseDuration } from "../base/duration.js"
import type { MessageRow } from "./shapes.js"

/** A parsed search. Texts are in lower case. */
export interface Search {
  readonly words: readonly string[]
  readonly from?: string
  readonly in?: string
  readonly kind?: string
  /** Milliseconds since the Unix epoch. */
  readonly before?: number
  readonly after?: number
}

const maxWords = 16
const pair = /^(from|in|kind|before|after):(.+)$/i

/** Parses a search. What looks like a filter and is none, such as a `before:` without a time, is a word. */
export function parseSearch(text: string, now: number): Search {
  const words: string[] = []
  let filters: Omit<Search, "words"> = {}
  for (const [, quoted, plain = ""] of text.matchAll(/"([^"]*)"|(\S+)/g)) {
    const filter = quoted === undefined ? filterOf(plain, now) : undefined
    if (filter === undefined) words.push((quoted ?? plain).toLowerCase())
    else filters = { ...filters, ...filter }
  }
  return { ...filters, words: words.filter((word) => word !== "").slice(0, maxWords) }
}

function filterOf(word: string, now: number): Omit<Search, "words"> | undefined {
  const [, name = "", value = ""] = pair.exec(word) ?? []
  switch (name.toLowerCase()) {
    case "from":
    case "in":
    case "kind":
      return { [name.toLowerCase()]: value.toLowerCase() }
    case "before":
    case "after": {
      const ts = timeOf(value, now)
      return ts === undefined ? undefined : { [name.toLowerCase()]: ts }
    }
    default:
      return undefined
  }
}

/** Reports whether a message is one that is searched for. */
export function matchesSearch(
  message: MessageRow,
  { words, before = Infinity, after = 0, ...names }: Search,
): boolean {
  const { ts, conversation, kind = "", from, name } = message
  if (ts >= before || ts < after) return false
  if (names.kind !== undefined && kind !== names.kind) return false
  if (names.in !== undefined && !isNamed(names.in, conversation)) return false
  if (names.from !== undefined && !isNamed(names.from, from, name)) return false
  const text = message.text.toLowerCase()
  return words.every((word) => text.includes(word))
}

/** Reports whether a word means one of the names, with or without the sign before it. */
function isNamed(wanted: string, ...names: readonly string[]): boolean {
  return names.some((name) => bare(name.toLowerCase()) === bare(wanted))
}

function bare(name: string): string {
  return name.replace(/^[#@+]/, "")
}

/** Reads a date, a time, or a duration before now, such as `2h`. */
function timeOf(text: string, now: number): number | undefined {
  const duration = parseDuration(text)
  if (duration !== undefined) return now - duration
  const ts = Date.parse(text)
  return Number.isNaN(ts) ? undefined : ts
}
