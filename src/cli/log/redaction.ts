/** Replaces secrets in what is printed or exported. */
import { isPlain } from "../../base/plain.js"
import { ChatError } from "../../protocol/errors.js"

const mask = "[redacted]"
/** Fields by which messages refer to each other and to agents, which stay as they are. */
const kept: ReadonlySet<string> = new Set([
  ...["type", "from", "to", "msg_id", "in_reply_to", "kind", "mentions", "channel", "task_id"],
])

/** A pattern: texts in this order without white space between them. */
interface Pattern {
  readonly pieces: readonly string[]
  readonly startsOpen: boolean
  readonly endsOpen: boolean
}

/** Returns a value without what a pattern matches. */
export type Redact = (message: Readonly<Record<string, unknown>>) => Readonly<Record<string, unknown>>

/**
 * Makes a redaction. A pattern is a text without regard to the case of letters, in which `*` stands for any characters but
 * white space. It is matched in time proportional to the text, whatever the pattern.
 * @throws {ChatError} USAGE for a pattern that would match nearly everything
 */
export function makeRedaction(patterns: readonly string[]): Redact {
  const parsed = patterns.map(parsePattern)
  if (parsed.length === 0) return (message) => message
  const change = (value: unknown): unknown => {
    if (typeof value === "string") return parsed.reduce(redactText, value)
    if (Array.isArray(value)) return value.map(change)
    if (!isPlain(value)) return value
    return Object.fromEntries(
      Object.entries(value).map(([key, member]) => [key, kept.has(key) ? member : change(member)]),
    )
  }
  return (message) => {
    const changed = change(message) as Readonly<Record<string, unknown>>
    if (JSON.stringify(changed) === JSON.stringify(message)) return message
    // The signature is about another text.
    const { sig: _sig, ...others } = changed
    return { ...others, redacted: true }
  }
}

function parsePattern(pattern: string): Pattern {
  const pieces = lowerCase(pattern).split("*")
  const texts = pieces.filter((piece) => piece !== "")
  if (texts.join("").trim().length < 2)
    throw new ChatError("USAGE", "--redact: PATTERN must have two characters besides * and spaces")
  return { pieces: texts, startsOpen: pieces[0] === "", endsOpen: pieces.at(-1) === "" }
}

/** Changes the case of ASCII letters only, so that positions stay the same. */
function lowerCase(text: string): string {
  return text.replaceAll(/[A-Z]+/g, (letters) => letters.toLowerCase())
}

function redactText(text: string, pattern: Pattern): string {
  const lower = lowerCase(text)
  let [result, done] = ["", 0]
  for (let from = 0; ; ) {
    const found = findNext(lower, pattern, from)
    if (found === undefined) return result + text.slice(done)
    const [start, end] = found
    result += text.slice(done, Math.max(start, done)) + mask
    done = end
    from = end
  }
}

const space = /\s/g

/** Returns where the next match begins and ends. The earliest place of each piece is as good as any other. */
function findNext(
  text: string,
  { pieces, startsOpen, endsOpen }: Pattern,
  from: number,
): [number, number] | undefined {
  const [first = "", ...others] = pieces
  for (let start = text.indexOf(first, from); start >= 0; ) {
    let end = start + first.length
    const wall = nextSpace(text, end)
    const room = text.slice(0, wall)
    const isFound = others.every((piece) => {
      const at = room.indexOf(piece, end)
      end = at + piece.length
      return at >= 0
    })
    if (isFound)
      return [startsOpen ? previousSpace(text, start, from) : start, endsOpen ? nextSpace(text, end) : end]
    // Nothing that begins before the white space can match either.
    start = text.indexOf(first, Math.max(wall, start + 1))
  }
  return undefined
}

function nextSpace(text: string, from: number): number {
  space.lastIndex = from
  return space.exec(text)?.index ?? text.length
}

function previousSpace(text: string, from: number, least: number): number {
  let at = from
  while (at > least && !/\s/.test(text[at - 1] ?? " ")) at--
  return at
}
