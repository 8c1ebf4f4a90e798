import { type FSWatcher, lstatSync, watch } from "node:fs"
import { basename } from "node:path"
import { ChatError } from "../protocol/errors.js"
import { isFileError, type OutboxProblems } from "./outbox-problems.js"

/** A path to be told of, and whom. `name` is the entry of a directory, where the system tells it. */
export interface Watched {
  readonly path: string
  /** What stands there; another one at the same path is another thing to watch. */
  readonly identity: string
  onActivity(name: string | undefined): void
}

/** One thing that is watched, or about to be. */
interface Watch {
  watcher: FSWatcher | undefined
  isClosed: boolean
}

/**
 * Tells of changes at once, and of what it watches once more when the watch stands: lines written before are read then.
 * The system's own events are passed on as they come. A library that looks what each of them means costs a reader more
 * time than the line it comes for; whoever is told here looks anyhow. What stands behind a symbolic link is not watched.
 */
export class OutboxWatch {
  readonly #problems: OutboxProblems
  readonly #watches = new Map<string, Watch>()

  constructor(problems: OutboxProblems) {
    this.#problems = problems
  }

  /** Watches exactly these from now on. What is not there is not watched; a later call may find it. */
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
    const watching: Watch = { watcher: undefined, isClosed: false }
    this.#watches.set(key, watching)
    try {
      this.#start(key, watched, watching)
    } catch (error) {
      this.#fail(key, watching, error)
    }
  }

  #start(key: string, watched: Watched, watching: Watch): void {
    const { path } = watched
    const found = lstatSync(path, { throwIfNoEntry: false })
    if (found === undefined || found.isSymbolicLink()) {
      this.#end(key, watching)
      return
    }
    const watcher = watch(path)
    watching.watcher = watcher
    watcher.on("change", (event, entry: unknown) => {
      if (watching.isClosed) return
      // Not every system tells a name.
      const name = typeof entry === "string" ? entry : undefined
      const isItself = name === basename(path)
      // It was moved, or it is gone: then nothing more would come of it, also if its number comes back.
      if (isItself && event === "rename") this.#renew(key, watched, watching)
      watched.onActivity(isItself ? undefined : name)
    })
    watcher.on("error", (error) => this.#fail(key, watching, error))
    this.#problems.clear("outbox", "watched")
    // Not now: whoever asks for a watch is not done yet.
    setImmediate(() => {
      if (!watching.isClosed) watched.onActivity(undefined)
    })
  }

  #renew(key: string, watched: Watched, watching: Watch): void {
    this.#end(key, watching)
    this.#begin(key, watched)
  }

  #end(key: string, watching: Watch): void {
    watching.isClosed = true
    watching.watcher?.close()
    if (this.#watches.get(key) === watching) this.#watches.delete(key)
  }

  #fail(key: string, watching: Watch, error: unknown): void {
    this.#end(key, watching)
    if (!isFileError(error)) throw error
    // Gone in the moment between the look and the watch.
    if (error.code === "ENOENT") return
    const hint = "raise fs.inotify.max_user_watches and fs.inotify.max_user_instances"
    const message = `outbox: changes are noticed once a second only (${error.message})`
    this.#problems.set("outbox", "watched", new ChatError("FILE_FAILED", message, { hint, cause: error }))
  }
}
