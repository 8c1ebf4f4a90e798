import { rm, stat } from "node:fs/promises"
import type { Clock } from "../../base/clock.js"
import { asFileProblem } from "../files/file-problem.js"
import type { InboxLimits } from "./limits.js"
import { listSegments, type Segment } from "./segment.js"

const everyMs = 60 * 60 * 1_000

type Bounds = Pick<InboxLimits, "segments" | "segmentAgeMs">

/** Removes the segments that are too many or too old. The newest one stays: it holds the place. */
export class InboxRetention {
  readonly #dir: string
  readonly #bounds: Bounds
  readonly #clock: Clock
  readonly #log: ((line: string) => void) | undefined
  #lastMs: number

  constructor(dir: string, bounds: Bounds, clock: Clock, log: ((line: string) => void) | undefined) {
    this.#dir = dir
    this.#bounds = bounds
    this.#clock = clock
    this.#log = log
    this.#lastMs = clock.monotonic()
  }

  /** Looks once an hour; call it more often. */
  tick(): void {
    if (this.#clock.monotonic() - this.#lastMs >= everyMs) void this.run()
  }

  /** Looks now. A segment that cannot be removed is left for the next time. */
  async run(): Promise<void> {
    this.#lastMs = this.#clock.monotonic()
    try {
      for (const { path } of await this.#expired()) await rm(path, { force: true })
    } catch (error) {
      this.#log?.(`old segments stay: ${asFileProblem(error, this.#dir).message}`)
    }
  }

  async #expired(): Promise<Segment[]> {
    const all = listSegments(this.#dir)
    const expired = all.splice(0, Math.max(0, all.length - this.#bounds.segments))
    const oldestMs = this.#clock.now() - this.#bounds.segmentAgeMs
    for (const segment of all.slice(0, -1)) {
      if ((await stat(segment.path)).mtimeMs >= oldestMs) break
      expired.push(segment)
    }
    return expired
  }
}
