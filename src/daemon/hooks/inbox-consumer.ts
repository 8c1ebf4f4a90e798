import type { Clock, Timer } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import { type InboxEntry, type InboxFiles, readInbox } from "../inbox/reader.js"
import { ReaderCursor } from "../inbox/reader-cursor.js"

/** Milliseconds until a line is tried again: twice as many each time, up to the second number. */
const firstRetryMs = 1_000
const longestRetryMs = 300_000

/** The outcome for a line: it is done with, or is to be tried again. */
export type Handled = "done" | "retry"

export interface ConsumerOptions {
  readonly files: InboxFiles & { readonly cursors: string }
  /** Name of the reader whose cursor says how far it is. */
  readonly reader: string
  readonly clock: Clock
  /** Number of the newest line of the inbox, after which a consumer begins that has no cursor. */
  readonly lastSeq: number
  readonly isWanted: (fields: InboxEntry["fields"]) => boolean
  /** Handles one line; never called again before it has resolved. @param failures - how often it failed before */
  readonly handle: (entry: InboxEntry, failures: number, signal: AbortSignal) => Promise<Handled>
  readonly log: (line: string) => void
}

/**
 * Hands each line of an inbox to something outside, one at a time and in order. A line is marked as read once it is
 * handled, so that a daemon that was killed handles its last line again: at least once.
 */
export class InboxConsumer {
  readonly #options: ConsumerOptions
  readonly #cursor: ReaderCursor
  readonly #end = new AbortController()
  #failures = 0
  #timer: Timer | undefined
  #isBusy = false

  /** @throws {ChatError} FILE_FAILED if the cursor cannot be read or written */
  constructor(options: ConsumerOptions) {
    this.#options = options
    this.#cursor = ReaderCursor.open(options.files, options.reader)
    if (this.#cursor.seq === 0 && options.lastSeq > 0) this.#cursor.confirm(options.lastSeq)
  }

  /** Handles what is new, unless it waits or is busy. */
  poke(): void {
    if (this.#isBusy || this.#timer !== undefined || this.#end.signal.aborted) return
    this.#isBusy = true
    this.#run()
      .catch((error: unknown) => {
        if (!(error instanceof ChatError) && (error as NodeJS.ErrnoException).code === undefined) throw error
        // A file error: the next sweep tries again.
        this.#options.log(
          `${this.#options.reader}: ${error instanceof Error ? error.message : String(error)}`,
        )
      })
      .finally(() => {
        this.#isBusy = false
      })
  }

  /** Ends; a line that is being handled is handled again by the next daemon. */
  close(): void {
    this.#timer?.cancel()
    this.#end.abort()
  }

  async #run(): Promise<void> {
    const { files, handle, isWanted } = this.#options
    for (;;) {
      let next: InboxEntry | undefined
      let skipped = this.#cursor.seq
      for (const entry of readInbox(files, { sinceSeq: this.#cursor.seq })) {
        if (isWanted(entry.fields)) {
          next = entry
          break
        }
        skipped = entry.seq
      }
      if (next === undefined) {
        if (skipped > this.#cursor.seq) this.#cursor.confirm(skipped)
        return
      }
      const handled = await handle(next, this.#failures, this.#end.signal)
      if (this.#end.signal.aborted) return
      if (handled === "retry") {
        this.#retryLater()
        return
      }
      this.#failures = 0
      this.#cursor.confirm(next.seq)
    }
  }

  #retryLater(): void {
    const waitMs = Math.min(firstRetryMs * 2 ** this.#failures, longestRetryMs)
    this.#failures++
    this.#timer = this.#options.clock.setTimer(
      () => {
        this.#timer = undefined
        this.poke()
      },
      waitMs,
      { unref: true },
    )
  }
}
