import { readdirSync, readlinkSync, statSync } from "node:fs"
import { basename } from "node:path"
import { type FileProblems, isFileError } from "../../files/file-problems.js"
import type { DaemonPaths } from "../../files/paths.js"
import type { OutboxLimits } from "../limits.js"
import type { OutboxFile } from "./outbox-file.js"
import type { OutboxFiles } from "./outbox-files.js"

/** The processes whose open files can be seen: all, those of this container, or none. */
type Visibility = "all" | "container" | "none"

/** Moves outbox.jsonl away once it is sent, and deletes moved files once no process can append to them. */
export class OutboxCleanup {
  readonly #paths: DaemonPaths
  readonly #files: OutboxFiles
  readonly #limits: OutboxLimits
  readonly #problems: FileProblems
  #visibility: Visibility | undefined
  /** Files that another process had open, with the time of the next look. */
  readonly #nextLookMs = new Map<OutboxFile, number>()
  #isLooking = false

  constructor(paths: DaemonPaths, files: OutboxFiles, limits: OutboxLimits, problems: FileProblems) {
    this.#paths = paths
    this.#files = files
    this.#limits = limits
    this.#problems = problems
  }

  /** @returns whether files were moved or deleted */
  sweep(nowMs: number): boolean {
    const before = this.#files.all.length
    this.#moveOut(nowMs)
    for (const file of this.#files.all) {
      if (file.isReplaced && file.unsettled === 0) this.#delete(file)
    }
    this.#deleteQuiet(nowMs)
    return this.#files.all.length !== before
  }

  #moveOut(nowMs: number): void {
    if (this.#isSent(nowMs)) {
      this.#problems.attempt("outbox.taken", "written", () => this.#files.moveOut())
    } else this.#problems.clear("outbox.taken", "written")
  }

  #isSent(nowMs: number): boolean {
    const current = this.#files.current
    if (current === undefined || current.scanned === 0 || current.hasPartialLine) return false
    if (this.#files.all.length > this.#limits.takenFiles) return false
    const isQuiet = nowMs - current.changedMs >= this.#limits.clearQuietMs
    return (current.unsettled === 0 && isQuiet) || current.scanned >= this.#limits.clearBytes
  }

  #deleteQuiet(nowMs: number): void {
    if (this.#isLooking) return
    const visibility = (this.#visibility ??= visibilityOfProcesses())
    const quietMs = {
      all: this.#limits.dropQuietMs,
      container: this.#limits.dropSharedMs,
      none: this.#limits.dropBlindMs,
    }
    const quiet = this.#files.all.filter(
      (file) =>
        this.#isDone(file) &&
        nowMs - file.changedMs >= quietMs[visibility] &&
        nowMs >= (this.#nextLookMs.get(file) ?? nowMs),
    )
    if (quiet.length === 0) return
    if (visibility === "none") for (const file of quiet) this.#finish(file)
    else void this.#deleteUnopened(quiet, nowMs)
  }

  async #deleteUnopened(quiet: readonly OutboxFile[], nowMs: number): Promise<void> {
    this.#isLooking = true
    for (const file of quiet) this.#nextLookMs.set(file, nowMs + this.#limits.dropQuietMs)
    const inodes = new Map(quiet.map((file) => [`${file.inode.dev}:${file.inode.ino}`, file]))
    const names = quiet.flatMap(({ generation }) => [`${generation}.jsonl`, `${generation}.out`])
    const scanned = quiet.map((file) => file.scanned)
    const open = await findOpenFiles(
      new Set(inodes.keys()),
      new Set([basename(this.#paths.outbox), ...names]),
    )
    this.#isLooking = false
    for (const [index, [inode, file]] of Array.from(inodes).entries()) {
      const isUnopened = !open.has(inode) && file.scanned === scanned[index]
      if (isUnopened && this.#isDone(file)) this.#finish(file)
    }
  }

  /** Reports whether a file was moved away and all its complete lines are settled. */
  #isDone(file: OutboxFile): boolean {
    return file !== this.#files.current && this.#files.all.includes(file) && file.unsettled === 0
  }

  #finish(file: OutboxFile): void {
    if (file.hasPartialLine) file.rejectPartialLine()
    else this.#delete(file)
  }

  #delete(file: OutboxFile): void {
    const isDeleted = this.#problems.attempt("outbox.taken", "emptied", () => this.#files.delete(file))
    if (isDeleted) this.#nextLookMs.delete(file)
  }
}

/** Inode number the kernel gives the first PID namespace (PROC_PID_INIT_INO). */
const firstPidNamespace = "pid:[4026531836]"

function visibilityOfProcesses(): Visibility {
  const namespace = tryFile(() => readlinkSync("/proc/self/ns/pid"))
  if (namespace === undefined) return "none"
  return namespace === firstPidNamespace ? "all" : "container"
}

/**
 * Finds the files that other processes have open. Looks at one process per turn of the event loop.
 * @param wanted - files as `dev:ino`
 * @param names - base names these files have or had. Only files opened by one of them are examined, because
 *   a stat on a dead network file system never returns
 */
async function findOpenFiles(
  wanted: ReadonlySet<string>,
  names: ReadonlySet<string>,
): Promise<ReadonlySet<string>> {
  const open = new Set<string>()
  const self = tryFile(() => readlinkSync("/proc/self"))
  const entries = tryFile(() => readdirSync("/proc")) ?? []
  for (const pid of entries.filter((name) => /^\d+$/.test(name) && name !== self)) {
    const folder = `/proc/${pid}/fd`
    for (const fd of tryFile(() => readdirSync(folder)) ?? []) {
      const target = tryFile(() => readlinkSync(`${folder}/${fd}`)) ?? ""
      const name = target.slice(target.lastIndexOf("/") + 1).replace(/ \(deleted\)$/, "")
      if (!names.has(name)) continue
      const stats = tryFile(() => statSync(`${folder}/${fd}`, { bigint: true }))
      const inode = stats === undefined ? "" : `${stats.dev}:${stats.ino}`
      if (wanted.has(inode)) open.add(inode)
    }
    await new Promise((resolve) => setImmediate(resolve))
  }
  return open
}

/** Returns undefined for a system error: a process may end, or belong to another user. */
function tryFile<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch (error) {
    if (isFileError(error)) return undefined
    throw error
  }
}
