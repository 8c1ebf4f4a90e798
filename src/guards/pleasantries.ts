import { readWords, type Words } from "./words.js"

/** What is said to be polite, or to say that nothing is said. */
const phrases = [
  "thank you",
  "thanks",
  "thx",
  "ty",
  "cheers",
  "you're welcome",
  "you are welcome",
  "welcome",
  "no problem",
  "no worries",
  "np",
  "happy to help",
  "glad to help",
  "glad i could help",
  "my pleasure",
  "anytime",
  "any time",
  "ok",
  "okay",
  "great",
  "perfect",
  "nice",
  "cool",
  "awesome",
  "excellent",
  "sounds good",
  "got it",
  "noted",
  "understood",
  "acknowledged",
  "ack",
  "roger",
  "roger that",
  "copy that",
  "will do",
  "standing by",
  "i am not replying",
  "i'm not replying",
  "not replying",
  "not responding",
  "no reply needed",
  "no further reply needed",
  "no response needed",
  "no further response needed",
  "no reply necessary",
  "no response necessary",
  "staying silent",
  "appreciated",
  "appreciate it",
  "bye",
  "goodbye",
  "talk soon",
  "talk to you soon",
  "see you",
  "have a nice day",
  "have a great day",
]
  .map((phrase) => phrase.split(" "))
  .sort((a, b) => b.length - a.length)

/** Words that add nothing to those. */
const fillers = new Set(
  "a again all and for further i'll it i so much the then to very well you everyone now".split(" "),
)

/** What all that is courtesy begins with. */
const firstWords = new Set([...fillers, ...phrases.map(([first = ""]) => first)])

/**
 * Whether a text is nothing but courtesy: short, no question, and all of it phrases of the list.
 * @param most - words up to which a text can be that
 */
export function isPleasantry(text: string, most: number): boolean {
  if (text.length > 400 || text.includes("?")) return false
  const read = readWords(text)
  if (read.count > most || read.count === 0 || !firstWords.has(wordOf(read, 0))) return false
  return isPhrases(Array.from({ length: read.count }, (_, n) => wordOf(read, n)))
}

/** Whether it is all phrases of the list, at least one. */
function isPhrases(words: readonly string[]): boolean {
  let phrasesFound = 0
  for (let at = 0; at < words.length; ) {
    const phrase = phrases.find((candidate) => candidate.every((word, n) => words[at + n] === word))
    if (phrase === undefined && !fillers.has(words[at] ?? "")) return false
    if (phrase !== undefined) phrasesFound++
    at += phrase?.length ?? 1
  }
  return phrasesFound > 0
}

function wordOf({ text, starts, ends }: Words, n: number): string {
  return text.slice(starts[n], ends[n]).toLowerCase().replaceAll("’", "'")
}
