import type { Clock } from "../../base/clock.js"
import type { AlertEvents } from "./alerts.js"
import type { SafeBatch } from "./group-commit.js"
import type { InboxLimits } from "./limits.js"
import type { InboxPaths, OnRecalled } from "./recovery.js"

/** How an inbox is opened, and who hears of it. */
export interface InboxOptions extends AlertEvents {
  readonly paths: InboxPaths
  readonly clock: Clock
  readonly limits?: Partial<InboxLimits>
  /**
   * These lines survive a power cut. Every `msgId` and `mark` given to {@link Inbox.append} comes
   * here once per call, in order, also those of doubles; at most 1,000 at a time.
   */
  onDurable(batch: SafeBatch): void
  /** While the inbox is opened: each line that is known again, oldest first. */
  readonly onRecalled?: OnRecalled
  /** What an operator may want to read of later. */
  readonly log?: (line: string) => void
}

/** What belongs to a line and does not stand in it. */
export interface AppendOptions {
  /** A line with a known one is a double and not written. */
  readonly msgId?: string | undefined
  /** Handed back by {@link InboxOptions.onDurable}. */
  readonly mark?: unknown
}
