/**
 * Reads and writes ratings.json: one JSON object on three lines. Most commands read the first two lines only.
 *
 * ```
 * {"v":2,"sum":"…","source":{…},…,          sum: SHA-256 of what follows it on this line and the next
 * "ratings":[[did, agent id, rating, transactions, ts], …],"others":[[did, agent id, newest did], …],
 * "facts":{…}}                              contents of the receipts; source.facts_sum is its SHA-256
 * ```
 */
import { createHash } from "node:crypto"
import { fstatSync, readSync, statSync } from "node:fs"
import { readIfExists, withFile, writeFileAtomic } from "../../base/files.js"
import { ChatError } from "../../protocol/errors.js"
import type { DealRecord, Outcome } from "../../ratings/history.js"
import type { KeyEnd } from "../../ratings/key-succession.js"
import type { FilePosition } from "../input/file-lines.js"

const maxForeignBytes = 256 * 1024 * 1024

/** An agent with at least one rated deal. */
export interface RatedAgent {
  readonly did: string
  readonly agentId: string
  readonly rating: number
  readonly transactions: number
  /** Time of its last rated deal; milliseconds since the Unix epoch. */
  readonly updatedTs: number
}

/** A key that no rated agent uses: it was replaced, or none of its deals counts. */
export interface OtherKey {
  readonly did: string
  readonly agentId: string
  /** did:key of the current key of the same agent. */
  readonly newest: string
}

/** The part of ratings.json that most commands need. */
export interface RatingsDigest {
  /** By falling rating. */
  readonly agents: readonly RatedAgent[]
  readonly others: readonly OtherKey[]
  /** Keys that rotated to several other keys: how many, and the agent ids of the first few. */
  readonly contradicted: { readonly count: number; readonly first: readonly string[] }
  /** Number of receipts that a key signed after it was rotated or revoked. */
  readonly belated: number
  readonly deals: Readonly<Record<Outcome, number>>
  readonly refused: RefusedLines
}

/** The files that ratings.json was computed from. */
export interface RatingsSource {
  /** End of the receipts that were read. */
  readonly place: FilePosition
  /** SHA-256 of the bytes before it, in hex. */
  readonly sha256: string
  /** Stamps of the receipts, and of the identities whose statements about keys were applied. */
  readonly stamps: Stamps
}

export interface Stamps {
  readonly receipts: string
  readonly identities: string
}

/** Paths of ratings.json and of the files it is computed from. */
export interface RatingsFiles {
  readonly ratings: string
  readonly receipts: string
  /** Always in the same order. */
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

const emptyDigest: RatingsDigest = {
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
const firstReadBytes = 64 * 1024
const newline = 0x0a
const opening = (sum: string) => `{"v":${version},"sum":"${sum}",`
const openingPattern = new RegExp(`^${opening("([0-9a-f]{64})").replace("{", "\\{")}`)

/** Returns stamps that change whenever one of the files changes; undefined if there are no receipts. */
export function stampsOf({ receipts, identities }: RatingsFiles): Stamps | undefined {
  const stamp = stampOf(receipts)
  if (stamp === "") return undefined
  return { receipts: stamp, identities: sumOf(identities.map(stampOf).join()) }
}

export function isSame(a: Stamps, b: Stamps | undefined): boolean {
  return a.receipts === b?.receipts && a.identities === b.identities
}

/** Returns an empty stamp if the file does not exist. */
function stampOf(path: string): string {
  const stat = statSync(path, { bigint: true, throwIfNoEntry: false })
  return stat === undefined ? "" : [stat.ino, stat.size, stat.mtimeNs, stat.ctimeNs].join("-")
}

/** Returns the digest in ratings.json if it is up to date with the other files. */
export function readFreshDigest(files: RatingsFiles): RatingsDigest | undefined {
  const stamps = stampsOf(files)
  if (stamps === undefined) return emptyDigest
  const cached = readCache(files.ratings, false)
  return cached !== undefined && isSame(stamps, cached.source.stamps) ? cached.digest : undefined
}

/** Returns the facts in ratings.json; undefined if it is missing, damaged or of another version. */
export function readFacts(path: string): { source: RatingsSource; facts: RatingFacts } | undefined {
  const cached = readCache(path, true)
  if (cached?.facts === undefined) return undefined
  const { facts } = JSON.parse(`{${cached.facts.toString("utf8")}`) as { facts: FactsDocument }
  return { source: cached.source, facts: readFactsDocument(facts, cached.digest.refused) }
}

/**
 * Replaces ratings.json.
 * @throws {ChatError} FILE_FAILED if another program wrote it
 */
export function writeCache(
  path: string,
  source: RatingsSource,
  digest: RatingsDigest,
  facts: RatingFacts,
): void {
  refuseForeign(path)
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
  const digestLines = `${JSON.stringify(head).slice(1, -1)},\n${ratingsLine}`
  writeFileAtomic(path, Buffer.concat([Buffer.from(opening(sumOf(digestLines)) + digestLines), factsLine]))
}

/** Keeps a document of the same name that another program wrote: the ratings of the first AgentChat exist only there. */
function refuseForeign(path: string): void {
  const text = readIfExists(path, maxForeignBytes)
  if (text === undefined || /^\{"v":\d+,"sum":"/.test(text) || !isJson(text)) return
  throw new ChatError("FILE_FAILED", "was written by another program, and stays as it is", {
    hint: "move it elsewhere, then ratings are stored and computed faster",
  })
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text)
    return true
  } catch {
    return false
  }
}

function readCache(path: string, withFacts: boolean) {
  try {
    return withFile(path, (fd) => parseCache(fd, withFacts))
  } catch {
    // The cache can be computed again.
    return undefined
  }
}

function parseCache(fd: number, withFacts: boolean) {
  const start = readAt(fd, 0, firstReadBytes)
  const headBytes = start.indexOf(newline) + 1
  const headLine = start.toString("latin1", 0, headBytes)
  const [begin = "", sum] = openingPattern.exec(headLine) ?? []
  if (sum === undefined) return undefined
  const head = JSON.parse(`${headLine.slice(0, -2)}}`) as Head
  const digestBytes = headBytes + head.ratings_bytes
  if (fstatSync(fd).size !== digestBytes + head.facts_bytes) return undefined
  const digestLines =
    digestBytes <= start.length ? start.subarray(0, digestBytes) : readAt(fd, 0, digestBytes)
  if (sumOf(digestLines.subarray(begin.length)) !== sum) return undefined
  const rows = JSON.parse(`{${digestLines.toString("utf8", headBytes, digestBytes - 2)}}`) as Rows
  const facts = withFacts ? readAt(fd, digestBytes, head.facts_bytes) : undefined
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

function sumOf(data: string | Uint8Array): string {
  return createHash("sha256").update(data).digest("hex")
}

/** Invalid lines of a file of receipts. */
export interface RefusedLines {
  readonly count: number
  /** Line numbers of the first few. */
  readonly first: readonly number[]
  /** True if the last line has no newline yet. */
  readonly hasTail: boolean
}

/** The contents of valid receipts that ratings are computed from. Further receipts can be added. */
export interface RatingFacts {
  /** Agent ids by did:key. */
  readonly agentIds: Map<string, string>
  /** By {@link nameOfEnd}. */
  readonly keyEnds: Map<string, KeyEnd>
  /** By the hash of the last statement. */
  readonly records: Map<string, DealRecord>
  refused: RefusedLines
}

/** Returns a map key for the end of a key. Two ends with the same map key differ only in time. */
export function nameOfEnd({ key, successor = "" }: KeyEnd): string {
  return `${key} ${successor}`
}

/** The form of {@link RatingFacts} in ratings.json. */
interface FactsDocument {
  readonly agents: readonly (readonly [did: string, agentId: string])[]
  readonly key_ends: readonly (readonly [did: string, ts: number, successor?: string])[]
  readonly deals: readonly DealRow[]
}

/** A {@link DealRecord} in which agents are indexes into `agents`, to keep the file small. */
type DealRow = readonly [
  proposal: string,
  head: string,
  steps: number,
  id: string,
  proposer: number,
  recipient: number,
  proposerTs: number,
  recipientTs: number,
  amount: string | null,
  outcome: Outcome,
  ts: number,
]

/** Formats facts as one line of JSON. The order in which receipts were read makes no difference. */
function formatFacts({ agentIds, keyEnds, records }: RatingFacts): string {
  const agents = [...agentIds].sort(byFirst)
  const indexes = new Map(agents.map(([did], index) => [did, index]))
  const indexOf = (did: string) => indexes.get(did) ?? -1
  const deals = [...records.values()]
    .sort((a, b) => (a.head < b.head ? -1 : 1))
    .map((record): DealRow => {
      const { proposal, head, steps, id, parties, signedTs, amount, outcome, ts } = record
      const [proposer, recipient] = parties
      return [
        proposal,
        head,
        steps,
        id,
        indexOf(proposer),
        indexOf(recipient),
        ...signedTs,
        amount ?? null,
        outcome,
        ts,
      ]
    })
  const key_ends = [...keyEnds].sort(byFirst).map(([, { key, successor, ts }]) => {
    return successor === undefined ? ([key, ts] as const) : ([key, ts, successor] as const)
  })
  const document: FactsDocument = { agents, key_ends, deals }
  return JSON.stringify(document)
}

/** Reverses {@link formatFacts}. */
function readFactsDocument({ agents, key_ends, deals }: FactsDocument, refused: RefusedLines): RatingFacts {
  const didOf = (index: number) => agents[index]?.[0] ?? ""
  const records = deals.map((row): [string, DealRecord] => {
    const [proposal, head, steps, id, proposer, recipient, proposerTs, recipientTs, amount, outcome, ts] = row
    return [
      head,
      {
        proposal,
        head,
        steps,
        id,
        parties: [didOf(proposer), didOf(recipient)],
        signedTs: [proposerTs, recipientTs],
        amount: amount ?? undefined,
        outcome,
        ts,
      },
    ]
  })
  const keyEnds = key_ends.map(([key, ts, successor]): [string, KeyEnd] => {
    const end = { key, successor, ts }
    return [nameOfEnd(end), end]
  })
  return { agentIds: new Map(agents), keyEnds: new Map(keyEnds), records: new Map(records), refused }
}

function byFirst([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return a < b ? -1 : 1
}
