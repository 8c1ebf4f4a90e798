/** Finds messages: one meaning of a search for the index of a store, for logs that are read, and for an inbox. */
import { isPlain } from "../base/plain.js"

/** The messages that are wanted: those that pass every test that is given. */
export interface MessageFilter {
  /** Ids of the senders, or `@name` where no roster can resolve it. */
  readonly from?: readonly string[] | undefined
  readonly kind?: string | undefined
  /** Words, see {@link parsePhrases}. */
  readonly text?: string | undefined
  /** Milliseconds since the Unix epoch: not before, and before. */
  readonly since?: number | undefined
  readonly until?: number | undefined
}

/** Words that follow one another in a text. */
export interface Phrase {
  readonly words: readonly string[]
  /** True if the last of them may be the beginning of one: too many words begin with one letter. */
  readonly isOpen: boolean
}

/** The fields of a message by which it is found. */
export interface IndexedFields {
  readonly from: string
  readonly name: string
  readonly kind: string
  readonly id: string
  readonly replyTo: string | undefined
  readonly text: string
}

/** Characters of a message that are searched. */
const searchedLength = 32_768
/** Most phrases of a search, and most words of one; what is beyond them is ignored. */
const maxPhrases = 16
const maxWords = 32

const plainAscii = /^[\0-\x7f]*$/
const mark = /\p{M}+/gu
const run = /[\p{L}\p{N}]+/gu
// Scripts without spaces between words are searched by character.
const part =
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]|[^\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\p{Script=Thai}\p{Script=Lao}\p{Script=Khmer}\p{Script=Myanmar}]+/gu

/** Splits a text into words, without case, accents and the difference between forms of the same character. */
export function wordsOf(text: string): string[] {
  const lower = text.slice(0, searchedLength).toLowerCase()
  if (plainAscii.test(lower)) return lower.match(/[a-z\d]+/g) ?? []
  const plain = lower.normalize("NFKD").replace(mark, "").normalize("NFC").toLowerCase()
  return (plain.match(run) ?? []).flatMap((word) => word.match(part) ?? [])
}

/**
 * Parses a search: each word, and each `"group of words"`, has to occur, in any order; the last word of a group may be
 * the beginning of one. What punctuation joins, such as `src/main.ts`, is a group too.
 */
export function parsePhrases(search: string): Phrase[] {
  const groups = [...search.matchAll(/"([^"]*)"|[^\s"]+/g)].map(([whole, quoted]) => quoted ?? whole)
  const phrases = groups.map((group) => wordsOf(group).slice(0, maxWords)).filter((words) => words.length > 0)
  return phrases.slice(0, maxPhrases).map((words) => ({ words, isOpen: (words.at(-1)?.length ?? 0) > 1 }))
}

/** Returns a test of the text of a message. */
function textTest(search: string): (text: string) => boolean {
  const wanted = parsePhrases(search).map(({ words, isOpen }) => ` ${words.join(" ")}${isOpen ? "" : " "}`)
  return (text) => {
    const words = ` ${wordsOf(text).join(" ")} `
    return wanted.length > 0 && wanted.every((phrase) => words.includes(phrase))
  }
}

/** Returns a test of messages. @param filter - `from` in lower case */
export function messageTest(filter: MessageFilter): (fields: IndexedFields, ts: number) => boolean {
  const { from, kind, text, since = -Infinity, until = Infinity } = filter
  const hasText = text === undefined ? undefined : textTest(text)
  return (fields, ts) =>
    ts >= since &&
    ts < until &&
    (kind === undefined || fields.kind === kind) &&
    (from === undefined || from.some((each) => isFrom(fields, each))) &&
    (hasText === undefined || hasText(fields.text))
}

const idForm = /^@(?:[0-9a-f]{16}|[a-z2-7]{8})$/

/** An id is never a name: nobody may be taken for the key of an id because of a name. */
function isFrom({ from, name }: IndexedFields, wanted: string): boolean {
  if (from.toLowerCase() === wanted) return true
  return !idForm.test(wanted) && `@${name.toLowerCase()}` === wanted
}

/** Returns the fields of a message by which it is found; undefined for what is no message of an agent. */
export function indexedFieldsOf(message: unknown): IndexedFields | undefined {
  if (!isPlain(message) || message["type"] !== "MSG") return undefined
  const { from, name, kind, msg_id: id, in_reply_to: replyTo, content, parts } = message
  if (typeof from !== "string" || typeof id !== "string") return undefined
  return {
    ...{ from, id, name: textOf(name), kind: textOf(kind) },
    replyTo: typeof replyTo === "string" ? replyTo : undefined,
    text: [textOf(content), ...textsOf(parts)].join("\n"),
  }
}

function textsOf(parts: unknown): string[] {
  if (!Array.isArray(parts)) return []
  return parts.flatMap((part) => (isPlain(part) && part["kind"] === "text" ? textOf(part["text"]) : []))
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : ""
}

/**
 * Returns the ids of a thread: of the message that the conversation around `id` began with, and of all replies to it.
 * @param replies - what each message answers, by its id
 */
export function threadAround(id: string, replies: ReadonlyMap<string, string | undefined>): Set<string> {
  let root = id
  for (const seen = new Set([root]); ; seen.add(root)) {
    const earlier = replies.get(root)
    if (earlier === undefined || seen.has(earlier)) break
    root = earlier
  }
  const answers = new Map<string, string[]>()
  for (const [reply, to] of replies) {
    if (to === undefined) continue
    const others = answers.get(to)
    if (others === undefined) answers.set(to, [reply])
    else others.push(reply)
  }
  const thread = new Set([root])
  for (const each of thread) for (const answer of answers.get(each) ?? []) thread.add(answer)
  return thread
}
