import type { Appended, Keeping, LogEntry, LogStat, Row } from "../backbone.js"
import type { StoreLine, StoreReport, StoreSize } from "./store-report.js"

/**
 * What the main thread asks of the store's worker. `eldestMs`: entries that were taken then or before are too old.
 */
export type StoreOp =
  /** Does nothing, in its turn. */
  | { readonly op: "pass" }
  /** Writes something that does not matter, to find out whether it can be written. */
  | { readonly op: "probe"; readonly ts: number }
  | {
      readonly op: "append"
      readonly family: string
      readonly key: string
      readonly id: string
      readonly value: string
      readonly ts: number
      readonly keeping: Keeping
    }
  | (LogOf<"read"> & { readonly after: number; readonly limit: number })
  | (LogOf<"last"> & { readonly count: number })
  | LogOf<"stat">
  | { readonly op: "trim"; readonly family: string; readonly key: string; readonly seq: number }
  | { readonly op: "keys"; readonly family: string; readonly eldestMs: number }
  /** Forgets ids of before `idsBeforeMs` and the entries of a family that are too old. */
  | { readonly op: "sweep"; readonly idsBeforeMs: number }
  | { readonly op: "expire"; readonly family: string; readonly eldestMs: number }
  | { readonly op: "get"; readonly table: string; readonly key: string }
  | {
      readonly op: "put"
      readonly table: string
      readonly key: string
      readonly value: string
      readonly expected: number | undefined
    }
  | {
      readonly op: "delete"
      readonly table: string
      readonly key: string
      readonly expected: number | undefined
    }
  | { readonly op: "rows"; readonly table: string }
  | { readonly op: "verify" }
  /** Stands alone in its batch. */
  | { readonly op: "compact" }
  | { readonly op: "export"; readonly cursor: ExportCursor | undefined }

interface LogOf<Op extends string> {
  readonly op: Op
  readonly family: string
  readonly key: string
  readonly eldestMs: number
}

/** How far an export is. */
export type ExportCursor = readonly [
  part: "entries" | "rows",
  first: number | string,
  second: number | string,
]

/** What answers each operation. */
export interface StoreResults {
  pass: null
  probe: null
  append: Appended
  read: LogEntry[]
  last: LogEntry[]
  stat: LogStat
  trim: null
  keys: string[]
  sweep: null
  expire: null
  get: Row | undefined
  put: number | undefined
  /** Whether it was as expected, and the revision of the deletion when there was a row. */
  delete: { readonly isExpected: boolean; readonly revision: number | undefined }
  rows: Row[]
  verify: StoreReport
  compact: StoreSize
  export: { readonly lines: readonly StoreLine[]; readonly cursor: ExportCursor | undefined }
}

/** Names of operations. */
type StoreOpName = StoreOp["op"]

const reading: ReadonlySet<StoreOpName> = new Set([
  "pass",
  "read",
  "last",
  "stat",
  "keys",
  "get",
  "rows",
  "verify",
  "export",
] as const)

/** Whether an operation leaves the store as it is. */
export function isReading({ op }: StoreOp): boolean {
  return reading.has(op)
}

/** An error on its way between threads. */
export interface StoreFailure {
  readonly code:
    | "MAILBOX_FULL"
    | "UNAVAILABLE"
    | "STORE_DAMAGED"
    | "ALREADY_RUNNING"
    | "FILE_FAILED"
    | "NOT_FOUND"
    | "UNSUPPORTED"
  readonly message: string
  readonly hint?: string
}

/** What became of one operation. */
export type StoreAnswer =
  | { readonly ok: true; readonly value: StoreResults[StoreOpName] }
  | { readonly ok: false; readonly failure: StoreFailure }

/** What the worker is started with. */
export interface StoreOrder {
  readonly dir: string
  /** Whether a store is made where there is none. */
  readonly create: boolean
  /** Whether the file is checked before it is used. */
  readonly check: boolean
}

/** To the worker. */
export type StoreRequest =
  | { readonly kind: "batch"; readonly ops: readonly StoreOp[] }
  | { readonly kind: "close" }

/** From the worker. */
export type StoreReply =
  | { readonly kind: "opened"; readonly id: string }
  | { readonly kind: "failed"; readonly failure: StoreFailure }
  /** `fault`: nothing of the batch was written, and why. */
  | { readonly kind: "answers"; readonly answers: readonly StoreAnswer[]; readonly fault?: string }
