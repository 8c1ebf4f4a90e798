import { ChatError } from "../../protocol/errors.js"
import type { ExportCursor, StoreOp, StoreResults } from "./operations.js"
import type { StoreLine, StoreReport, StoreSize } from "./store-report.js"
import { StoreLink, workerFile } from "./worker-link.js"

/**
 * Reads a store from end to end, and finds out whether it is whole.
 * @throws {ChatError} ALREADY_RUNNING while a relay holds it; NOT_FOUND, UNSUPPORTED, FILE_FAILED
 */
export async function verifyStore(dir: string, program = workerFile): Promise<StoreReport> {
  try {
    return await withStore(dir, program, (link) => ask(link, { op: "verify" }))
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "STORE_DAMAGED") throw error
    return { isWhole: false, logs: 0, entries: 0, rows: 0, faults: [error.message] }
  }
}

/**
 * Makes a store as small as what it holds. Needs as much room again while it works.
 * @throws {ChatError} as {@link verifyStore}, and STORE_DAMAGED
 */
export async function compactStore(dir: string, program = workerFile): Promise<StoreSize> {
  return await withStore(dir, program, (link) => ask(link, { op: "compact" }))
}

/**
 * Everything a store holds: entries by log in their order, then rows.
 * @throws {ChatError} as {@link compactStore}
 */
export async function* exportStore(dir: string, program = workerFile): AsyncGenerator<StoreLine> {
  const link = await StoreLink.open({ dir, create: false, check: false }, program)
  try {
    let cursor: ExportCursor | undefined
    do {
      const page: StoreResults["export"] = await ask(link, { op: "export", cursor })
      yield* page.lines
      cursor = page.cursor
    } while (cursor !== undefined)
  } finally {
    await link.close()
  }
}

async function withStore<T>(dir: string, program: string, act: (link: StoreLink) => Promise<T>): Promise<T> {
  const link = await StoreLink.open({ dir, create: false, check: false }, program)
  try {
    return await act(link)
  } finally {
    await link.close()
  }
}

/** What an operation gives; one that only reads can fail by nothing but what it reads. */
async function ask<Op extends StoreOp>(link: StoreLink, op: Op): Promise<StoreResults[Op["op"]]> {
  try {
    return await link.ask(op)
  } catch (error) {
    if (!(error instanceof ChatError) || error.code !== "UNAVAILABLE") throw error
    const code = op.op === "compact" ? "FILE_FAILED" : "STORE_DAMAGED"
    throw new ChatError(code, link.fault, { cause: error })
  }
}
