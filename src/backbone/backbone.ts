/**
 * What a relay keeps, as three nouns that every engine offers alike: a log, a table, and the queue made of
 * a table. Names and keys are 1–64 characters: letters, digits, `_`, `-`, with single dots between levels; others
 * are refused with INVALID_NAME. Values are well-formed text. Every method of an engine that cannot reach what it
 * keeps rejects with UNAVAILABLE, having kept nothing it did not say; once it answers, `kill -9` of this process or
 * of one engine node takes nothing back (except from `memory`, where the process is all there is).
 */
export interface Backbone {
  readonly kind: "memory" | "sqlite" | "nats"
  /**
   * Names what is kept, and so the chat: the same over restarts, and for every relay that shares the engine.
   * `memory` makes a new one each time.
   */
  readonly id: string
  /** Whether what is kept can be reached now; see {@link onReach}. */
  readonly isReachable: boolean
  /** Whether other relays may share what is kept. */
  readonly isShared: boolean
  /** Opens a family of logs; call once per name and relay. */
  logs(name: string, keeping: Keeping): Promise<Logs>
  /** Opens a table; call once per name and relay. */
  table(name: string): Promise<Table>
  /** Calls `listener` whenever {@link isReachable} changes. */
  onReach(listener: (isReachable: boolean) => void): void
  /** Everything that was promised is safe afterwards; nothing may be called any more. */
  close(): Promise<void>
}

/** How long entries of a log are kept, and what happens at the bound. */
export interface Keeping {
  /** Most entries per key; 0: nothing is kept, entries only pass by (`read` finds none). */
  readonly maxEntries: number
  /** Milliseconds an entry is kept. */
  readonly maxAgeMs?: number
  /** Most bytes of entries per key. `nats` has no such bound per key and leaves it to `maxEntries`. */
  readonly maxBytes?: number
  /** `drop-oldest` makes room; `refuse-new` rejects with MAILBOX_FULL. */
  readonly atBound: "drop-oldest" | "refuse-new"
  /** `disk` survives the engine's own restart. `memory` of engine `sqlite` is lost with the process. */
  readonly on: "disk" | "memory"
}

/** One thing that was appended. */
export interface LogEntry {
  readonly key: string
  /** Rises with each entry of a key, not always by one; never used twice, also after `drop`. */
  readonly seq: number
  /** When it was taken, in milliseconds since the Unix epoch. */
  readonly ts: number
  readonly value: string
}

/** A family of logs, one per key, all kept alike. */
export interface Logs {
  /**
   * Adds an entry. Appends of one caller take effect in the order of the calls.
   * @param id - names the entry, 1–512 characters: a second one of that id and key, within an hour at least, is not
   * added, also when the first has been removed since
   * @throws {ChatError} MAILBOX_FULL at the bound; UNAVAILABLE, after which the entry may or may not stand:
   * append it again with the same id
   */
  append(key: string, id: string, value: string): Promise<Appended>
  /** Entries over `after`, oldest first, at most `limit`. */
  read(key: string, after: number, limit: number): Promise<LogEntry[]>
  /** The newest `count` entries, oldest first. */
  last(key: string, count: number): Promise<LogEntry[]>
  /** What a key holds; `last` is the newest number ever given, 0 for a key never used. */
  stat(key: string): Promise<LogStat>
  /** Removes every entry up to and with `seq`. */
  trim(key: string, seq: number): Promise<void>
  /** Removes every entry. */
  drop(key: string): Promise<void>
  /** Every key that holds entries. */
  keys(): Promise<string[]>
  /**
   * Calls `listener` with every entry added from now on, by whichever relay, each exactly once and those of
   * one key in order. An `append` of this relay resolves before or after its own entry is told.
   */
  subscribe(listener: (entry: LogEntry) => void): Promise<Subscription>
}

/** What became of an append. */
export interface Appended {
  readonly seq: number
  readonly ts: number
  /** It stood already; `seq` and `ts` are then those of the first, or 0 where the engine does not remember. */
  readonly isDuplicate: boolean
}

export interface LogStat {
  /** Number of the oldest entry that is kept; `last + 1` when there is none. */
  readonly first: number
  readonly last: number
  readonly count: number
}

/** Ends a subscription or a watch; nothing is told afterwards. */
export type Subscription = () => void

/** One row of a table. */
export interface Row {
  readonly key: string
  readonly value: string
  /** Rises with each change of the row, and stays above what it was when a deleted row comes back. */
  readonly revision: number
}

/** Rows that are compared and set. */
export interface Table {
  get(key: string): Promise<Row | undefined>
  /**
   * Writes a row.
   * @param expected - the revision it must have; 0: it must not exist; absent: whatever it has
   * @returns the new revision, or undefined when it was not as expected
   */
  put(key: string, value: string, expected?: number): Promise<number | undefined>
  /** @returns false when the row was not as expected */
  delete(key: string, expected?: number): Promise<boolean>
  /** Every row, in no order. */
  rows(): Promise<Row[]>
  /**
   * Calls `listener` with every row there is, resolves, and then tells every change, in order for each row;
   * `value` is undefined for a row that was deleted. Changes that follow each other fast may be told as one.
   */
  watch(listener: (change: RowChange) => void): Promise<Subscription>
}

/** A row as it is now; without a value it is gone. */
export interface RowChange {
  readonly key: string
  readonly value: string | undefined
  readonly revision: number
}
