import type { AgentId, AgentRef } from "../../protocol/names.js"
import type { Roster } from "../roster/roster.js"
import { findMember, resolveAgent } from "./agent-lookup.js"

/** Most agents one message mentions. */
const maxMentions = 32
/** Longest word after `@` that can be a name or an id. */
const maxWordLength = 64

const wordCharacter = /[A-Za-z0-9._-]/
const firstCharacter = /[A-Za-z0-9]/
/** An `@` after one of these is part of a word, a path or an address, not a mention. */
const joinsBefore = /[\p{L}\p{N}_/.@-]/u
/** A word before one of these is part of a longer word, a path or an address, not a mention. */
const joinsAfter = /[\p{L}\p{N}/@]/u
const trailingMark = /[._-]/

interface MentioningMessage {
  readonly mentions?: readonly AgentRef[] | undefined
  readonly content: string
}

/**
 * Finds the agents that a message mentions: those in its field `mentions`, and each `@word` of its text that names
 * exactly one member of the channel.
 * @returns ids without duplicates; undefined if nobody is mentioned
 * @throws {ChatError} AGENT_NOT_FOUND or AMBIGUOUS_NAME for a name in the field
 */
export function resolveMentions(
  { mentions, content }: MentioningMessage,
  roster: Roster,
  isMember: (id: AgentId) => boolean,
): AgentId[] | undefined {
  const hasMark = content.includes("@")
  if (mentions === undefined && !hasMark) return undefined
  const ids = new Set<AgentId>()
  for (const ref of mentions ?? []) {
    ids.add(findMember(ref.slice(1), roster, isMember) ?? resolveAgent(ref, roster, "mentions"))
  }
  if (hasMark) addFromText(ids, content, (word) => findMember(word, roster, isMember))
  return ids.size > 0 ? [...ids] : undefined
}

function addFromText(ids: Set<AgentId>, content: string, find: (word: string) => AgentId | undefined): void {
  // A name that many agents have is looked up once, however often the text repeats it.
  const found = new Map<string, AgentId | undefined>()
  const findOnce = (word: string): AgentId | undefined => {
    const key = word.toLowerCase()
    if (!found.has(key)) found.set(key, find(key))
    return found.get(key)
  }
  for (const words of wordsAfterMarks(content)) {
    if (ids.size >= maxMentions) return
    for (const word of words) {
      const id = findOnce(word)
      if (id === undefined) continue
      ids.add(id)
      break
    }
  }
}

/** Yields for each `@` that may start a mention the words it may mean, the longest first. */
function* wordsAfterMarks(content: string): Iterable<string[]> {
  let end = 0
  for (let at = content.indexOf("@"); at >= 0; at = content.indexOf("@", end)) {
    const start = at + 1
    end = start
    while (wordCharacter.test(content.charAt(end))) end++
    const mayStart = at === 0 || !joinsBefore.test(characterBefore(content, at))
    if (!mayStart || joinsAfter.test(characterAt(content, end))) continue
    if (firstCharacter.test(content.charAt(start))) yield candidateWords(content, start, end)
  }
}

/** Returns the word, without its last mark, and without all trailing marks: they may be punctuation. */
function candidateWords(content: string, start: number, end: number): string[] {
  let bare = end
  while (trailingMark.test(content.charAt(bare - 1))) bare--
  const ends = new Set([end, Math.max(bare, end - 1), bare])
  return [...ends].filter((last) => last - start <= maxWordLength).map((last) => content.slice(start, last))
}

function characterAt(text: string, index: number): string {
  const code = text.codePointAt(index)
  return code === undefined ? "" : String.fromCodePoint(code)
}

function characterBefore(text: string, index: number): string {
  const before = characterAt(text, index - 2)
  return before.length === 2 ? before : text.charAt(index - 1)
}
