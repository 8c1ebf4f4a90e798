import type { RowChange } from "../backbone.js"

/**
 * What one watcher of a table knows, so that a new beginning after a lost connection tells it only what changed
 * meanwhile, also rows that are gone without a trace.
 */
export class TableWatch {
  readonly isReady: Promise<void>
  readonly #listener: (change: RowChange) => void
  /** Revision of each row that was told and not told gone. */
  #known = new Map<string, number>()
  /** Keys met since the last beginning, until all that stood was told. */
  #met: Set<string> | undefined
  #created: string | undefined
  #ready: () => void = () => {}
  #isEnded = false

  constructor(listener: (change: RowChange) => void) {
    this.#listener = listener
    this.isReady = new Promise((resolve) => {
      this.#ready = resolve
    })
  }

  /**
   * From now on everything that stands comes once more.
   * @param created - names the table's life: in another one revisions begin anew
   */
  begin(created: string): void {
    if (this.#created !== undefined && this.#created !== created) {
      this.#known = new Map([...this.#known.keys()].map((key) => [key, 0]))
    }
    this.#created = created
    this.#met = new Set()
  }

  take(change: RowChange): void {
    const { key, value, revision } = change
    if (value !== undefined) this.#met?.add(key)
    else this.#met?.delete(key)
    const known = this.#known.get(key)
    if (value === undefined ? known === undefined : revision <= (known ?? 0)) return
    if (value === undefined) this.#known.delete(key)
    else this.#known.set(key, revision)
    this.#tell(change)
  }

  /** All that stood at the beginning has come: what did not is gone. */
  caughtUp(): void {
    const met = this.#met
    this.#met = undefined
    if (met !== undefined) {
      for (const [key, revision] of [...this.#known]) {
        if (met.has(key)) continue
        this.#known.delete(key)
        this.#tell({ key, value: undefined, revision: revision + 1 })
      }
    }
    this.#ready()
  }

  /** Nothing is told afterwards. */
  end(): void {
    this.#isEnded = true
  }

  #tell(change: RowChange): void {
    if (!this.#isEnded) this.#listener(change)
  }
}
