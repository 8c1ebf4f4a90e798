/** Default limits of an inbox. Durations in milliseconds, sizes in bytes. */
export const defaultInboxLimits = {
  /** Lines after which the file is rotated at the next quiet moment. */
  lines: 1_000,
  /** Pause for readers before and after the file is emptied; longer than the 1 s that `tail` may sleep. */
  graceMs: 1_200,
  /** A file over `lines` that is never quiet for `graceMs` is rotated after this time anyway. */
  busyMs: 5_000,
  /** Lines and bytes at which new lines wait until the file is rotated. */
  hardLines: 50_000,
  hardBytes: 32 * 1024 * 1024,
  /** Pause before a failed rotation is tried again, while lines can still be appended. */
  retryRotationMs: 10_000,
  /** Bytes waiting in memory at which the inbox asks for no more lines. */
  heldBytes: 1024 * 1024,
  /** Written lines not yet known to be on disk at which the inbox asks for no more lines. */
  unsyncedLines: 16_384,
  /** Minimum number of message ids remembered to drop duplicates. */
  rememberedIds: 20_000,
  /** Newest lines whose ids are remembered again after a restart. */
  recalledLines: 5_000,
  /** Sealed segments kept, and for how long. */
  segments: 100,
  segmentAgeMs: 30 * 24 * 60 * 60 * 1_000,
} as const

/** {@link defaultInboxLimits}, possibly changed. */
export type InboxLimits = { readonly [K in keyof typeof defaultInboxLimits]: number }
