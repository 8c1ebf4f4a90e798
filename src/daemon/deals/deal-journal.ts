import type { Clock, Timer } from "../../base/clock.js"
import type { VerifiedStatement } from "../../client/deals/deal-engine.js"
import { type Deal, dealOf } from "../../proposals/deal.js"
import { dealEventOf } from "../../proposals/deal-event.js"
import { type Decision, type Receipt, receiptOf } from "../../proposals/receipt.js"
import type { ChatError } from "../../protocol/errors.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Statement } from "../../protocol/statements.js"
import type { Verb } from "../../protocol/verbs.js"
import { FileProblems } from "../files/file-problems.js"
import type { LockOwner } from "../files/lock-file.js"
import type { DaemonPaths } from "../files/paths.js"
import { type IdentifiedLine, stepLineId } from "../inbox/line.js"
import type { DaemonMemory } from "../session/daemon-memory.js"
import type { Mark } from "../session/read-receipts.js"
import { type LoggedDeal, ProposalsFile } from "./proposals-file.js"
import { ReceiptsFile } from "./receipts-file.js"

/** Milliseconds before receipts.jsonl is tried again while another process has the lock. */
const lockRetryMs = 20

export interface DealJournalOptions {
  readonly paths: Pick<DaemonPaths, "proposals" | "receipts">
  /** did:key of the daemon's agent. */
  readonly self: string
  readonly clock: Clock
  readonly memory: DaemonMemory
  /** Takes the lock of receipts.jsonl. */
  readonly owner: LockOwner
}

export interface DealJournalEvents {
  /** Appends a line to the inbox. */
  mirror(line: IdentifiedLine, mark: Mark | undefined): void
  /** Acknowledges a message whose line was in the inbox before. */
  confirm(messageId: string): void
  /** Called once the statement of a message is on disk. `message.state` is the state of its deal now. */
  onRecorded(message: ServerMessage<Verb>): void
  /** Reports why the files cannot be written; undefined once they can. */
  onProblem(problem: ChatError | undefined): void
}

/** A statement that is not in every file yet. */
interface Entry extends Pick<VerifiedStatement, "statement" | "deal" | "isNew" | "message"> {
  readonly name: string
}

/**
 * The deals of a daemon on disk. Writes each statement to proposals.jsonl, then its receipt to receipts.jsonl, then its
 * line to the inbox. After a crash in between, the next start completes the work; after an error of the file system,
 * {@link flush} does.
 */
export class DealJournal {
  readonly #self: string
  readonly #clock: Clock
  readonly #memory: DaemonMemory
  readonly #events: DealJournalEvents
  readonly #proposals: ProposalsFile
  readonly #receipts: ReceiptsFile
  readonly #deals: Map<string, Deal>
  readonly #problems: FileProblems
  #unsaved: Entry[] = []
  #unwrittenReceipts: (Receipt | Decision)[]
  #unmirrored: { readonly entry: Entry; readonly n: number | undefined }[]
  /** Lines handed to the inbox that may not be on disk yet, each with the number of its statement. */
  readonly #inInbox = new Map<string, number>()
  #problem: ChatError | undefined
  #timer: Timer | undefined
  #isClosed = false

  /** @throws {ChatError} FILE_FAILED if proposals.jsonl cannot be read */
  constructor({ paths, self, clock, memory, owner }: DealJournalOptions, events: DealJournalEvents) {
    this.#self = self
    this.#clock = clock
    this.#memory = memory
    this.#events = events
    const { file, deals } = ProposalsFile.open(paths.proposals, memory.state.told, clock.now())
    this.#proposals = file
    this.#receipts = new ReceiptsFile(paths.receipts, owner)
    this.#deals = new Map(deals.map(({ deal }) => [deal.id, deal]))
    this.#problems = new FileProblems((problem) => {
      this.#problem = problem
      events.onProblem(problem)
    })
    const logged = entriesOf(deals)
    this.#unwrittenReceipts = logged.flatMap(({ entry }) => receiptOf(entry.deal) ?? [])
    this.#unmirrored = logged.filter(({ n }) => n > memory.state.told)
  }

  get(id: string): Deal | undefined {
    return this.#deals.get(id)
  }

  /** Returns all deals, oldest first. */
  list(): Iterable<Deal> {
    return this.#deals.values()
  }

  /** Writes a statement, now or as soon as the disk allows it. */
  add({ name = "", ...verified }: VerifiedStatement): void {
    const { deal, isNew } = verified
    if (isNew) this.#deals.set(deal.id, deal)
    this.#unsaved.push({ ...verified, name })
    this.flush()
  }

  /** Writes a decision to receipts.jsonl, now or as soon as the disk allows it. */
  addDecision(decision: Decision): void {
    this.#unwrittenReceipts.push(decision)
    this.flush()
  }

  /** @throws {ChatError} FILE_FAILED if statements cannot be written now */
  requireWritable(): void {
    this.flush()
    if (this.#unsaved.length > 0 && this.#problem !== undefined) throw this.#problem
  }

  /** Retries failed writes. */
  flush(): void {
    if (this.#isClosed) return
    this.#timer?.cancel()
    this.#timer = undefined
    if (this.#unsaved.length > 0 && !this.#save()) return
    if (this.#unwrittenReceipts.length > 0 && !this.#writeReceipts()) {
      this.#timer = this.#clock.setTimer(() => this.flush(), lockRetryMs)
      return
    }
    this.#mirror()
  }

  /** Records which statements the inbox has on disk. */
  onDurable(lineIds: readonly string[]): void {
    let newest = this.#memory.state.told
    for (const lineId of lineIds) {
      newest = Math.max(newest, this.#inInbox.get(lineId) ?? 0)
      this.#inInbox.delete(lineId)
    }
    if (newest > this.#memory.state.told) this.#memory.note({ told: newest })
  }

  /** Stops writing; the next start completes the work. */
  close(): void {
    this.flush()
    this.#isClosed = true
    this.#timer?.cancel()
  }

  /** @returns false if the file system refused */
  #save(): boolean {
    const entries = this.#unsaved
    const added = entries.filter(({ isNew }) => isNew)
    const isSaved = this.#problems.attempt("proposals.jsonl", "written", () => {
      const numbers = this.#proposals.append(added)
      this.#unsaved = []
      for (const entry of entries) {
        this.#unmirrored.push({ entry, n: entry.isNew ? numbers.shift() : undefined })
      }
    })
    if (isSaved) this.#unwrittenReceipts.push(...added.flatMap(({ deal }) => receiptOf(deal) ?? []))
    return isSaved
  }

  /**
   * Receipts that cannot be written stay in the list and do not delay the inbox.
   * @returns false if another process has the lock
   */
  #writeReceipts(): boolean {
    let isFree = true
    this.#problems.attempt("receipts.jsonl", "written", () => {
      isFree = this.#receipts.append(this.#unwrittenReceipts)
      if (isFree) this.#unwrittenReceipts = []
    })
    return isFree
  }

  #mirror(): void {
    for (const { entry, n } of this.#unmirrored.splice(0)) {
      const { statement, deal, message } = entry
      const line = this.#lineOf(entry)
      if (n !== undefined) this.#inInbox.set(line.msgId, n)
      if (this.#inInbox.has(line.msgId)) {
        const isOwn = statement.from === this.#self
        this.#events.mirror(line, message === undefined ? undefined : { direct: message.msg_id, isOwn })
      } else if (message !== undefined) this.#events.confirm(message.msg_id)
      if (message !== undefined) this.#events.onRecorded({ ...message, state: deal.state })
    }
  }

  #lineOf({ statement, deal, name }: Entry): IdentifiedLine & { readonly msgId: string } {
    const { type, ...fields } = dealEventOf(statement, { name, state: deal.state })
    const isOwn = statement.from === this.#self
    return {
      line: { type, ...(isOwn ? { self: true } : {}), ...fields, verified: true },
      msgId: stepLineId(type, deal.id, fields.from),
    }
  }
}

/** Returns the statements of all deals in the order in which they were written, each with the deal as it was then. */
function entriesOf(deals: readonly LoggedDeal[]): { readonly n: number; readonly entry: Entry }[] {
  const logged = deals.flatMap(({ entries }) => {
    const chain: readonly Statement[] = entries.map(({ statement }) => statement)
    return entries.map(({ n, name, statement }, index) => {
      const deal = dealOf(chain.slice(0, index + 1))
      return { n, entry: { statement, deal, name, isNew: true, message: undefined } }
    })
  })
  return logged.sort((a, b) => a.n - b.n)
}
