import { type FSWatcher, watch as watchFile } from "node:fs"
import { isMissing } from "../../../base/files.js"
import { ChatError } from "../../../protocol/errors.js"
import { type FileProblems, isFileError } from "../../files/file-problems.js"

/** A path to watch. */
export interface Watched {
  readonly path: string
  /** Identifies the file at `path`; another file at the same path is watched anew. */
  readonly identity: string
  readonly isDirectory: boolean
  /** @param name - the changed entry of a directory, where the system reports it */
  readonly onActivity: (name: string | undefined) => void
}

/** A watch that is in place, or will be once chokidar is loaded. */
interface Watch {
  watcher: { close(): unknown } | undefined
  isClosed: boolean
}

/**
 * Watches the files of an outbox with `fs.watch`, because each event of chokidar costs a stat before it is passed on.
 * chokidar watches outbox.d, where it also notices that the directory is deleted.
 */
export class OutboxWatch {
  readonly #problems: FileProblems
  readonly #watches = new Map<string, Watch>()

  constructor(problems: FileProblems) {
    this.#problems = problems
  }

  /** Watches exactly these paths from now on. */
  set(wanted: readonly Watched[]): void {
    const byKey = new Map(wanted.map((watched) => [`${watched.identity} ${watched.path}`, watched]))
    for (const [key, watch] of this.#watches) {
      if (!byKey.has(key)) this.#end(key, watch)
    }
    for (const [key, watched] of byKey) {
      if (!this.#watches.has(key)) this.#begin(key, watched)
    }
  }

  close(): void {
    for (const [key, watch] of this.#watches) this.#end(key, watch)
  }

  #begin(key: string, watched: Watched): void {
    const watch: Watch = { watcher: undefined, isClosed: false }
    this.#watches.set(key, watch)
    if (watched.isDirectory) void this.#watchDirectory(key, watch, watched)
    else this.#watchFile(key, watch, watched)
  }

  #watchFile(key: string, watch: Watch, { path, onActivity }: Watched): void {
    let watcher: FSWatcher
    try {
      watcher = watchFile(path, () => {
        if (!watch.isClosed) onActivity(undefined)
      })
    } catch (error) {
      this.#fail(key, watch, error)
      return
    }
    watch.watcher = watcher
    watcher.on("error", (error) => this.#fail(key, watch, error))
    // Reads what was written before the watch was in place.
    setImmediate(() => this.#onReady(watch, onActivity))
  }

  async #watchDirectory(key: string, watch: Watch, { path, onActivity }: Watched): Promise<void> {
    // Loaded late: only a running daemon needs it.
    const { watch: watchPath } = await import("chokidar")
    if (watch.isClosed) return
    const watcher = watchPath(path, {
      atomic: false,
      followSymlinks: false,
      depth: 0,
      ignored: (other) => other !== path,
    })
    watch.watcher = watcher
    // Only `raw` events: a `change` event waits for a stat, and there is at most one in 50 ms.
    watcher.on("raw", (_event, name) => {
      if (!watch.isClosed) onActivity(name === path ? undefined : name)
    })
    watcher.on("ready", () => this.#onReady(watch, onActivity))
    watcher.on("unlinkDir", () => this.#end(key, watch))
    watcher.on("error", (error) => this.#fail(key, watch, error))
  }

  #onReady(watch: Watch, onActivity: Watched["onActivity"]): void {
    if (watch.isClosed) return
    this.#problems.clear("outbox", "watched")
    onActivity(undefined)
  }

  #end(key: string, watch: Watch): void {
    watch.isClosed = true
    void watch.watcher?.close()
    if (this.#watches.get(key) === watch) this.#watches.delete(key)
  }

  #fail(key: string, watch: Watch, error: unknown): void {
    this.#end(key, watch)
    if (!isFileError(error)) throw error
    // The file is gone; the next sweep finds out what replaced it.
    if (isMissing(error)) return
    const hint = "raise fs.inotify.max_user_watches and fs.inotify.max_user_instances"
    const message = `outbox: changes are noticed only once a second (${error.message})`
    this.#problems.set("outbox", "watched", new ChatError("FILE_FAILED", message, { hint, cause: error }))
  }
}
