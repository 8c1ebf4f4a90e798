import type { Clock, Timer } from "../../base/clock.js"
import { type InboxEntry, type InboxFiles, readInbox } from "./reader.js"

/** How long a follower sleeps when no file event comes, and just after lines came, in milliseconds. */
const sweepMs = 1_000
// chokidar passes over a second change within some milliseconds of the first.
const recheckMs = 20

/** How an inbox is followed. */
export interface FollowOptions {
  readonly clock: Clock
  /** Ends the iteration. */
  readonly signal: AbortSignal
  /** As for {@link readInbox}; each line is told once. */
  readonly onDamaged?: (text: string) => void
}

/**
 * The lines of an inbox after `afterSeq`, and then each new one as it comes, for ever. Every wake-up
 * finds its place by `seq` alone, so rotation, deletion and a daemon that comes and goes need no care.
 */
export async function* followInbox(
  files: InboxFiles,
  afterSeq: number,
  options: FollowOptions,
): AsyncGenerator<InboxEntry, void> {
  const { clock, signal } = options
  const bell = new Doorbell(clock)
  const ring = () => {
    bell.ring()
  }
  const isOver = () => signal.aborted
  const tellDamaged = once(options.onDamaged)
  signal.addEventListener("abort", ring)
  const watcher = await watchFile(files.inbox, ring)
  try {
    while (!isOver()) {
      const before = afterSeq
      for (const entry of readInbox(files, { sinceSeq: afterSeq }, tellDamaged)) {
        afterSeq = entry.seq
        yield entry
        if (isOver()) return
      }
      await bell.wait(afterSeq > before ? recheckMs : sweepMs)
    }
  } finally {
    signal.removeEventListener("abort", ring)
    await watcher.close()
  }
}

/** chokidar takes longer to load than a short read takes; only followers pay for it. */
async function watchFile(path: string, onEvent: () => void): Promise<{ close(): Promise<void> }> {
  const { watch } = await import("chokidar")
  // The first event, of the file being found, also ends the time before the watch stood.
  return watch(path).on("all", onEvent)
}

/** A damaged line is met again by every look until a good one follows it. */
function once(tell: ((text: string) => void) | undefined): (text: string) => void {
  let last: string | undefined
  return (text) => {
    if (text !== last) tell?.(text)
    last = text
  }
}

/** Something to sleep on. A ring while nobody sleeps is kept for the next one who would. */
class Doorbell {
  readonly #clock: Clock
  #rung = false
  #wake: (() => void) | undefined

  constructor(clock: Clock) {
    this.#clock = clock
  }

  ring(): void {
    this.#rung = true
    this.#wake?.()
  }

  /** Sleeps until somebody rings or `atMostMs` have passed. */
  async wait(atMostMs: number): Promise<void> {
    if (!this.#rung) {
      let timer: Timer | undefined
      await new Promise<void>((resolve) => {
        this.#wake = resolve
        timer = this.#clock.setTimer(resolve, atMostMs)
      })
      timer?.cancel()
      this.#wake = undefined
    }
    this.#rung = false
  }
}
