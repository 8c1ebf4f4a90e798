/**
 * ratings.json: one JSON object on three lines, so that a question about ratings reads the first two and no more.
 *
 * ```
 * {"v":2,"sum":"…","source":{…},…,          sum: SHA-256 of what follows it on this line and the next
 * "ratings":[[did, agent id, rating, transactions, ts], …],"others":[[did, agent id, newest did], …],
 * "facts":{…}}                              what the receipts say; source.facts_sum is its SHA-256
 * ```
 */
import { createHash } from "node:crypto"
import { closeSync, fstatSync, openSync, readSync, statSync } from "node:fs"
import { writeFileAtomic } from "../../base/atomic-file.js"
import type { Outcome } from "../../ratings/history.js"
import type { FilePlace } from "../input/file-lines.js"
import {
  type FactsDocument,
  formatFacts,
  type RatingFacts,
  type RefusedLines,
  readFactsDocument,
} from "./rating-facts.js"

/** An agent that has a rated deal. */
export interface RatedAgent {
  readonly did: string
  readonly agentId: string
  readonly rating: number
  readonly transactions: number
  /** Of its last rated deal; milliseconds since the Unix epoch. */
  readonly updatedTs: number
}

/** A key that is not that of a rated agent: it was replaced, or no deal of it counts. */
export interface OtherKey {
  readonly did: string
  readonly agentId: string
  /** did:key that the agent has now. */
  readonly newest: string
}

/** What most questions are answered from. */
export interface RatingsDigest {
  /** The highest rating first. */
  readonly agents: readonly RatedAgent[]
  readonly others: readonly OtherKey[]
  /** Agent ids of keys whose hand-overs contradict each other; the first few. */
  readonly contradicted: { readonly count: number; readonly first: readonly string[] }
  /** Receipts that a key signed after its end. */
  readonly belated: number
  /** Deals by how they ended. */
  readonly deals: Readonly<Record<Outcome, number>>
  readonly refused: RefusedLines
}

/** What ratings.json was made from. */
export interface RatingsSource {
  /** Up to where the receipts were read. */
  readonly place: FilePlace
  /** SHA-256 of the bytes up to that place, in hex. */
  readonly sha256: string
  /** Of the receipts, and of the identities whose statements about keys were heeded. */
  readonly stamps: Stamps
}

/** See {@link stampsOf}. */
export interface Stamps {
  readonly receipts: string
  readonly identities: string
}

/** Paths of ratings.json, and of what it is made from. */
export interface RatingsFiles {
  readonly ratings: string
  readonly receipts: string
  /** In an order that stays. */
  readonly identities: readonly string[]
}

interface Head {
  readonly source: RatingsSource
  readonly deals: RatingsDigest["deals"]
  readonly contradicted: RatingsDigest["contradicted"]
  readonly belated: number
  readonly refused: RefusedLines
  readonly ratings_bytes: number
  readonly facts_bytes: number
  readonly facts_sum: string
}

/** What there is without receipts. */
const nothing: RatingsDigest = {
  agents: [],
  others: [],
  contradicted: { count: 0, first: [] },
  belated: 0,
  deals: { completed: 0, unresolved: 0, proposer: 0, recipient: 0, mutual: 0 },
  refused: { count: 0, first: [], hasTail: false },
}

type RatingRow = readonly [did: string, agentId: string, rating: number, transactions: number, ts: number]
type OtherRow = readonly [did: string, agentId: string, newest: string]

const version = 2
const firstRead = 64 * 1024
const newline = 0x0a
const opening = (sum: string) => `{"v":${version},"sum":"${sum}",`
const openingPattern = new RegExp(`^${opening("([0-9a-f]{64})").replace("{", "\\{")}`)

/** Changes whenever one of the files does; undefined while there are no receipts. */
export function stampsOf({ receipts, identities }: RatingsFiles): Stamps | undefined {
  const stamp = stampOf(receipts)
  if (stamp === "") return undefined
  return { receipts: stamp, identities: sumOf(identities.map(stampOf).join()) }
}

/** Whether nothing has changed. */
export function isSame(a: Stamps, b: Stamps | undefined): boolean {
  return a.receipts === b?.receipts && a.identities === b.identities
}

/** Empty while there is no such file. */
function stampOf(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? "" : [stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join("-")
}

/** What ratings.json says, if it was made from the other files as they are now. */
export function readFreshDigest(files: RatingsFiles): RatingsDigest | undefined {
  const stamps = stampsOf(files)
  if (stamps === undefined) return nothing
  const cached = readCache(files.ratings, false)
  return cached !== undefined && isSame(stamps, cached.source.stamps) ? cached.digest : undefined
}

/** All that ratings.json says; undefined when there is none, or it is damaged or of another version. */
export function readFacts(path: string): { source: RatingsSource; facts: RatingFacts } | undefined {
  const cached = readCache(path, true)
  if (cached?.facts === undefined) return undefined
  return { source: cached.source, facts: parseFacts(cached.facts, cached.digest.refused) }
}

/** Replaces ratings.json. */
export function writeCache(
  path: string,
  source: RatingsSource,
  digest: RatingsDigest,
  facts: RatingFacts,
): void {
  const factsLine = Buffer.from(`"facts":${formatFacts(facts)}}\n`)
  const rows = digest.agents.map((agent): RatingRow => {
    const { did, agentId, rating, transactions, updatedTs } = agent
    return [did, agentId, rating, transactions, updatedTs]
  })
  const others = digest.others.map(({ did, agentId, newest }): OtherRow => [did, agentId, newest])
  const ratingsLine = `"ratings":${JSON.stringify(rows)},"others":${JSON.stringify(others)},\n`
  const head: Head = {
    source,
    deals: digest.deals,
    contradicted: digest.contradicted,
    belated: digest.belated,
    refused: digest.refused,
    ratings_bytes: Buffer.byteLength(ratingsLine),
    facts_bytes: factsLine.length,
    facts_sum: sumOf(factsLine),
  }
  const told = `${JSON.stringify(head).slice(1, -1)},\n${ratingsLine}`
  writeFileAtomic(path, Buffer.concat([Buffer.from(opening(sumOf(told)) + told), factsLine]))
}

function readCache(path: string, isWhole: boolean) {
  try {
    const fd = openSync(path, "r")
    try {
      return parseCache(fd, isWhole)
    } finally {
      closeSync(fd)
    }
  } catch {
    // What it holds can be found out again.
    return undefined
  }
}

function parseCache(fd: number, isWhole: boolean) {
  const start = readAt(fd, 0, firstRead)
  const headBytes = start.indexOf(newline) + 1
  const headLine = start.toString("latin1", 0, headBytes)
  const [begin = "", sum] = openingPattern.exec(headLine) ?? []
  if (sum === undefined) return undefined
  const head = JSON.parse(`${headLine.slice(0, -2)}}`) as Head
  const toldBytes = headBytes + head.ratings_bytes
  if (fstatSync(fd).size !== toldBytes + head.facts_bytes) return undefined
  const told = toldBytes <= start.length ? start.subarray(0, toldBytes) : readAt(fd, 0, toldBytes)
  if (sumOf(told.subarray(begin.length)) !== sum) return undefined
  const rows = JSON.parse(`{${told.toString("utf8", headBytes, toldBytes - 2)}}`) as Rows
  const facts = isWhole ? readAt(fd, toldBytes, head.facts_bytes) : undefined
  if (facts !== undefined && sumOf(facts) !== head.facts_sum) return undefined
  return { source: head.source, digest: digestOf(head, rows), facts }
}

interface Rows {
  readonly ratings: readonly RatingRow[]
  readonly others: readonly OtherRow[]
}

function digestOf({ deals, contradicted, belated, refused }: Head, rows: Rows): RatingsDigest {
  const agents = rows.ratings.map(([did, agentId, rating, transactions, updatedTs]) => {
    return { did, agentId, rating, transactions, updatedTs }
  })
  const others = rows.others.map(([did, agentId, newest]) => ({ did, agentId, newest }))
  return { agents, others, deals, contradicted, belated, refused }
}

function readAt(fd: number, offset: number, bytes: number): Buffer {
  const buffer = Buffer.allocUnsafe(bytes)
  let read = 0
  while (read < bytes) {
    const more = readSync(fd, buffer, read, bytes - read, offset + read)
    if (more === 0) break
    read += more
  }
  return buffer.subarray(0, read)
}

function parseFacts(line: Buffer, refused: RefusedLines): RatingFacts {
  const { facts } = JSON.parse(`{${line.toString("utf8")}`) as { facts: FactsDocument }
  return readFactsDocument(facts, refused)
}

function sumOf(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex")
}
