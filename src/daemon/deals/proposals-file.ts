import { closeSync, openSync, readSync } from "node:fs"
import { writeFileAtomic } from "../../base/atomic-file.js"
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

/** Milliseconds a deal is kept for after nothing can be said in it any more. */
const keptMs = 30 * 86_400_000
/** No statement is that long. */
const maxLineBytes = 1024 * 1024

/** A statement of a deal as proposals.jsonl holds it. */
export interface DealEntry {
  /** Rises by one with each; no other statement of this daemon ever has it. */
  readonly n: number
  /** What its author called itself. */
  readonly name: string
  readonly statement: Statement
}

/** A deal, and what its parties called themselves when they last said something in it. */
export interface LoggedDeal {
  readonly deal: Deal
  readonly names: ReadonlyMap<AgentId, string>
  readonly entries: readonly DealEntry[]
}

/**
 * The deals in a proposals.jsonl, the one that was opened first standing first. What a crash or an editor left of a
 * line is passed over, and so is what does not follow from the lines before it. No signature is looked at: the
 * daemon did before it wrote them.
 * @throws {ChatError} FILE_FAILED when the file is there and cannot be read
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

/** Whether nothing has been possible in a deal for long, so that it may be forgotten. Milliseconds since the Unix epoch. */
export function isOver(deal: Deal, now: number): boolean {
  return now > lastChanceOf(deal) + keptMs
}

/** proposals.jsonl: every statement of a daemon's deals, each on disk before anybody is told of it. */
export class ProposalsFile {
  readonly #log: AppendLog
  #lastNumber: number

  private constructor(path: string, lastNumber: number) {
    this.#log = new AppendLog(path, undefined, true)
    this.#lastNumber = lastNumber
  }

  /**
   * Opens the log, and takes out what is over.
   * @param floor - numbers up to this one were given before
   * @throws {ChatError} FILE_FAILED when the file is there and cannot be read
   */
  static open(
    path: string,
    floor: number,
    now: number,
  ): { log: ProposalsFile; deals: readonly LoggedDeal[] } {
    const found = readDealLog(path)
    const numbers = found.flatMap(({ entries }) => entries.map(({ n }) => n))
    const last = numbers.reduce((a, b) => Math.max(a, b), floor)
    const deals = found.filter(({ deal }) => !isOver(deal, now))
    if (deals.length < found.length) rewrite(path, deals)
    return { log: new ProposalsFile(path, last), deals }
  }

  /** @throws what the file system refuses; then nothing was appended */
  append(said: readonly Omit<DealEntry, "n">[]): DealEntry[] {
    const entries = said.map((each, index) => ({ n: this.#lastNumber + 1 + index, ...each }))
    this.#log.append(entries.map(formatEntry).join(""))
    this.#lastNumber += entries.length
    return entries
  }
}

function lastChanceOf(deal: Deal): number {
  const last = deal.chain.at(-1)?.ts ?? 0
  const open = deal.state === "accepted" ? last + defaultLimits.openProposalMs : last
  return Math.max(open, expiryOf(deal), disputableUntil(deal) ?? 0)
}

/** A disk that refuses is no harm: what is over stands there a little longer. */
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

/** Line by line: what strangers propose may be more than one string can hold. What follows the last newline is no line. */
function readEntries(path: string): DealEntry[] {
  const entries: DealEntry[] = []
  const sink = {
    onLine: (line: Buffer) => void entries.push(...parseEntry(line.toString())),
    onOversize: () => {},
    hasRoom: () => true,
  }
  let fd: number | undefined
  try {
    const file = (fd = openSync(path, "r"))
    const readAt = (buffer: Uint8Array, position: number) =>
      readSync(file, buffer, 0, buffer.length, position)
    const splitter = new LineSplitter(readAt, 0, maxLineBytes)
    while (splitter.step(sink) === "more");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return []
    throw asFileProblem(error, path)
  } finally {
    if (fd !== undefined) closeSync(fd)
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
