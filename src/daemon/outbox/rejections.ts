import type { ChatError } from "../../protocol/errors.js"
import type { QueuedLine } from "./line-queue.js"
import type { OutboxProblems } from "./problems.js"
import type { RejectedLog, Rejection } from "./rejected.js"
import { RejectedCopy } from "./rejected-copy.js"

/** A line on its way to rejected.jsonl. */
interface Waiting {
  readonly line: QueuedLine
  readonly rejection: Rejection
  readonly isTold: boolean
}

/** A line on its way to a file of its own in rejected.d/. */
interface WaitingCopy {
  readonly line: QueuedLine
  readonly error: ChatError
  readonly fd: number
}

/** Puts refused lines on record, then settles them. What the disk refuses waits for the next {@link retry}. */
export class OutboxRejections {
  readonly #log: RejectedLog
  readonly #problems: OutboxProblems
  readonly #onRecorded: (rejection: Rejection) => void
  #waiting: Waiting[] = []
  #copies: WaitingCopy[] = []
  #copy: RejectedCopy | undefined
  #turn: NodeJS.Immediate | undefined

  constructor(log: RejectedLog, problems: OutboxProblems, onRecorded: (rejection: Rejection) => void) {
    this.#log = log
    this.#problems = problems
    this.#onRecorded = onRecorded
  }

  /** @param options - `isTold: false` when whoever refuses the line tells of it */
  add(line: QueuedLine, rejection: Rejection, options: { isTold: boolean } = { isTold: true }): void {
    this.#waiting.push({ line, rejection, ...options })
  }

  /** @param fd - open for as long as the line is not settled */
  addOversize(line: QueuedLine, error: ChatError, fd: number): void {
    this.#copies.push({ line, error, fd })
  }

  /** Works on what waits; large lines go on in later turns of the event loop. */
  retry(): void {
    while (this.#waiting.length > 0) {
      const waiting = this.#waiting
      this.#waiting = []
      const refused = waiting.findIndex((next) => !this.#record(next))
      if (refused < 0) continue
      this.#waiting = [...waiting.slice(refused), ...this.#waiting]
      break
    }
    if (this.#copies.length > 0) this.#turn ??= setImmediate(() => this.#copyOn())
  }

  close(): void {
    clearImmediate(this.#turn)
    this.#copy?.abort()
  }

  #record({ line, rejection, isTold }: Waiting): boolean {
    const isRecorded = this.#problems.attempt("rejected.jsonl", "written", () => {
      this.#log.record(rejection)
    })
    if (!isRecorded) return false
    if (isTold) this.#onRecorded(rejection)
    line.settle()
    return true
  }

  #copyOn(): void {
    this.#turn = undefined
    const [next] = this.#copies
    if (next === undefined) return
    const { line, error, fd } = next
    const path = this.#log.pathFor(line.at)
    const copy = (this.#copy ??= new RejectedCopy(fd, line.start, line.end, path))
    let sha256: string | undefined
    const isWritten = this.#problems.attempt("rejected.d", "written", () => {
      sha256 = copy.step()
    })
    if (isWritten && sha256 === undefined) {
      this.#turn = setImmediate(() => this.#copyOn())
      return
    }
    this.#copy = undefined
    if (sha256 === undefined) copy.abort()
    else {
      this.#copies.shift()
      this.add(line, { at: line.at, id: line.id, sha256, error, body: path })
      this.retry()
    }
  }
}
