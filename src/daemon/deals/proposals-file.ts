import { readSync } from "node:fs"
import { withFile, writeFileAtomic } from "../../base/files.js"
import { formatJsonLine } from "../../base/visible-text.js"
import { advanceDeal, type Deal, disputableUntil, expiryOf, openDeal } from "../../proposals/deal.js"
import { agentIdOfDid, readStatement } from "../../proposals/statement.js"
import { ChatError } from "../../protocol/errors.js"
import { defaultLimits } from "../../protocol/limits.js"
import type { AgentId } from "../../protocol/names.js"
import type { Statement } from "../../protocol/statements.js"
import { proposalIdOf } from "../../protocol/verbs.js"
import { AppendLog } from "../files/append-log.js"
import { asFileProblem } from "../files/file-problems.js"
import { LineSplitter } from "../files/line-splitter.js"

/** Milliseconds for which a closed deal is kept. */
const retentionMs = 30 * 86_400_000
/** Longer lines are skipped; no statement is that long. */
const maxLineBytes = 1024 * 1024

/** A line of proposals.jsonl. */
export interface DealEntry {
  /** Unique number, increasing by one per statement. */
  readonly n: number
  /** Nick of the signer at that time. */
  readonly name: string
  readonly statement: Statement
}

/** A deal as proposals.jsonl has it. */
export interface LoggedDeal {
  readonly deal: Deal
  /** Nicks of the parties in their last statements. */
  readonly names: ReadonlyMap<AgentId, string>
  readonly entries: readonly DealEntry[]
}

/**
 * Reads the deals of a proposals.jsonl, oldest first. Skips damaged lines and statements that are not legal after the
 * lines before them. Does not check signatures: the daemon did before it wrote them.
 * @returns no deals if the file does not exist
 * @throws {ChatError} FILE_FAILED if the file cannot be read
 */
export function readDealLog(path: string): LoggedDeal[] {
  const deals = new Map<string, LoggedDeal>()
  for (const entry of readEntries(path)) {
    const { statement, name } = entry
    const id = proposalIdOf(statement)
    const known = deals.get(id)
    const deal = follow(known?.deal, statement)
    if (deal === undefined) continue
    const names = new Map(known?.names).set(agentIdOfDid(statement.from), name)
    deals.set(id, { deal, names, entries: [...(known?.entries ?? []), entry] })
  }
  return [...deals.values()]
}

/**
 * Reports whether a deal was closed so long ago that it is deleted.
 * @param now - milliseconds since the Unix epoch
 */
export function isOver(deal: Deal, now: number): boolean {
  const last = deal.chain.at(-1)?.ts ?? 0
  const openUntil = deal.state === "accepted" ? last + defaultLimits.openProposalMs : last
  return now > Math.max(openUntil, expiryOf(deal), disputableUntil(deal) ?? 0) + retentionMs
}

/** proposals.jsonl: every statement of a daemon's deals, written before it has any effect. */
export class ProposalsFile {
  readonly #log: AppendLog
  #lastNumber: number

  private constructor(path: string, lastNumber: number) {
    this.#log = new AppendLog(path, undefined, true)
    this.#lastNumber = lastNumber
  }

  /**
   * Opens the file and deletes the deals that are over.
   * @param usedNumber - highest number that may be in use already
   * @param now - milliseconds since the Unix epoch
   * @throws {ChatError} FILE_FAILED if the file cannot be read
   */
  static open(
    path: string,
    usedNumber: number,
    now: number,
  ): { file: ProposalsFile; deals: readonly LoggedDeal[] } {
    const found = readDealLog(path)
    const numbers = found.flatMap(({ entries }) => entries.map(({ n }) => n))
    const last = numbers.reduce((a, b) => Math.max(a, b), usedNumber)
    const deals = found.filter(({ deal }) => !isOver(deal, now))
    if (deals.length < found.length) rewrite(path, deals)
    return { file: new ProposalsFile(path, last), deals }
  }

  /**
   * Appends statements durably.
   * @returns their numbers
   * @throws an error of the file system; then nothing was appended
   */
  append(statements: readonly Omit<DealEntry, "n">[]): number[] {
    if (statements.length === 0) return []
    const entries = statements.map((each, index) => ({ ...each, n: this.#lastNumber + 1 + index }))
    this.#log.append(entries.map(formatEntry).join(""))
    this.#lastNumber += entries.length
    return entries.map(({ n }) => n)
  }
}

/** Ignores errors of the file system: deals that are over then stay a little longer. */
function rewrite(path: string, deals: readonly LoggedDeal[]): void {
  const entries = deals.flatMap((deal) => deal.entries).sort((a, b) => a.n - b.n)
  try {
    const lines = entries.map((entry) => Buffer.from(formatEntry(entry)))
    writeFileAtomic(path, Buffer.concat(lines), { durable: true })
  } catch (error) {
    asFileProblem(error, path)
  }
}

function formatEntry({ n, name, statement }: DealEntry): string {
  return `${formatJsonLine({ n, name, statement })}\n`
}

function follow(deal: Deal | undefined, statement: Statement): Deal | undefined {
  try {
    if (deal !== undefined) return advanceDeal(deal, statement)
    return statement.type === "PROPOSAL" ? openDeal(statement) : undefined
  } catch (error) {
    if (error instanceof ChatError) return undefined
    throw error
  }
}

/** Reads line by line, because the file may be longer than a string. Ignores text after the last newline. */
function readEntries(path: string): DealEntry[] {
  const entries: DealEntry[] = []
  const sink = {
    onLine: (line: Buffer) => void entries.push(...parseEntry(line.toString())),
    onOversize: () => {},
    hasRoom: () => true,
  }
  try {
    withFile(path, (fd) => {
      const readAt = (buffer: Uint8Array, position: number) =>
        readSync(fd, buffer, 0, buffer.length, position)
      const splitter = new LineSplitter(readAt, 0, maxLineBytes)
      while (splitter.step(sink) === "more");
    })
  } catch (error) {
    throw asFileProblem(error, path)
  }
  return entries
}

function parseEntry(line: string): DealEntry[] {
  try {
    const { n, name, statement } = JSON.parse(line) as Readonly<Record<string, unknown>>
    if (!Number.isSafeInteger(n) || typeof name !== "string") return []
    const entry = { n: n as number, name, statement: readStatement(statement) }
    agentIdOfDid(entry.statement.from)
    return [entry]
  } catch (error) {
    if (error instanceof SyntaxError || error instanceof TypeError || error instanceof ChatError) return []
    throw error
  }
}
