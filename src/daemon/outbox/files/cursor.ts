import { readFileSync } from "node:fs"
import { writeFileAtomic } from "../../../base/atomic-file.js"
import type { Clock, Timer } from "../../../base/clock.js"
import { isFileError, type OutboxProblems } from "../problems.js"
import { type GenerationMark, isGeneration } from "./generation.js"

/** What the cursor is asked for, and told. */
export interface CursorEvents {
  /** Progress of every file, now. May throw what the file system refuses. */
  mark(): GenerationMark[]
  /** The last {@link mark} is on disk. */
  onSaved(): void
}

/** outbox.cursor.json: how far each file of the outbox is settled. Written soon after progress, never while idle. */
export class OutboxCursor {
  readonly #path: string
  readonly #clock: Clock
  readonly #saveMs: number
  readonly #problems: OutboxProblems
  readonly #events: CursorEvents
  #timer: Timer | undefined
  #soon: NodeJS.Immediate | undefined
  #isDirty = false
  /** A disk that refused is asked again by the sweep only. */
  #isFailing = false

  constructor(
    place: { path: string; clock: Clock; saveMs: number },
    problems: OutboxProblems,
    events: CursorEvents,
  ) {
    this.#path = place.path
    this.#clock = place.clock
    this.#saveMs = place.saveMs
    this.#problems = problems
    this.#events = events
  }

  /** What the file says, by generation. A file that is missing or damaged says nothing. */
  load(): Map<string, GenerationMark> {
    let text: string
    try {
      text = readFileSync(this.#path, "utf8")
    } catch (error) {
      if (isFileError(error)) return new Map()
      throw error
    }
    return new Map(parseMarks(text).map((mark) => [mark.generation, mark]))
  }

  /** There is progress to be saved: within `saveMs`, or at the end of this turn. */
  touch(isUrgent: boolean): void {
    this.#isDirty = true
    if (this.#isFailing) return
    // Not at once: what the daemon wrote about the settled lines must be on disk first.
    if (isUrgent) this.#soon ??= setImmediate(() => this.save())
    else this.#timer ??= this.#clock.setTimer(() => this.save(), this.#saveMs, { unref: true })
  }

  /**
   * Writes what there is to write.
   * @returns whether the file is up to date
   */
  save(): boolean {
    this.stop()
    if (!this.#isDirty) return true
    const isWritten = this.#problems.attempt("outbox.cursor.json", "written", () => {
      writeFileAtomic(this.#path, `${JSON.stringify({ v: 1, files: this.#events.mark() })}\n`)
    })
    this.#isFailing = !isWritten
    if (!isWritten) return false
    this.#isDirty = false
    this.#events.onSaved()
    return true
  }

  /** Forgets what is scheduled. */
  stop(): void {
    this.#timer?.cancel()
    this.#timer = undefined
    clearImmediate(this.#soon)
    this.#soon = undefined
  }
}

function parseMarks(text: string): GenerationMark[] {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    return []
  }
  const files = (value as { files?: unknown } | null)?.files
  return Array.isArray(files) ? files.filter(isMark) : []
}

function isMark(value: unknown): value is GenerationMark {
  const mark = value as Partial<Record<keyof GenerationMark, unknown>> | null
  return (
    typeof mark?.generation === "string" &&
    isGeneration(mark.generation) &&
    Number.isSafeInteger(mark.offset) &&
    Number(mark.offset) >= 0 &&
    [mark.ino, mark.birth_ns, mark.tail_sha256].every((text) => typeof text === "string")
  )
}
