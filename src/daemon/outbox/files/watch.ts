import type { FSWatcher } from "chokidar"
import { ChatError } from "../../../protocol/errors.js"
import { isFileError, type OutboxProblems } from "../problems.js"

/** A path to be told of, and whom. `name` is the entry of a directory, where the system tells it. */
export interface Watched {
  readonly path: string
  /** What stands there; another one at the same path is another thing to watch. */
  readonly identity: string
  onActivity(name: string | undefined): void
}

interface Watch {
  watcher: FSWatcher | undefined
  isClosed: boolean
}

/**
 * Tells of changes at once. Only chokidar's `raw` events are used: its `change` events wait for a stat and at
 * most one comes in 50 ms. One watcher per path, because a path taken out of a shared one is remembered for ever.
 */
export class OutboxWatch {
  readonly #problems: OutboxProblems
  readonly #watches = new Map<string, Watch>()

  constructor(problems: OutboxProblems) {
    this.#problems = problems
  }

  /** Watches exactly these from now on. */
  set(wanted: readonly Watched[]): void {
    const byKey = new Map(wanted.map((watched) => [`${watched.identity} ${watched.path}`, watched]))
    for (const [key, watch] of this.#watches) {
      if (!byKey.has(key)) this.#end(key, watch)
    }
    for (const [key, watched] of byKey) {
      if (!this.#watches.has(key)) void this.#begin(key, watched)
    }
  }

  close(): void {
    for (const [key, watch] of this.#watches) this.#end(key, watch)
  }

  async #begin(key: string, watched: Watched): Promise<void> {
    const watch: Watch = { watcher: undefined, isClosed: false }
    this.#watches.set(key, watch)
    const { path } = watched
    // Loaded late: nothing but a running daemon needs it.
    const { watch: watchPath } = await import("chokidar")
    if (watch.isClosed) return
    const watcher = watchPath(path, {
      atomic: false,
      followSymlinks: false,
      depth: 0,
      ignored: (other) => other !== path,
    })
    watch.watcher = watcher
    watcher.on("raw", (_event, name) => {
      if (!watch.isClosed) watched.onActivity(name === path ? undefined : name)
    })
    // Lines written before the watch stood are read now.
    watcher.on("ready", () => {
      this.#problems.clear("outbox", "watched")
      if (!watch.isClosed) watched.onActivity(undefined)
    })
    watcher.on("unlink", () => this.#end(key, watch))
    watcher.on("unlinkDir", () => this.#end(key, watch))
    watcher.on("error", (error) => this.#fail(key, watch, error))
  }

  #end(key: string, watch: Watch): void {
    watch.isClosed = true
    void watch.watcher?.close()
    if (this.#watches.get(key) === watch) this.#watches.delete(key)
  }

  #fail(key: string, watch: Watch, error: unknown): void {
    this.#end(key, watch)
    if (!isFileError(error)) throw error
    const hint = "raise fs.inotify.max_user_watches and fs.inotify.max_user_instances"
    const message = `outbox: changes are noticed once a second only (${error.message})`
    this.#problems.set("outbox", "watched", new ChatError("FILE_FAILED", message, { hint, cause: error }))
  }
}
