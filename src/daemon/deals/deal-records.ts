import type { Clock, Timer } from "../../base/clock.js"
import { type Deal, dealOf } from "../../proposals/deal.js"
import { newsOf, statementMessageId } from "../../proposals/deal-news.js"
import { type Receipt, receiptOf } from "../../proposals/receipt.js"
import type { ChatError } from "../../protocol/errors.js"
import type { Statement } from "../../protocol/statements.js"
import { FileProblems } from "../files/file-problems.js"
import type { DaemonPaths } from "../files/paths.js"
import { type IdentifiedLine, stepLineId } from "../inbox/line.js"
import type { DaemonMemory } from "../session/daemon-memory.js"
import type { Mark } from "../session/read-receipts.js"
import { type LoggedDeal, ProposalsFile } from "./proposals-file.js"
import { ReceiptsFile } from "./receipts-file.js"

/** Milliseconds after which receipts.jsonl is tried again when another process was just writing to it. */
const busyMs = 20

/** A statement that was verified. */
export interface Step {
  readonly statement: Statement
  /** With this statement. */
  readonly deal: Deal
  /** What its author calls itself. */
  readonly name: string
  /** False for one that was known. */
  readonly isNew: boolean
  /** What a relay wants confirmed once the step is safe. */
  readonly confirms?: string
  /** Called when the statement is on disk. */
  readonly onSafe?: () => void
}

/** Where the steps are told. */
export interface RecordEvents {
  mirror(line: IdentifiedLine, mark: Mark | undefined): void
  /** A step that was told long ago came again. */
  confirm(messageId: string): void
  /** What keeps the files from being written; undefined once nothing does. */
  onProblem(problem: ChatError | undefined): void
}

/**
 * Puts each step of a deal down: first in proposals.jsonl, then what it proves in receipts.jsonl, then in the inbox,
 * each before the next. A crash in between is made up for at the next start, a disk that refuses by {@link flush}.
 */
export class DealRecords {
  readonly #self: string
  readonly #clock: Clock
  readonly #memory: DaemonMemory
  readonly #events: RecordEvents
  readonly #log: ProposalsFile
  readonly #receipts: ReceiptsFile
  readonly #problems: FileProblems
  #unsaved: Step[] = []
  #owed: Receipt[] = []
  #untold: { readonly step: Step; readonly n: number | undefined }[] = []
  /** Lines handed to the inbox and not known to be on disk, with the number of their statement. */
  readonly #inInbox = new Map<string, number>()
  #problem: ChatError | undefined
  #timer: Timer | undefined
  #isClosed = false

  /**
   * @param self - did:key of the daemon's agent
   * @throws {ChatError} FILE_FAILED when proposals.jsonl cannot be read
   */
  static open(
    paths: Pick<DaemonPaths, "proposals" | "receipts">,
    self: string,
    { clock, memory }: { readonly clock: Clock; readonly memory: DaemonMemory },
    events: RecordEvents,
  ): { records: DealRecords; deals: readonly LoggedDeal[] } {
    const { log, deals } = ProposalsFile.open(paths.proposals, memory.told, clock.now())
    const files = { log, receipts: new ReceiptsFile(paths.receipts) }
    const records = new DealRecords(self, { clock, memory }, files, events)
    records.#makeUp(deals)
    return { records, deals }
  }

  private constructor(
    self: string,
    { clock, memory }: { readonly clock: Clock; readonly memory: DaemonMemory },
    { log, receipts }: { readonly log: ProposalsFile; readonly receipts: ReceiptsFile },
    events: RecordEvents,
  ) {
    this.#self = self
    this.#clock = clock
    this.#memory = memory
    this.#log = log
    this.#receipts = receipts
    this.#events = events
    this.#problems = new FileProblems((problem) => {
      this.#problem = problem
      events.onProblem(problem)
    })
  }

  /** @throws {ChatError} FILE_FAILED when a statement cannot be put on disk now */
  requireSafe(): void {
    this.flush()
    if (this.#unsaved.length > 0 && this.#problem !== undefined) throw this.#problem
  }

  /** Puts a step down, now or as soon as the disk lets it. Those of one deal must come in order. */
  add(step: Step): void {
    this.#unsaved.push(step)
    this.flush()
  }

  /** Goes on with what was refused. */
  flush(): void {
    if (this.#isClosed) return
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#unsaved.length > 0 && !this.#save()) return
    if (this.#owed.length > 0 && !this.#prove()) {
      this.#timer = this.#clock.setTimer(() => this.flush(), busyMs)
      return
    }
    this.#tell()
  }

  /** These lines of the inbox are on disk. */
  onDurable(lineIds: readonly string[]): void {
    let told = this.#memory.told
    for (const lineId of lineIds) {
      told = Math.max(told, this.#inInbox.get(lineId) ?? 0)
      this.#inInbox.delete(lineId)
    }
    if (told > this.#memory.told) this.#memory.note({ told })
  }

  /** Nothing more is written; what was not is made up for at the next start. */
  close(): void {
    this.flush()
    this.#isClosed = true
    this.#timer?.cancel()
  }

  #makeUp(deals: readonly LoggedDeal[]): void {
    const steps = deals.flatMap(({ entries }) => {
      const chain = entries.map(({ statement }) => statement)
      return entries.map(({ n, name, statement }, index) => {
        const step = { statement, deal: dealOf(chain.slice(0, index + 1)), name, isNew: true }
        return { n, step }
      })
    })
    steps.sort((a, b) => a.n - b.n)
    this.#owed = steps.flatMap(({ step }) => receiptOf(step.deal) ?? [])
    this.#untold = steps.filter(({ n }) => n > this.#memory.told)
  }

  #save(): boolean {
    const steps = this.#unsaved
    const fresh = steps.filter(({ isNew }) => isNew)
    const isSaved = this.#attempt("proposals.jsonl", () => {
      const said = fresh.map(({ name, statement }) => ({ name, statement }))
      const entries = said.length === 0 ? [] : this.#log.append(said)
      const numbers = entries.map(({ n }) => n)
      this.#unsaved = []
      for (const step of steps) this.#untold.push({ step, n: step.isNew ? numbers.shift() : undefined })
    })
    if (!isSaved) return false
    this.#owed.push(...fresh.flatMap(({ deal }) => receiptOf(deal) ?? []))
    return true
  }

  /** @returns false when it is worth another try in a moment */
  #prove(): boolean {
    let isFree = true
    this.#attempt("receipts.jsonl", () => {
      isFree = this.#receipts.append(this.#owed)
      if (isFree) this.#owed = []
    })
    return isFree
  }

  #tell(): void {
    for (const { step, n } of this.#untold.splice(0)) {
      const { statement, confirms, onSafe } = step
      const mirrored = this.#lineOf(step)
      if (n !== undefined) this.#inInbox.set(mirrored.msgId, n)
      const isOwn = statement.from === this.#self
      if (this.#inInbox.has(mirrored.msgId)) {
        this.#events.mirror(mirrored, confirms === undefined ? undefined : { direct: confirms, isOwn })
      } else if (confirms !== undefined) this.#events.confirm(confirms)
      onSafe?.()
    }
  }

  #lineOf({ statement, deal, name }: Step): IdentifiedLine & { readonly msgId: string } {
    const { type, ...news } = newsOf(statement, {
      name,
      state: deal.state,
      msgId: statementMessageId(statement),
    })
    const isOwn = statement.from === this.#self
    return {
      line: { type, ...(isOwn ? { self: true } : {}), ...news },
      msgId: stepLineId(type, deal.id, news.from),
    }
  }

  #attempt(file: string, work: () => void): boolean {
    return this.#problems.attempt(file, "written", work)
  }
}
