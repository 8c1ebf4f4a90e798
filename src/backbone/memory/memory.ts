import { randomBytes } from "node:crypto"
import type { Clock } from "../../base/clock.js"
import type { Backbone, Keeping, Logs, Table } from "../backbone.js"
import { checkKey } from "../key.js"
import { MemoryIds } from "./ids.js"
import { MemoryLogs, promptly } from "./logs.js"
import { MemoryTable } from "./table.js"

const idBytes = 9

/** Ids of entries remembered for all logs together. */
export const rememberedEntryIds = 100_000

/**
 * An engine that keeps everything in this process: it is always reachable, never shared, and answers before the
 * next turn of the event loop. Listeners are told during the append or the change itself.
 */
export function openMemoryBackbone({ clock }: { clock: Clock }): Promise<Backbone> {
  return promptly(() => new MemoryBackbone(clock))
}

class MemoryBackbone implements Backbone {
  readonly kind = "memory"
  readonly id = `srv_${randomBytes(idBytes).toString("base64url")}`
  readonly isReachable = true
  readonly isShared = false
  readonly #clock: Clock
  readonly #ids: MemoryIds
  readonly #logs = new Map<string, MemoryLogs>()
  readonly #tables = new Map<string, MemoryTable>()

  constructor(clock: Clock) {
    this.#clock = clock
    this.#ids = new MemoryIds(clock, rememberedEntryIds)
  }

  logs(name: string, keeping: Keeping): Promise<Logs> {
    return promptly(() => {
      checkKey(name)
      const logs = this.#logs.get(name) ?? new MemoryLogs(name, keeping, this.#clock, this.#ids)
      this.#logs.set(name, logs)
      return logs
    })
  }

  table(name: string): Promise<Table> {
    return promptly(() => {
      checkKey(name)
      const table = this.#tables.get(name) ?? new MemoryTable()
      this.#tables.set(name, table)
      return table
    })
  }

  onReach(): void {
    // It never changes.
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
