// The messages between the main thread and the worker thread of a store.

import type { Appended, LogEntry, LogStat, Retention, Row } from "../backbone.js"

/** An operation of the store. Entries appended at or before `oldestMs` (milliseconds since the epoch) have expired. */
export type StoreOp =
  /** Does nothing; its answer comes in the order of the operations. */
  | { readonly op: "pass" }
  /** Writes a dummy value, to find out whether the store can be written. */
  | { readonly op: "probe"; readonly ts: number }
  | {
      readonly op: "append"
      readonly family: string
      readonly key: string
      readonly id: string
      readonly value: string
      readonly ts: number
      readonly retention: Retention
    }
  | (LogOf<"read"> & { readonly after: number; readonly limit: number })
  | (LogOf<"last"> & { readonly count: number })
  | LogOf<"stat">
  | { readonly op: "trim"; readonly family: string; readonly key: string; readonly seq: number }
  | { readonly op: "keys"; readonly family: string; readonly oldestMs: number }
  /** Forgets the ids of entries appended before `idsBeforeMs`. */
  | { readonly op: "sweep"; readonly idsBeforeMs: number }
  /** Removes the expired entries of a family. */
  | { readonly op: "expire"; readonly family: string; readonly oldestMs: number }
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
  /** Always the only operation of its batch. */
  | { readonly op: "compact" }
  | { readonly op: "export"; readonly cursor: ExportCursor | undefined }

interface LogOf<Op extends string> {
  readonly op: Op
  readonly family: string
  readonly key: string
  readonly oldestMs: number
}

/** The position of an export. */
export type ExportCursor = readonly [
  part: "entries" | "rows",
  first: number | string,
  second: number | string,
]

/** The result of each operation. */
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
  /** `revision` is that of the deletion, when there was a row. */
  delete: { readonly isExpected: boolean; readonly revision: number | undefined }
  rows: Row[]
  verify: StoreReport
  compact: StoreSize
  export: { readonly lines: readonly StoreLine[]; readonly cursor: ExportCursor | undefined }
}

type StoreOpName = StoreOp["op"]

const readOps: ReadonlySet<StoreOpName> = new Set([
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

/** Reports whether an operation leaves the store unchanged. */
export function isRead({ op }: StoreOp): boolean {
  return readOps.has(op)
}

/** An error, as it is passed between threads. */
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

/** The outcome of one operation. */
export type StoreAnswer =
  | { readonly ok: true; readonly value: StoreResults[StoreOpName] }
  | { readonly ok: false; readonly failure: StoreFailure }

/** The `workerData` of the worker. */
export interface StoreOrder {
  readonly dir: string
  /** Create the store if it does not exist. */
  readonly create: boolean
  /** Check the file for damage first. */
  readonly check: boolean
}

/** A message to the worker. */
export type StoreRequest =
  | { readonly kind: "batch"; readonly ops: readonly StoreOp[] }
  | { readonly kind: "close" }

/** A message from the worker. */
export type StoreReply =
  | { readonly kind: "opened"; readonly id: string }
  | { readonly kind: "failed"; readonly failure: StoreFailure }
  /** `fault` says why nothing of the batch was written. */
  | { readonly kind: "answers"; readonly answers: readonly StoreAnswer[]; readonly fault?: string }

/** The result of a check of a store. */
export interface StoreReport {
  readonly isWhole: boolean
  readonly logs: number
  readonly entries: number
  readonly rows: number
  /** The faults found, at most {@link maxFaults}. */
  readonly faults: readonly string[]
}

/** Most faults in a report. */
export const maxFaults = 20

/** The size of a store in bytes, before and after it was compacted. */
export interface StoreSize {
  readonly before: number
  readonly after: number
}

/** One line of an export. */
export type StoreLine =
  | {
      readonly kind: "entry"
      readonly family: string
      readonly key: string
      readonly seq: number
      readonly ts: number
      readonly value: string
    }
  | {
      readonly kind: "row"
      readonly table: string
      readonly key: string
      readonly revision: number
      readonly value: string
    }
