import { ChatError } from "../../protocol/errors.js"
import { StoreWorker, workerFile } from "./store-worker.js"
import type {
  ExportCursor,
  ExportPage,
  StoreLine,
  StoreOp,
  StoreOps,
  StoreReport,
  StoreResult,
  StoreSize,
} from "./worker-protocol.js"

/**
 * Reads a whole store and checks it for damage.
 * @throws {ChatError} ALREADY_RUNNING while a relay uses it; NOT_FOUND, UNSUPPORTED, FILE_FAILED
 */
export async function verifyStore(dir: string, program = workerFile): Promise<StoreReport> {
  try {
    return await withStore(dir, program, (worker) => ask(worker, { op: "verify" }))
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "STORE_DAMAGED") throw error
    return { isWhole: false, logs: 0, entries: 0, rows: 0, faults: [error.message] }
  }
}

/**
 * Compacts a store. Needs as much free disk space as the store takes.
 * @throws {ChatError} as {@link verifyStore}, and STORE_DAMAGED
 */
export async function compactStore(dir: string, program = workerFile): Promise<StoreSize> {
  return await withStore(dir, program, (worker) => ask(worker, { op: "compact" }))
}

/**
 * Yields everything in a store: the entries of each log in order, then the rows.
 * @throws {ChatError} as {@link compactStore}
 */
export async function* exportStore(dir: string, program = workerFile): AsyncGenerator<StoreLine> {
  const worker = await StoreWorker.open({ dir, create: false, check: false, ts: 0 }, program)
  try {
    let cursor: ExportCursor | undefined
    do {
      const page: ExportPage = await ask(worker, { op: "export", cursor })
      yield* page.lines
      cursor = page.cursor
    } while (cursor !== undefined)
  } finally {
    await worker.close()
  }
}

async function withStore<T>(
  dir: string,
  program: string,
  act: (worker: StoreWorker) => Promise<T>,
): Promise<T> {
  const worker = await StoreWorker.open({ dir, create: false, check: false, ts: 0 }, program)
  try {
    return await act(worker)
  } finally {
    await worker.close()
  }
}

/** Runs an operation. A read that fails means that the store is damaged. */
async function ask<Name extends keyof StoreOps>(
  worker: StoreWorker,
  op: StoreOp<Name>,
): Promise<StoreResult<Name>> {
  try {
    return await worker.ask(op)
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "UNAVAILABLE") throw error
    const code = op.op === "compact" ? "FILE_FAILED" : "STORE_DAMAGED"
    throw new ChatError(code, worker.fault, { cause: error })
  }
}
