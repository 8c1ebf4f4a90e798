import type { OutboxType } from "../../protocol/client-messages.js"
import { defaultLimits } from "../../protocol/limits.js"

/** Limits of one outbox. */
export const defaultOutboxLimits = {
  /** Bytes of a line, and of the frame made of it. */
  lineBytes: defaultLimits.frameBytes,
  /** Lines taken since the cursor was saved. After a crash they are sent again; a relay remembers twice as many. */
  windowLines: defaultLimits.rememberedIds / 2,
  /** Bytes of lines that are read ahead of the sender. */
  readAheadBytes: 256 * 1024,
  /** Bytes read in one turn of the event loop. */
  turnBytes: 4 * 1024 * 1024,
  /** Milliseconds within which progress is saved. */
  saveMs: 50,
  /** Milliseconds without a change after which a sent outbox is moved away. */
  clearQuietMs: 1_000,
  /** Size in bytes above which the outbox is moved away without waiting for quiet. */
  clearBytes: 16 * 1024 * 1024,
  /** Moved files kept for late writers; with this many the outbox is not moved again. */
  takenFiles: 16,
  /** Milliseconds without a change after which a moved file that no process has open is deleted. */
  dropQuietMs: 60_000,
  /** The same in a container, where other processes may be invisible. */
  dropSharedMs: 600_000,
  /** The same where the open files of processes cannot be seen at all. */
  dropBlindMs: 86_400_000,
} as const

/** {@link defaultOutboxLimits}, changed for a test or by an operator. */
export type OutboxLimits = { readonly [K in keyof typeof defaultOutboxLimits]: number }

/** Requests whose order among messages does not matter: they need not wait until those may be sent. */
const overtaking: ReadonlySet<string> = new Set<OutboxType>([
  "FORECAST",
  "LIST_GUARDS",
  "RESET_GUARD",
  "REMOVE_CHANNEL",
  "MODERATE",
  "LIST_AUDIT",
  "LIST_GRANTS",
  "LIST_MESSAGES",
  "LIST_CHANNELS",
  "LIST_AGENTS",
  "SET_PRESENCE",
  "SET_ATTENTION",
  "PENDING",
  "CLAIM",
  "EXTEND",
  "PING",
])

/** Reports whether a frame of this type may be sent before messages that have to wait. */
export function mayOvertake({ type }: { readonly type: string }): boolean {
  return overtaking.has(type)
}

/** A reason why lines of the outbox are not sent now. Times are milliseconds since the Unix epoch. */
export interface OutboxWait {
  readonly reason: "unfinished line" | "rate" | "guard" | "relay" | "disk"
  readonly message: string
  readonly since?: number
  /** When the next line may be sent. */
  readonly until?: number
}
