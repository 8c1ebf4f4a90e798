import { statSync } from "node:fs"
import { LruMap } from "../../base/lru-map.js"
import type { Connection } from "../../client/connection.js"
import { readDirectId, readSeq } from "../inbox/line.js"
import { listCursors } from "../inbox/reader-cursor.js"
import type { DaemonMemory } from "./daemon-memory.js"

/** Direct messages and tasks whose retrieval is still to be told; of older ones it never is. */
const rememberedMail = 4_000
/** What one RECEIVED frame may name. */
const toldAtOnce = 1_000
/** Milliseconds for which what was told is told again to the next session: the last one may have been dead. */
const doubtMs = 30_000

interface Told {
  readonly atMs: number
  readonly ids: readonly string[]
}

/**
 * Tells the relay what a reader took. Only named readers count: they say how far they are in
 * `cursors/`, and `tail -f` says nothing to anybody.
 */
export class ReadReceipts {
  readonly #dir: string
  readonly #memory: DaemonMemory
  readonly #monotonic: () => number
  /** Ids by the number of their line, in the order of the inbox. */
  readonly #waiting = new LruMap<number, string>(rememberedMail)
  #told: Told[] = []
  #cursors: ReadonlyMap<string, number> | undefined
  #changed = ""
  #isLookDue = true
  #isMoved = false
  #session: Pick<Connection, "send"> | undefined

  /** @param dir - the directory of the readers' cursors */
  constructor(dir: string, memory: DaemonMemory, monotonic: () => number) {
    this.#dir = dir
    this.#memory = memory
    this.#monotonic = monotonic
  }

  /** A line found in the inbox again; those that were told of are not told again. */
  recall(line: Buffer): void {
    const seq = readSeq(line) ?? 0
    const id = seq > this.#memory.retrieved ? readDirectId(line) : undefined
    if (id !== undefined) this.add(seq, id)
  }

  /** A direct message or task is on disk, as the line `seq`. A reader may have been faster than the disk. */
  add(seq: number, id: string): void {
    this.#waiting.set(seq, id)
    if (seq <= this.#memory.retrieved) this.#isMoved = true
  }

  /** A session is there to tell. */
  attach(session: Pick<Connection, "send">): void {
    const nowMs = this.#monotonic()
    const again = this.#told.filter(({ atMs }) => nowMs - atMs < doubtMs)
    this.#told = []
    this.#session = session
    for (const { ids } of again) this.#tell(ids)
    this.look()
  }

  detach(): void {
    this.#session = undefined
  }

  /** Looks where the readers are, if that may have changed, and tells what they took. */
  look(): void {
    if (this.#session === undefined) return
    if (this.#mayHaveChanged()) this.#readCursors()
    if (!this.#isMoved) return
    this.#isMoved = false
    this.#tellTaken(Math.max(0, ...(this.#cursors?.values() ?? [])))
  }

  #mayHaveChanged(): boolean {
    const found = statSync(this.#dir, { bigint: true, throwIfNoEntry: false })
    const changed = found === undefined ? "" : String(found.mtimeNs)
    const isNew = changed !== this.#changed
    const isDue = isNew || this.#isLookDue
    // Two changes within one tick of the file system's clock look like one: look once more.
    this.#isLookDue = isNew
    this.#changed = changed
    return isDue
  }

  #readCursors(): void {
    const before = this.#cursors
    this.#cursors = listCursors(this.#dir)
    for (const [reader, seq] of this.#cursors) {
      // Where they were before this process began is only known of the furthest.
      const last = before === undefined ? this.#memory.retrieved : (before.get(reader) ?? 0)
      if (seq > last) this.#isMoved = true
    }
  }

  #tellTaken(furthest: number): void {
    const ids: string[] = []
    for (const [seq, id] of this.#waiting) {
      if (seq > furthest) continue
      ids.push(id)
      this.#waiting.delete(seq)
    }
    // A reader that took channel messages only has read, too.
    for (let from = 0; from === 0 || from < ids.length; from += toldAtOnce) {
      this.#tell(ids.slice(from, from + toldAtOnce))
    }
    if (furthest > this.#memory.retrieved) this.#memory.note({ retrieved: furthest })
  }

  #tell(ids: readonly string[]): void {
    const nowMs = this.#monotonic()
    this.#told = this.#told.filter(({ atMs }) => nowMs - atMs < doubtMs)
    if (ids.length > 0) this.#told.push({ atMs: nowMs, ids })
    this.#session?.send({ type: "RECEIVED", retrieved: [...ids] })
  }
}
