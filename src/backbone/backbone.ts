import { ChatError } from "../protocol/errors.js"
import type { MessagePage, MessageQuery } from "./message-search.js"
import type { NumberGap } from "./numbering.js"

/**
 * The storage of a relay. Every engine offers the same logs and tables; `queue/` builds queues on top of tables.
 *
 * Names and keys are 1–64 characters: letters, digits, `_`, `-`, with single dots between levels; others are refused
 * with INVALID_NAME. Values are well-formed text. A method that cannot reach the storage rejects with UNAVAILABLE.
 * Once a write has resolved, it survives `kill -9` of this process or of one node of the engine, except in `memory`.
 */
export interface Backbone {
  readonly kind: "memory" | "sqlite" | "nats"
  /**
   * Identifies the storage: the same after a restart and for every relay that shares it. `memory` has a new one each
   * time. Changes if the storage was lost and another relay has given the new one its id; see {@link onIdChange}.
   */
  readonly id: string
  /** False while the storage cannot be reached; see {@link onReachabilityChange}. */
  readonly isReachable: boolean
  /** True if other relays may use the same storage. */
  readonly isShared: boolean
  /** Passes messages to all relays that share the storage; absent if there is only one. */
  readonly bus?: Bus
  /** Opens a family of logs; to be called once per name and relay. */
  logs(name: string, retention: Retention): Promise<Logs>
  /** Opens a table; to be called once per name and relay. */
  table(name: string): Promise<Table>
  /**
   * Finds messages in logs whose {@link Retention} has `isIndexed`, those included that were just appended; absent if the
   * engine has no index and their entries have to be read.
   */
  search?(query: MessageQuery): Promise<MessagePage>
  /** Calls `listener` whenever {@link isReachable} changes. */
  onReachabilityChange(listener: (isReachable: boolean) => void): void
  /** Calls `listener` when {@link id} has changed; absent if it cannot. */
  onIdChange?(listener: () => void): void
  /** Writes a copy of everything to a new file; absent if the engine keeps nothing in files of its own. */
  copy?(file: string): Promise<void>
  /** Completes pending writes; nothing may be called afterwards. */
  close(): Promise<void>
}

/** The bounds of a log, and its behavior when it is full. */
export interface Retention {
  /** Most entries per key. */
  readonly maxEntries: number
  /** Milliseconds an entry is kept. */
  readonly maxAgeMs?: number
  /** Most bytes of entries per key. `nats` has no such bound per key and uses `maxEntries` alone. */
  readonly maxBytes?: number
  /** `drop-oldest` makes room; `refuse-new` rejects with MAILBOX_FULL. */
  readonly whenFull: "drop-oldest" | "refuse-new"
  /** True if the messages of the log can be found with {@link Backbone.search}. */
  readonly isIndexed?: boolean
}

/** An entry of a log. */
export interface LogEntry {
  readonly key: string
  /**
   * Rises with each entry of a key, not always by one; never used twice, even after `drop`, and even if the storage
   * is emptied or restored from an older copy (see `numbering.ts`).
   */
  readonly seq: number
  /** When it was appended, in milliseconds since the Unix epoch. */
  readonly ts: number
  readonly value: string
}

/** A family of logs, one per key, with the same retention. */
export interface Logs {
  /**
   * Adds an entry. Appends of one caller take effect in the order of the calls.
   * @param id - identifies the entry, 1–512 characters: another append with the same id and key adds nothing, for at
   * least an hour, even if the first entry has been removed since
   * @param digest - kept with the id, to recognize another entry of the same id: a safe integer. An id with a digest is
   * unique among all keys: another append with the same id, a digest and any key adds nothing. `memory` and `sqlite`
   * compare the logs of all families, `nats` those of one.
   * @throws {ChatError} MAILBOX_FULL; UNAVAILABLE, after which the entry may or may not have been added: append it
   * again with the same id
   */
  append(key: string, id: string, value: string, digest?: number): Promise<Appended>
  /**
   * Reports whether an entry without a digest was added to a key, for at least an hour, even if it has been removed since.
   */
  has(key: string, id: string): Promise<boolean>
  /** Returns at most `limit` entries with a `seq` above `after`, oldest first. */
  read(key: string, after: number, limit: number): Promise<LogEntry[]>
  /** Returns the newest `count` entries, oldest first. */
  last(key: string, count: number): Promise<LogEntry[]>
  /** Returns the size of a log and its highest `seq`. */
  stat(key: string): Promise<LogStat>
  /** Returns about how many bytes the values of all keys have. */
  size(): Promise<number>
  /** Returns the numbers that show that their reader knows another life of the storage; see `isForeign`. */
  gap(key: string): Promise<NumberGap | undefined>
  /** Removes every entry up to and including `seq`. */
  trim(key: string, seq: number): Promise<void>
  /** Removes every entry. */
  drop(key: string): Promise<void>
  /**
   * Calls `listener` with every entry that any relay adds from now on, exactly once each and in order per key. An
   * `append` of this relay resolves before or after the call for its own entry.
   */
  subscribe(listener: (entry: LogEntry) => void): Promise<Subscription>
}

/** The result of an append. */
export interface Appended {
  readonly seq: number
  readonly ts: number
  /** The entry existed already; `seq` and `ts` are those of the first, or 0 where the engine does not remember. */
  readonly isDuplicate: boolean
  /** Digest of the first entry of a duplicate. Absent where it had none. */
  readonly digest?: number
}

export interface LogStat {
  /** The highest `seq` ever used; 0 for a key that was never used. */
  readonly last: number
  /** Number of entries kept. */
  readonly count: number
}

/** Passes messages from relay to relay, at most once each, and stores none. */
export interface Bus {
  /** @throws {ChatError} UNAVAILABLE */
  publish(key: string, value: string): Promise<void>
  /** Calls `listener` with every message from now on, those of this relay included. */
  subscribe(listener: (key: string, value: string) => void): Promise<Subscription>
}

/** Ends a subscription or a watch; the listener is not called afterwards. */
export type Subscription = () => void

/** A row of a table. */
export interface Row {
  readonly key: string
  readonly value: string
  /** Rises with each change of the row; keeps rising when the row is deleted and created again. */
  readonly revision: number
}

/** A table whose rows are written with compare-and-set. For a read-modify-write see `updateRow`. */
export interface Table {
  get(key: string): Promise<Row | undefined>
  /**
   * Writes a row.
   * @param expected - the revision it must have; 0: it must not exist; absent: any
   * @returns the new revision, or undefined when the revision was not the expected one
   */
  put(key: string, value: string, expected?: number): Promise<number | undefined>
  /** @returns false when the revision was not the expected one */
  delete(key: string, expected?: number): Promise<boolean>
  /** Returns every row, in no order. */
  rows(): Promise<Row[]>
  /**
   * Calls `listener` with every row, resolves, and then calls it with every change, in order per row. Changes in quick
   * succession may be reported as one.
   */
  watch(listener: (change: RowChange) => void): Promise<Subscription>
}

/** The current state of a row; `value` is undefined when it was deleted. */
export interface RowChange {
  readonly key: string
  readonly value: string | undefined
  readonly revision: number
}

const maxKeyLength = 64
const keyPattern = /^[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*$/

/** @throws {ChatError} INVALID_NAME when `key` is no valid name of a key, table or family of logs */
export function checkKey(key: string): void {
  if (key.length > maxKeyLength || !keyPattern.test(key)) {
    throw new ChatError("INVALID_NAME", "store key: must be 1–64 letters, digits, _ or -, with single dots")
  }
}
