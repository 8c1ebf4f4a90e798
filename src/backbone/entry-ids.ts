import type { Clock } from "../base/clock.js"
import { LruMap } from "../base/lru-map.js"
import { ChatError } from "../protocol/errors.js"

const maxIdLength = 512
/** Milliseconds an id is remembered. */
const retentionMs = 3_600_000

interface KnownEntry {
  readonly seq: number
  readonly ts: number
  readonly digest?: number
}

/** The ids of entries appended within the last hour, to recognize an entry that is appended again. */
export class EntryIds {
  readonly #clock: Clock
  readonly #entries: LruMap<string, KnownEntry>

  /** @param max - number of ids remembered; the oldest are forgotten first */
  constructor(clock: Clock, max: number) {
    this.#clock = clock
    this.#entries = new LruMap(max)
  }

  find(id: string): KnownEntry | undefined {
    return this.#entries.peek(id)
  }

  add(id: string, known: KnownEntry): void {
    this.#entries.set(id, known)
    const oldestTs = this.#clock.now() - retentionMs
    for (const [oldest, entry] of this.#entries) {
      if (entry.ts >= oldestTs) break
      this.#entries.delete(oldest)
    }
  }
}

/** @throws {ChatError} INVALID_MSG when `id` is no valid id of an entry */
export function checkEntryId(id: string): void {
  if (id === "" || id.length > maxIdLength) {
    throw new ChatError("INVALID_MSG", `entry id: must be 1–${maxIdLength} characters`)
  }
}

/** The error of an append to a log that is full and refuses new entries. */
export function logFull(): ChatError {
  return new ChatError("MAILBOX_FULL", "mailbox is full", {
    hint: "try again when the recipient has fetched some of its messages",
  })
}
