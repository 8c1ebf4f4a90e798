/**
 * The entry point of a store's worker thread: opens the store and answers batches in order until it is closed. The
 * file is released when the thread has ended.
 */
import { parentPort, workerData } from "node:worker_threads"
import { ChatError } from "../../protocol/errors.js"
import { SqlStore, toFailure } from "./sql-store.js"
import type { StoreFailure, StoreOptions, StoreReply, StoreRequest } from "./worker-protocol.js"

const port = parentPort

if (port !== null) {
  const reply = (message: StoreReply): void => port.postMessage(message)
  try {
    const store = new SqlStore(workerData as StoreOptions)
    port.on("message", (request: StoreRequest) => {
      if (request.kind === "batch") reply({ kind: "answers", ...store.apply(request.ops) })
      else {
        store.close()
        port.close()
      }
    })
    reply({ kind: "opened", id: store.id })
  } catch (error) {
    reply({ kind: "failed", failure: failureOf(error) })
    port.close()
  }
}

function failureOf(error: unknown): StoreFailure {
  if (error instanceof ChatError) return toFailure(error)
  return { code: "FILE_FAILED", message: `the store cannot be opened: ${String(error)}` }
}
