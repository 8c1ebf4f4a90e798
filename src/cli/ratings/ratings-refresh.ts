/**
 * Reads new receipts, or all of them, and computes ratings. Loaded only when ratings.json cannot answer, because it is
 * slow.
 */
import { createHash, type Hash } from "node:crypto"
import type { KeyStatement } from "../../identity/succession.js"
import { checkReceipt } from "../../proposals/receipt-check.js"
import { agentIdOfDid } from "../../proposals/statement.js"
import { type FoldOptions, foldRatings, type Move, startRating } from "../../ratings/fold.js"
import { type DealRecord, historyOf, isAfterEnd, recordOf } from "../../ratings/history.js"
import { type KeyEnd, KeySuccession } from "../../ratings/key-succession.js"
import { trustFrom } from "../../ratings/trust.js"
import { type FilePosition, readFileChunks, readFileLines } from "../input/file-lines.js"
import { isBlank, type KeyRing } from "../receipts/key-statements.js"
import { type Entry, readEntries, readEntry, withReceipts } from "../receipts/receipt-source.js"
import {
  isSame,
  nameOfEnd,
  type OtherKey,
  type RatedAgent,
  type RatingFacts,
  type RatingsDigest,
  type RatingsFiles,
  type RatingsSource,
  type RefusedLines,
  readFacts,
  stampsOf,
  writeCache,
} from "./ratings-cache.js"
import { byRating, type Explanation, type ViewedAgent } from "./ratings-view.js"

/** Most line numbers in a report of invalid lines. */
const maxRefused = 5
const noRefused: RefusedLines = { count: 0, first: [], hasTail: false }

/** Facts, and the part of the file they come from. */
interface Progress {
  readonly facts: RatingFacts
  readonly place: FilePosition
  /** Hash of the bytes before `place`. */
  readonly hash: Hash
}

/** Inputs besides the receipts. */
export interface RefreshOptions {
  /** Statements about keys from the identities in `files`. */
  readonly own: KeyRing
  /** Other statements about keys. They are not stored in ratings.json. */
  readonly given: KeyRing
  /** Ignores ratings.json and verifies all receipts. */
  readonly anew: boolean
  readonly onProblem: (error: unknown) => void
}

/**
 * Updates ratings.json from receipts.jsonl. Verifies new lines only, or all lines if those read before have changed.
 * @throws {ChatError} FILE_FAILED if the receipts cannot be read
 */
export function refreshRatings(files: RatingsFiles, options: RefreshOptions): RatedDeals {
  const { own, given, anew, onProblem } = options
  const stamps = stampsOf(files)
  const known = anew ? undefined : readFacts(files.ratings)
  if (stamps === undefined) return rate(noFacts(), own, given)
  if (known !== undefined && isSame(stamps, known.source.stamps)) return rate(known.facts, own, given)
  const { receipts } = files
  const resumed = known === undefined ? undefined : resume(receipts, known.source, known.facts)
  const { facts, place: from, hash } = resumed ?? noProgress()
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
 * Computes ratings from files of receipts.
 * @param rings - statements about keys
 * @param onRefused - called with the invalid lines of each file
 * @throws {ChatError} NOT_FOUND
 */
export async function rateFiles(
  paths: readonly string[],
  rings: readonly KeyRing[],
  onRefused: (path: string, refused: RefusedLines) => void,
): Promise<RatedDeals> {
  const facts = noFacts()
  for (const path of paths) {
    await withReceipts(path, (file) => {
      for (const { line, entry } of readEntries(file)) if (!takeEntry(entry, facts)) refuse(line, facts)
    })
    onRefused(path, facts.refused)
    facts.refused = noRefused
  }
  return rate(facts, ...rings)
}

function noProgress(): Progress {
  return { facts: noFacts(), place: { offset: 0, lines: 0 }, hash: createHash("sha256") }
}

function noFacts(): RatingFacts {
  return { agentIds: new Map(), keyEnds: new Map(), records: new Map(), refused: noRefused }
}

/** @returns undefined if the part of the file that was read before has changed */
function resume(path: string, { place, sha256 }: RatingsSource, facts: RatingFacts): Progress | undefined {
  const hash = createHash("sha256")
  for (const chunk of readFileChunks(path, 0, place.offset)) hash.update(chunk)
  return hash.copy().digest("hex") === sha256 ? { facts, place, hash } : undefined
}

/** Adds the facts of all complete lines after a position. @returns the position after the last of them */
function readReceipts(path: string, from: FilePosition, facts: RatingFacts): FilePosition {
  let place = from
  let hasTail = false
  for (const { number, text, isWhole, after } of readFileLines(path, from)) {
    // A last line without newline is still being written.
    hasTail = !isWhole
    if (hasTail) break
    place = after
    if (!(text !== undefined && isBlank(text)) && !takeEntry(readEntry(text), facts)) refuse(number, facts)
  }
  facts.refused = { ...facts.refused, hasTail }
  return place
}

function refuse(number: number, facts: RatingFacts): void {
  const { count, first } = facts.refused
  const numbers = first.length < maxRefused ? [...first, number] : first
  facts.refused = { ...facts.refused, count: count + 1, first: numbers }
}

/** @returns whether the entry is a valid receipt or statement about a key */
function takeEntry(entry: Entry, facts: RatingFacts): boolean {
  if (entry.kind === "key") {
    takeEnd(endOf(entry.statement), facts)
    return true
  }
  if (entry.kind !== "receipt") return false
  const verdict = checkReceipt(entry.receipt)
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

/** Number of contradicted keys that are named. */
const maxNamed = 5

/** Ratings computed from receipts and statements about keys, and how they came about. */
export class RatedDeals {
  readonly digest: RatingsDigest
  readonly #history: readonly DealRecord[]
  readonly #keys: KeySuccession
  /** Agent ids by did:key. */
  readonly #ids: Map<string, string>

  /** @param ends - ends of keys besides those among the receipts */
  constructor(facts: RatingFacts, ends: readonly KeyEnd[]) {
    this.#keys = new KeySuccession([...facts.keyEnds.values(), ...ends])
    this.#history = historyOf(facts.records.values(), this.#keys)
    this.#ids = new Map(facts.agentIds)
    for (const { key, successor = key } of ends) {
      for (const did of [key, successor]) if (!this.#ids.has(did)) this.#ids.set(did, agentIdOfDid(did))
    }
    this.digest = this.#digest(facts)
  }

  /** Returns the agent id of a did:key in these deals. */
  idOf(did: string): string {
    return this.#ids.get(did) ?? ""
  }

  /** Returns the ratings as seen by an agent that trusts only the named agents. @param named - did:key */
  trustedAgents(named: readonly string[]): ViewedAgent[] {
    const trustIn = trustFrom(named, this.#history)
    const standings = foldRatings(this.#history, { trustIn })
    return Array.from(this.#ids)
      .filter(([did]) => this.#keys.newestOf(did) === did)
      .map(([did, agentId]) => {
        const standing = standings.get(did) ?? { rating: startRating, transactions: 0, updatedTs: 0 }
        return { did, agentId, ...standing, trust: trustIn(did) }
      })
      .sort(byRating)
  }

  /** Returns the deals of an agent and their effects, in the order in which they were rated. */
  explain(did: string | undefined, named: readonly string[] | undefined): Explanation[] {
    const moves = new Map<DealRecord, Move>()
    const onMove: FoldOptions["onMove"] = (move) => {
      if (move.agent === did) moves.set(move.deal, move)
    }
    foldRatings(this.#history, {
      onMove,
      trustIn: named === undefined ? undefined : trustFrom(named, this.#history),
    })
    return this.#history.flatMap((deal) => {
      const [proposer, recipient] = deal.parties
      if (did !== proposer && did !== recipient) return []
      return [{ deal, counterparty: did === proposer ? recipient : proposer, move: moves.get(deal) }]
    })
  }

  #digest({ records, refused }: RatingFacts): RatingsDigest {
    const deals = { completed: 0, unresolved: 0, proposer: 0, recipient: 0, mutual: 0 }
    for (const { outcome } of this.#history) deals[outcome] += 1
    const standings = foldRatings(this.#history)
    const agents = Array.from(standings, ([did, standing]): RatedAgent => {
      return { did, agentId: this.idOf(did), ...standing }
    })
    const others = Array.from(this.#ids)
      .filter(([did]) => !standings.has(did))
      .map(([did, agentId]): OtherKey => ({ did, agentId, newest: this.#keys.newestOf(did) }))
    const { contradicted } = this.#keys
    return {
      agents: agents.sort(byRating),
      others: others.sort((a, b) => (a.did < b.did ? -1 : 1)),
      deals,
      contradicted: {
        count: contradicted.length,
        first: contradicted.slice(0, maxNamed).map((did) => this.idOf(did)),
      },
      belated: Array.from(records.values()).filter((record) => isAfterEnd(record, this.#keys)).length,
      refused,
    }
  }
}
