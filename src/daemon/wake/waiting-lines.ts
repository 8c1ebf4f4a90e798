import { LruMap } from "../../base/lru-map.js"
import type { DaemonPaths } from "../files/paths.js"
import { readDirectId } from "../inbox/line.js"
import { type InboxEntry, readInbox } from "../inbox/reader.js"
import { hasLine, listCursors } from "../inbox/reader-cursor.js"
import type { RingLine } from "./ring-text.js"
import { type Attentions, type Concern, concernOf, mayWake } from "./waking-lines.js"

/** An unread line for which the session may be woken. */
export interface WaitingLine extends RingLine {
  readonly seq: number
  readonly concern: Concern
  readonly to: unknown
  /** Of a direct message or a task. */
  readonly id: string | undefined
  /** When it was found, monotonic. */
  readonly foundMs: number
}

/** Lines remembered; the digest of a ring counts no more. */
const maxLines = 1_000

/** The lines that no reader has taken and that no ring has woken the session for, of those that concern the agent. */
export class WaitingLines {
  readonly #paths: Pick<DaemonPaths, "inbox" | "segments" | "cursors">
  readonly #self: () => string
  readonly #lines = new LruMap<number, WaitingLine>(maxLines)
  #seq: number

  /** @param seq - number of the last line that was looked at in an earlier run */
  constructor(paths: Pick<DaemonPaths, "inbox" | "segments" | "cursors">, self: () => string, seq: number) {
    this.#paths = paths
    this.#self = self
    this.#seq = seq
  }

  /** Number of the last line that was looked at. */
  get seq(): number {
    return this.#seq
  }

  get size(): number {
    return this.#lines.size
  }

  /** Passes over the lines up to a number: there is no session to wake for them. */
  skipTo(seq: number): void {
    this.#seq = Math.max(this.#seq, seq)
  }

  /** Reads the new lines of the inbox. Throws the system's errors. */
  read(nowMs: number): void {
    for (const entry of readInbox(this.#paths, { sinceSeq: this.#seq })) {
      this.#seq = entry.seq
      const line = toLine(entry, this.#self(), nowMs)
      if (line !== undefined) this.#lines.set(line.seq, line)
    }
  }

  /** Forgets the lines that a reader has taken. Throws the system's errors. */
  dropTaken(): void {
    if (this.#lines.size === 0) return
    const positions = [...listCursors(this.#paths.cursors).values()]
    for (const [seq] of [...this.#lines]) {
      if (positions.some((position) => hasLine(position, seq))) this.#lines.delete(seq)
    }
  }

  /** Forgets the lines that a ring has woken the session for: they are not rung for again. */
  drop(seqs: readonly number[]): void {
    for (const seq of seqs) this.#lines.delete(seq)
  }

  hasAny(seqs: readonly number[]): boolean {
    return seqs.some((seq) => this.#lines.has(seq))
  }

  /** Returns the lines for which an agent may be woken, oldest first. */
  wakingLines(attentions: Attentions): WaitingLine[] {
    return [...this.#lines]
      .map(([, line]) => line)
      .filter((line) => mayWake(line.concern, line.to, attentions))
  }
}

function toLine({ seq, text, fields }: InboxEntry, self: string, foundMs: number): WaitingLine | undefined {
  const concern = concernOf(fields, self)
  if (concern === undefined) return undefined
  const { from, name, verified, ts, to } = fields
  return {
    ...{ seq, concern, to, foundMs },
    from: typeof from === "string" ? from : "",
    name: typeof name === "string" ? name : undefined,
    verified: verified === true,
    ts: typeof ts === "number" ? ts : 0,
    id: concern === "direct" ? readDirectId(Buffer.from(text)) : undefined,
  }
}
