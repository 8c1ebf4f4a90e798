/** Reads receipts that are new, or all of them, and rates. The slow half of `ratings`: loaded when it is needed. */
import { createHash, type Hash } from "node:crypto"
import { agentIdOfDid } from "../../proposals/statement.js"
import { judgeReceipt, type KeyStatement } from "../../proposals/verdict.js"
import { recordOf } from "../../ratings/history.js"
import type { KeyEnd } from "../../ratings/lineage.js"
import { type FilePlace, readFileChunks, readFileLines } from "../input/file-lines.js"
import type { KeyRing } from "../receipts/key-statements.js"
import { type Entry, readEntry } from "../receipts/receipt-entry.js"
import { readEntries } from "../receipts/receipt-source.js"
import { RatedDeals } from "./rated-deals.js"
import { nameOfEnd, type RatingFacts, type RefusedLines } from "./rating-facts.js"
import {
  isSame,
  type RatingsFiles,
  type RatingsSource,
  readFacts,
  stampsOf,
  writeCache,
} from "./ratings-cache.js"

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

/** What to heed besides the receipts. */
export interface RefreshOptions {
  /** What the identities in `files` say about keys. */
  readonly own: KeyRing
  /** What else is said about keys; none of ratings.json's business. */
  readonly given: KeyRing
  /** Believe nothing of ratings.json. */
  readonly anew: boolean
  /** Told why ratings.json could not be written, which hurts nobody. */
  readonly onProblem: (error: unknown) => void
}

/**
 * Brings ratings.json up to date with receipts.jsonl: only lines that are new are verified, and all when what stood
 * before them is not what was read.
 * @throws {ChatError} FILE_FAILED when the receipts cannot be read
 */
export function refreshRatings(files: RatingsFiles, options: RefreshOptions): RatedDeals {
  const { own, given, anew, onProblem } = options
  const stamps = stampsOf(files)
  const known = anew ? undefined : readFacts(files.ratings)
  if (stamps === undefined) return rate(noFacts(), own, given)
  if (known !== undefined && isSame(stamps, known.source.stamps)) return rate(known.facts, own, given)
  const { receipts } = files
  const resumed = known === undefined ? undefined : resume(receipts, known.source, known.facts)
  const { facts, place: from, hash } = resumed ?? begin()
  const place = readReceipts(receipts, from, facts)
  for (const chunk of readFileChunks(receipts, from.offset, place.offset)) hash.update(chunk)
  const rated = rate(facts, own)
  try {
    writeCache(files.ratings, { place, sha256: hash.digest("hex"), stamps }, rated.digest, facts)
  } catch (error) {
    onProblem(error)
  }
  return given.size === 0 ? rated : rate(facts, own, given)
}

/**
 * Rates what files of receipts say together.
 * @param rings - statements about keys
 * @param onRefused - told which lines of a file do not count
 * @throws {ChatError} NOT_FOUND
 */
export function rateFiles(
  paths: readonly string[],
  rings: readonly KeyRing[],
  onRefused: (path: string, refused: RefusedLines) => void,
): RatedDeals {
  const facts = noFacts()
  for (const path of paths) {
    for (const { line, entry } of readEntries(path)) if (!takeEntry(entry, facts)) refuse(line, facts)
    onRefused(path, facts.refused)
    facts.refused = noRefused
  }
  return rate(facts, ...rings)
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
    // Whoever writes the last line is not done, or will fix it.
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
    takeEnd(endOf(entry.statement), facts)
    return true
  }
  if (entry.kind !== "receipt") return false
  const verdict = judgeReceipt(entry.receipt)
  if (verdict.status !== "valid") return false
  const record = recordOf(verdict.deal)
  for (const did of record.parties) takeKey(did, facts)
  facts.records.set(record.head, record)
  return true
}

function takeEnd(end: KeyEnd, facts: RatingFacts): void {
  const name = nameOfEnd(end)
  const known = facts.keyEnds.get(name)
  if (known === undefined || end.ts < known.ts) facts.keyEnds.set(name, end)
  takeKey(end.key, facts)
  if (end.successor !== undefined) takeKey(end.successor, facts)
}

function takeKey(did: string, { agentIds }: RatingFacts): void {
  if (!agentIds.has(did)) agentIds.set(did, agentIdOfDid(did))
}

function endOf(statement: KeyStatement): KeyEnd {
  const { from: key, ts } = statement
  return { key, successor: statement.type === "ROTATION" ? statement.to : undefined, ts }
}

function rate(facts: RatingFacts, ...rings: readonly KeyRing[]): RatedDeals {
  return new RatedDeals(
    facts,
    rings.flatMap((ring) => ring.values().map(endOf)),
  )
}
