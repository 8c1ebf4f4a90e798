/** Reads receipts that are new, or all of them, and rates. The slow half of `ratings`: loaded when it is needed. */
import { createHash, type Hash } from "node:crypto"
import { agentIdOfDid } from "../proposals/statement.js"
import { judgeReceipt } from "../proposals/verdict.js"
import { historyOf } from "../ratings/deal-history.js"
import { recordOf } from "../ratings/deal-record.js"
import { foldRatings } from "../ratings/fold.js"
import { type FilePlace, readFileChunks, readFileLines } from "./file-lines.js"
import {
  type RatedAgent,
  type RatingFacts,
  type RatingsDigest,
  type RatingsSource,
  type RefusedLines,
  readFacts,
  stampOf,
  writeCache,
} from "./ratings-cache.js"
import { byRating } from "./ratings-view.js"
import { type Entry, readEntry } from "./receipt-entry.js"
import { readEntries } from "./receipt-source.js"

/** What came out of receipts. */
export interface Rated {
  readonly digest: RatingsDigest
  readonly facts: RatingFacts
}

/** Line numbers of refused lines that are kept. */
const refusedKept = 5
const noRefused: RefusedLines = { count: 0, first: [], hasTail: false }

/** Facts, and the part of the receipts they were taken from. */
interface Progress {
  readonly facts: RatingFacts
  readonly place: FilePlace
  /** Over the bytes up to `place`. */
  readonly hash: Hash
}

/**
 * Brings ratings.json up to date with receipts.jsonl: only lines that are new are verified, and all when what stood
 * before them is not what was read.
 * @param files - paths of both
 * @param anew - believe nothing of ratings.json
 * @param onProblem - told why ratings.json could not be written, which hurts nobody
 * @throws {ChatError} FILE_FAILED when the receipts cannot be read
 */
export function refreshRatings(
  files: { readonly receipts: string; readonly ratings: string },
  anew: boolean,
  onProblem: (error: unknown) => void,
): Rated {
  const { receipts, ratings } = files
  const stamp = stampOf(receipts)
  if (stamp === undefined) return rate(noFacts())
  const cached = anew ? undefined : readFacts(ratings)
  if (cached?.source.stamp === stamp) return rate(cached.facts)
  const known = cached === undefined ? undefined : resume(receipts, cached.source, cached.facts)
  const { facts, place: from, hash } = known ?? begin()
  const place = readReceipts(receipts, from, facts)
  for (const chunk of readFileChunks(receipts, from.offset, place.offset)) hash.update(chunk)
  const rated = rate(facts)
  try {
    writeCache(ratings, { place, sha256: hash.digest("hex"), stamp }, rated.digest, facts)
  } catch (error) {
    onProblem(error)
  }
  return rated
}

/**
 * Rates what files of receipts say together.
 * @param onRefused - told which lines of a file do not count
 * @throws {ChatError} NOT_FOUND
 */
export function rateFiles(
  paths: readonly string[],
  onRefused: (path: string, refused: RefusedLines) => void,
): Rated {
  const facts = noFacts()
  for (const path of paths) {
    for (const { line, entry } of readEntries(path)) if (!takeEntry(entry, facts)) refuse(line, facts)
    onRefused(path, facts.refused)
    facts.refused = noRefused
  }
  return rate(facts)
}

function begin(): Progress {
  return { facts: noFacts(), place: { offset: 0, lines: 0 }, hash: createHash("sha256") }
}

function noFacts(): RatingFacts {
  return { agentIds: new Map(), keyEnds: new Map(), records: new Map(), refused: noRefused }
}

/** Undefined when the file no longer begins with what was read. */
function resume(path: string, { place, sha256 }: RatingsSource, facts: RatingFacts): Progress | undefined {
  const hash = createHash("sha256")
  for (const chunk of readFileChunks(path, 0, place.offset)) hash.update(chunk)
  return hash.copy().digest("hex") === sha256 ? { facts, place, hash } : undefined
}

/** Adds what whole lines say from a place on. @returns the place after the last of them */
function readReceipts(path: string, from: FilePlace, facts: RatingFacts): FilePlace {
  let place = from
  let hasTail = false
  for (const { number, text, isWhole, after } of readFileLines(path, from)) {
    // Whoever writes the last line is not done, or will mend it.
    hasTail = !isWhole
    if (hasTail) break
    place = after
    if (text?.trim() !== "" && !takeEntry(readEntry(text), facts)) refuse(number, facts)
  }
  facts.refused = { ...facts.refused, hasTail }
  return place
}

function refuse(number: number, facts: RatingFacts): void {
  const { count, first } = facts.refused
  const kept = first.length < refusedKept ? [...first, number] : first
  facts.refused = { ...facts.refused, count: count + 1, first: kept }
}

/** @returns whether it is a receipt, or a statement about a key, in which everything holds */
function takeEntry(entry: Entry, facts: RatingFacts): boolean {
  if (entry.kind === "key") {
    const { from, ts } = entry.statement
    facts.keyEnds.set(from, Math.min(ts, facts.keyEnds.get(from) ?? ts))
    return true
  }
  if (entry.kind !== "receipt") return false
  const verdict = judgeReceipt(entry.receipt)
  if (verdict.status !== "valid") return false
  const record = recordOf(verdict.deal)
  for (const did of record.parties) {
    if (!facts.agentIds.has(did)) facts.agentIds.set(did, agentIdOfDid(did))
  }
  facts.records.set(record.head, record)
  return true
}

function rate(facts: RatingFacts): Rated {
  const history = historyOf(facts.records.values(), facts.keyEnds)
  const deals = { completed: 0, unresolved: 0, proposer: 0, recipient: 0, mutual: 0 }
  for (const { outcome } of history) deals[outcome] += 1
  const agents = Array.from(foldRatings(history), ([did, standing]): RatedAgent => {
    return { did, agentId: facts.agentIds.get(did) ?? "", ...standing }
  })
  return { digest: { agents: agents.sort(byRating), deals, refused: facts.refused }, facts }
}
