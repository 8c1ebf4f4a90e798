import type { SendableLine } from "../line-queue.js"
import type { OutboxProblems } from "../problems.js"
import type { OutboxFile, ReadEnd } from "./outbox-file.js"
import type { OutboxFiles } from "./outbox-files.js"

/**
 * Reads the files of one outbox in the order in which anybody wrote. A writer that opens the outbox anew for
 * each line goes from an older file to a newer one, never back; so an older file goes first, and is looked at
 * again after a newer one was.
 */
export class OutboxReader {
  readonly #files: OutboxFiles
  readonly #problems: OutboxProblems
  readonly #nowMs: () => number
  #hasMore = false
  #isUnfinished = false

  constructor(files: OutboxFiles, problems: OutboxProblems, nowMs: () => number) {
    this.#files = files
    this.#problems = problems
    this.#nowMs = nowMs
  }

  /** The last {@link read} stopped before the end of everything. */
  get hasMore(): boolean {
    return this.#hasMore
  }

  /** It stopped for the sake of the event loop only, and should be repeated soon. */
  get isUnfinished(): boolean {
    return this.#isUnfinished
  }

  /**
   * Reads up to the first file that has something left, the newest of these first.
   * @returns whether anything was new
   */
  read(): boolean {
    const files = this.#files.kept
    const busy = files.findIndex((file) => !file.isDrained)
    this.#hasMore = busy >= 0 && busy < files.length - 1
    this.#isUnfinished = false
    let isNew = false
    for (const file of files.slice(0, busy < 0 ? files.length : busy + 1).reverse()) {
      const before = file.scanned
      const end = this.#readOn(file)
      isNew ||= file.scanned !== before
      this.#isUnfinished ||= end === "more" || end === "replaced"
      this.#hasMore ||= end !== "end"
    }
    return isNew
  }

  /** @param mayBeNew - whether it may be a line that nobody took before */
  next(mayBeNew: boolean): SendableLine | undefined {
    for (const file of this.#files.all) {
      const line = file.take(mayBeNew)
      if (line !== undefined) return line
      if (!file.isDrained) return undefined
    }
    return undefined
  }

  #readOn(file: OutboxFile): ReadEnd {
    const ends: ReadEnd[] = []
    this.#problems.attempt("outbox.jsonl", "read on", () => {
      ends.push(file.read(this.#nowMs()))
      if (ends[0] === "replaced") this.#files.beginAnew(file)
    })
    return ends[0] ?? "end"
  }
}
