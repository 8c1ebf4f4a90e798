import { defaultLimits } from "../../protocol/limits.js"

/** Bounds of one outbox. */
export const defaultOutboxLimits = {
  /** Largest line, and largest frame made of one, in bytes. */
  lineBytes: defaultLimits.frameBytes,
  /** Lines handed on beyond the saved cursor; a crash sends these again. Half of what a relay remembers. */
  windowLines: defaultLimits.rememberedIds / 2,
  /** Bytes of lines that are read before anybody takes them. */
  readAheadBytes: 256 * 1024,
  /** Bytes looked at in one turn of the event loop. */
  turnBytes: 4 * 1024 * 1024,
  /** Milliseconds within which progress is saved. */
  saveMs: 50,
  /** Milliseconds without a change after which a sent outbox is cleared. */
  clearQuietMs: 1_000,
  /** Size above which the outbox is cleared without waiting for quiet. */
  clearBytes: 16 * 1024 * 1024,
  /** Cleared files that may wait for late writers; at this many the outbox is not cleared again. */
  takenFiles: 16,
  /** Milliseconds without a change after which a cleared file is dropped that no process has open. */
  dropQuietMs: 60_000,
  /** The same where processes may exist that cannot be seen: in a container. */
  dropSharedMs: 600_000,
  /** The same where open files cannot be seen at all. */
  dropBlindMs: 86_400_000,
} as const

/** {@link defaultOutboxLimits}, changed for a test or by an operator. */
export type OutboxLimits = { readonly [K in keyof typeof defaultOutboxLimits]: number }
