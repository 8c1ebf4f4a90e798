import type { Backbone } from "../../src/backbone/backbone.js"
import { openSqliteBackbone } from "../../src/backbone/sql/sqlite-backbone.js"
import type { Clock } from "../../src/base/clock.js"
import { compiled } from "./compiled.js"

/** Opens stores on disk whose thread runs plain JavaScript. Call it in the body of a test file. */
export function storeOpener(): StoreOpener {
  const workerFile = compiled("src/backbone/sql/worker.ts")
  return {
    workerFile,
    open: (dir, clock, log = () => {}) => openSqliteBackbone({ dir, clock, log, workerFile }),
  }
}

/** See {@link storeOpener}. */
export interface StoreOpener {
  readonly workerFile: string
  open(dir: string, clock: Clock, log?: (line: string) => void): Promise<Backbone>
}
