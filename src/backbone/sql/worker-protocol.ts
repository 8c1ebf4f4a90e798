// The messages between the main thread and the worker thread of a store.

import type { Appended, LogEntry, LogStat, Retention, Row } from "../backbone.js"
import type { MessagePage, MessageQuery } from "../message-search.js"
import type { NumberGap } from "../numbering.js"

/** One log of a family. */
interface LogName {
  readonly family: string
  readonly key: string
}

interface RowName {
  readonly table: string
  readonly key: string
}

/** Entries appended at or before this time (milliseconds since the Unix epoch) have expired. */
interface Expiry {
  readonly oldestMs: number
}

/** A revision that a row must have; undefined: any. */
interface Expected {
  readonly expected: number | undefined
}

/** The operations of the store: parameters and results. */
export interface StoreOps {
  /** Does nothing; its answer comes in the order of the operations. */
  readonly pass: (op: object) => null
  /** Writes a dummy value, to find out whether the store can be written. */
  readonly probe: (op: { readonly ts: number }) => null
  readonly append: (
    op: LogName & {
      readonly id: string
      readonly value: string
      readonly digest: number | undefined
      readonly ts: number
      readonly retention: Retention
    },
  ) => Appended
  readonly has: (op: LogName & { readonly id: string }) => boolean
  readonly read: (op: LogName & Expiry & { readonly after: number; readonly limit: number }) => LogEntry[]
  readonly last: (op: LogName & Expiry & { readonly count: number }) => LogEntry[]
  readonly stat: (op: LogName & Expiry) => LogStat
  readonly size: (op: { readonly family: string }) => number
  readonly gap: (op: LogName) => NumberGap | undefined
  readonly trim: (op: LogName & { readonly seq: number }) => null
  /** Removes the expired entries of a family. */
  readonly expire: (op: Expiry & { readonly family: string }) => null
  /** Forgets the ids of entries appended before `idsBeforeMs`. */
  readonly sweep: (op: { readonly idsBeforeMs: number }) => null
  /** Indexes a piece of the messages of some families; true if more is left. As {@link isAlone}. */
  readonly index: (op: { readonly families: readonly string[] }) => boolean
  readonly search: (op: MessageQuery) => MessagePage
  readonly get: (op: RowName) => Row | undefined
  readonly put: (op: RowName & Expected & { readonly value: string }) => number | undefined
  /** Returns the revision of the deletion when there was a row. */
  readonly delete: (op: RowName & Expected) => {
    readonly isExpected: boolean
    readonly revision: number | undefined
  }
  readonly rows: (op: { readonly table: string }) => Row[]
  readonly verify: (op: object) => StoreReport
  /** As {@link isAlone}. */
  readonly compact: (op: object) => StoreSize
  /** Writes a copy of the whole store to an empty or missing file. As {@link isAlone}. */
  readonly copy: (op: { readonly path: string }) => null
  readonly export: (op: { readonly cursor: ExportCursor | undefined }) => ExportPage
}

type OpName = keyof StoreOps

/** The parameters of an operation. */
export type OpParams<Name extends OpName> = Parameters<StoreOps[Name]>[0]

/** A request for one operation. */
export type StoreOp<Name extends OpName = OpName> = {
  [N in Name]: { readonly op: N } & OpParams<N>
}[Name]

/** The result of an operation. */
export type StoreResult<Name extends OpName = OpName> = ReturnType<StoreOps[Name]>

/** The position of an export. */
export type ExportCursor = readonly [
  part: "entries" | "rows",
  first: number | string,
  second: number | string,
]

/** A page of an export; the last one has no cursor. */
export interface ExportPage {
  readonly lines: readonly StoreLine[]
  readonly cursor: ExportCursor | undefined
}

const reads: ReadonlySet<OpName> = new Set([
  "pass",
  "has",
  "read",
  "last",
  "stat",
  "size",
  "gap",
  "search",
  "get",
  "rows",
  "verify",
  "export",
] as const)

/** Reports whether an operation leaves the store unchanged. */
export function isRead({ op }: StoreOp): boolean {
  return reads.has(op)
}

/** Reports whether an operation has to be the only one of its batch, because it runs outside of its transaction. */
export function isAlone({ op }: StoreOp): boolean {
  return op === "compact" || op === "copy" || op === "index"
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
  | { readonly ok: true; readonly value: StoreResult }
  | { readonly ok: false; readonly failure: StoreFailure }

/** The `workerData` of the worker. */
export interface StoreOptions {
  readonly dir: string
  /** Create the store if it does not exist. */
  readonly create: boolean
  /** Check the file for damage first. */
  readonly check: boolean
  /** Milliseconds since the Unix epoch, for the numbers of new entries. */
  readonly ts: number
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
