import { basename } from "node:path"
import type { DaemonPaths } from "../../files/paths.js"
import type { OutboxLimits } from "../limits.js"
import type { OutboxProblems } from "../problems.js"
import { findHeld, type HolderSight, holderSight } from "./holders.js"
import type { OutboxFile } from "./outbox-file.js"
import type { OutboxFiles } from "./outbox-files.js"

/** Clears the outbox once it is sent, and drops cleared files once nobody can append to them. */
export class OutboxUpkeep {
  readonly #paths: DaemonPaths
  readonly #files: OutboxFiles
  readonly #limits: OutboxLimits
  readonly #problems: OutboxProblems
  #sight: HolderSight | undefined
  /** Files that were looked for among open ones, with the time before which that is not worth repeating. */
  readonly #askAgainMs = new Map<OutboxFile, number>()
  #isLooking = false

  constructor(paths: DaemonPaths, files: OutboxFiles, limits: OutboxLimits, problems: OutboxProblems) {
    this.#paths = paths
    this.#files = files
    this.#limits = limits
    this.#problems = problems
  }

  /** @returns whether files came or went */
  sweep(nowMs: number): boolean {
    const before = this.#files.all.length
    this.#clear(nowMs)
    for (const file of this.#files.all) {
      if (file.isLost && file.unsettled === 0) this.#drop(file)
    }
    this.#dropQuiet(nowMs)
    return this.#files.all.length !== before
  }

  #clear(nowMs: number): void {
    if (!this.#isClearable(nowMs)) this.#problems.clear("outbox.taken", "written")
    else {
      this.#problems.attempt("outbox.taken", "written", () => {
        this.#files.clear()
      })
    }
  }

  #isClearable(nowMs: number): boolean {
    const live = this.#files.live
    if (live === undefined || live.scanned === 0 || live.hasPartialLine) return false
    if (this.#files.all.length > this.#limits.takenFiles) return false
    const isSent = live.unsettled === 0 && nowMs - live.changedMs >= this.#limits.clearQuietMs
    return isSent || live.scanned >= this.#limits.clearBytes
  }

  #dropQuiet(nowMs: number): void {
    if (this.#isLooking) return
    const sight = (this.#sight ??= holderSight())
    const quietMs = {
      all: this.#limits.dropQuietMs,
      container: this.#limits.dropSharedMs,
      none: this.#limits.dropBlindMs,
    }
    const quiet = this.#files.all.filter(
      (file) =>
        this.#isDone(file) &&
        nowMs - file.changedMs >= quietMs[sight] &&
        nowMs >= (this.#askAgainMs.get(file) ?? nowMs),
    )
    if (quiet.length === 0) return
    if (sight === "none") for (const file of quiet) this.#end(file)
    else void this.#dropUnheld(quiet, nowMs)
  }

  async #dropUnheld(quiet: readonly OutboxFile[], nowMs: number): Promise<void> {
    this.#isLooking = true
    for (const file of quiet) this.#askAgainMs.set(file, nowMs + this.#limits.dropQuietMs)
    const inodes = new Map(quiet.map((file) => [`${file.inode.dev}:${file.inode.ino}`, file]))
    const names = quiet.flatMap(({ generation }) => [`${generation}.jsonl`, `${generation}.out`])
    const scanned = quiet.map((file) => file.scanned)
    const held = await findHeld(new Set(inodes.keys()), new Set([basename(this.#paths.outbox), ...names]))
    this.#isLooking = false
    for (const [index, [inode, file]] of Array.from(inodes).entries()) {
      const isFree = !held.has(inode) && file.scanned === scanned[index]
      if (isFree && this.#isDone(file)) this.#end(file)
    }
  }

  /** Whether nothing of a file is left to be sent, but for a line nobody ended. */
  #isDone(file: OutboxFile): boolean {
    return file !== this.#files.live && this.#files.all.includes(file) && file.unsettled === 0
  }

  #end(file: OutboxFile): void {
    if (file.hasPartialLine) file.refusePartialLine()
    else this.#drop(file)
  }

  #drop(file: OutboxFile): void {
    const isDropped = this.#problems.attempt("outbox.taken", "emptied", () => {
      this.#files.drop(file)
    })
    if (isDropped) this.#askAgainMs.delete(file)
  }
}
