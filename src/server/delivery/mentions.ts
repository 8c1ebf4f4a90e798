import type { AgentId, AgentRef } from "../../protocol/names.js"
import type { Roster } from "../roster/roster.js"
import { resolveAgent } from "./agent-lookup.js"

/** Most agents one message mentions. */
const maxMentions = 32
/** Longest word after `@` that can be a name or an id. */
const maxWordLength = 64

const wordCharacter = /[A-Za-z0-9._-]/
const firstCharacter = /[A-Za-z0-9]/
/** Stands before an `@` that is no mention: part of a word, a path, an address. */
const joinsBefore = /[\p{L}\p{N}_/.@-]/u
/** Stands after a word that is no mention: the rest of a longer word, a path, an address. */
const joinsAfter = /[\p{L}\p{N}/@]/u
const trailingMark = /[._-]/

/** Where a message is said: who in it may be meant by an `@word` of the text. */
export interface Room {
  has(id: AgentId): boolean
}

/** What a message says of whom it means. */
interface Mentioning {
  readonly mentions?: readonly AgentRef[] | undefined
  readonly content: string
}

/**
 * Whom a message means: everybody its field `mentions` names, and each `@word` of its text that names exactly
 * one agent in the room.
 * @returns ids, each once; absent when nobody is meant
 * @throws {ChatError} AGENT_NOT_FOUND or AMBIGUOUS_NAME for a name of the field: the message is not to be sent
 */
export function resolveMentions(message: Mentioning, room: Room, roster: Roster): AgentId[] | undefined {
  const { mentions, content } = message
  const isWithoutMark = !content.includes("@")
  if (mentions === undefined && isWithoutMark) return undefined
  const ids = new Set<AgentId>()
  for (const ref of mentions ?? [])
    ids.add(whoIn(room, ref.slice(1), roster) ?? resolveAgent(ref, roster, "mentions"))
  if (!isWithoutMark) addFromText(ids, content, room, roster)
  return ids.size > 0 ? [...ids] : undefined
}

function addFromText(ids: Set<AgentId>, content: string, room: Room, roster: Roster): void {
  // A name many bear costs once, however often the text says it.
  const met = new Map<string, AgentId | undefined>()
  const lookUp = (word: string): AgentId | undefined => {
    const key = word.toLowerCase()
    if (!met.has(key)) met.set(key, whoIn(room, key, roster))
    return met.get(key)
  }
  for (const words of wordsAfterMarks(content)) {
    if (ids.size >= maxMentions) return
    for (const word of words) {
      const id = lookUp(word)
      if (id === undefined) continue
      ids.add(id)
      break
    }
  }
}

/** The one agent in the room that has this id, or else bears this name. */
function whoIn(room: Room, word: string, roster: Roster): AgentId | undefined {
  const id = `@${word.toLowerCase()}` as AgentId
  if (room.has(id)) return id
  const bearers = roster.onlineNamed(word).filter((bearer) => room.has(bearer))
  const here = bearers.length > 0 ? bearers : roster.offlineNamed(word).filter((bearer) => room.has(bearer))
  return here.length === 1 ? here[0] : undefined
}

/** For each `@` that may begin a mention, what it may name, the longest first. */
function* wordsAfterMarks(content: string): Iterable<string[]> {
  let end = 0
  for (let at = content.indexOf("@"); at >= 0; at = content.indexOf("@", end)) {
    const start = at + 1
    end = start
    while (wordCharacter.test(content.charAt(end))) end++
    const mayBegin = at === 0 || !joinsBefore.test(characterBefore(content, at))
    if (!mayBegin || joinsAfter.test(characterAt(content, end))) continue
    if (firstCharacter.test(content.charAt(start))) yield readings(content, start, end)
  }
}

/** The word, and the word without the mark, or all the marks, at its end that may be punctuation. */
function readings(content: string, start: number, end: number): string[] {
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
