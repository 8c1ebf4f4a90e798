/** Bounds of one inbox. Durations in milliseconds, sizes in bytes. */
export const defaultInboxLimits = {
  /** Lines after which the file is rotated at the next quiet moment. */
  lines: 1_000,
  /** Time every reader gets before and after the file is emptied; longer than the 1 s `tail` may sleep. */
  graceMs: 1_200,
  /** Time over `lines` after which a file that never falls quiet is made quiet. */
  busyMs: 5_000,
  /** Lines, and bytes, at which new lines wait until the file is rotated. */
  hardLines: 50_000,
  hardBytes: 32 * 1024 * 1024,
  /** Pause before a rotation that failed is tried again, while lines can still be appended. */
  retryRotationMs: 10_000,
  /** Bytes in memory that wait for the file, from which on no more should be received. */
  heldBytes: 1024 * 1024,
  /** Lines written and not yet known to be on disk, from which on no more should be received. */
  unsafeLines: 16_384,
  /** Message ids remembered at least, to drop doubles. */
  rememberedIds: 20_000,
  /** Newest lines whose ids are remembered again after a restart. */
  recalledLines: 5_000,
  /** Sealed segments kept, and how long. */
  segments: 100,
  segmentAgeMs: 30 * 24 * 60 * 60 * 1_000,
} as const

/** {@link defaultInboxLimits} with an operator's changes. */
export type InboxLimits = { readonly [K in keyof typeof defaultInboxLimits]: number }
