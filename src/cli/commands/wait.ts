import type { DaemonPaths } from "../../daemon/files/paths.js"
import { followInbox, type InboxEntry, readInbox } from "../../daemon/inbox/reader.js"
import { type ContextDoor, ReaderCursor } from "../../daemon/inbox/reader-cursor.js"
import { ChatError } from "../../protocol/errors.js"
import { defineCommand, flag, value } from "../command.js"
import type { Context } from "../context.js"
import { daemonName, startedInstance } from "../daemon/daemon-choice.js"
import { offlineError } from "../daemon/daemon-state.js"
import {
  defaultReader,
  filterOptions,
  type LineFilter,
  lineFilter,
  readerOption,
  type WaitEnd,
  Waiter,
} from "../daemon/inbox-wait.js"
import { interruptedStatus } from "../exit-status.js"
import { waitTime, wholeNumber } from "../input/values.js"
import { type InboxView, openView } from "../output/inbox-view.js"

/** Milliseconds waited by default: what harnesses give a command at most. */
const defaultTimeoutMs = 600_000
/** Messages printed by default, and at most: few enough for the context of an agent. */
const defaultMax = 20
const mostMax = 1_000
/** Most groups of lines that a reader may have taken from between unread ones: each is kept in its cursor. */
const maxGroups = 2_000

export const wait = defineCommand({
  args: {},
  options: {
    ...filterOptions,
    timeout: value("TIME", "time to wait, such as 90s or 10m; 0 not at all (default 10m)", waitTime),
    max: value(
      "N",
      `print N messages at most; the rest waits (default ${defaultMax})`,
      wholeNumber(1, mostMax),
    ),
    reader: readerOption,
    render: flag("print for a model: each message as JSON in a fence of its own, after a preface"),
    name: daemonName,
  },
  takesUrl: false,
  examples: [
    "agentchat wait",
    "agentchat wait --dm --mention --task --timeout 5m",
    "agentchat wait --for '#general' --from @bob --render",
    "agentchat wait --timeout 0 || echo nothing new",
  ],
  notes: [
    "Prints what the reader has not seen as soon as there is something, marks it as seen, and exits 0; 4 if nothing came.",
    "Of --for, --mention, --dm, --task and --type one has to fit; --from narrows all. Lines that do not fit stay unread.",
    "Earlier messages of a channel, joins and messages of kind status, ack or auto do not end the wait.",
  ],
  async run(context, { options }) {
    const { reader = defaultReader, render, max = defaultMax, timeout = defaultTimeoutMs } = options
    refuseMixed(context, render)
    const paths = startedInstance(context, options.name)
    const filter = lineFilter(options, paths)
    const waiter = await Waiter.start(context, { paths, kind: "wait", reader, timeoutMs: timeout })
    try {
      const cursor = ReaderCursor.open(paths, reader)
      if (filter.isSelective) refuseScattered(cursor, reader)
      const view = await openView(context, render, {
        ...{ paths, reader, maxMessages: max },
        command: `inbox --reader ${reader}${render ? " --render" : ""}`,
      })
      waiter.begin()
      const lines = new UnreadLines(paths, cursor, filter, view.onDamaged)
      const wasThere = lines.hasAny()
      const isThere = wasThere || (timeout > 0 && (await lines.follow(context, waiter.signal)))
      if (!isThere) return endOf(context, paths, waiter.signal, timeout)
      const taken = view.print(lines.all())
      // Lines count as seen only after the write, because a broken pipe loses them.
      await context.io.flush()
      cursor.take(taken, render ? doorOf(context) : undefined)
      if (!wasThere) await echo(context, paths)
      return 0
    } finally {
      waiter.close()
    }
  },
})

function doorOf({ contextDoor = "wait" }: Context): ContextDoor {
  return contextDoor
}

function refuseMixed({ config }: Context, render: boolean): void {
  if (render && config.json) throw new ChatError("USAGE", "--render and --json are mutually exclusive")
}

/** Says that this wait was answered, in case the daemon waits for that. */
async function echo({ clock }: Context, paths: DaemonPaths): Promise<void> {
  const { confirmWait } = await import("../../daemon/wake/echo.js")
  confirmWait(paths, clock.now())
}

/** The lines that a reader has not seen and that a filter lets through. */
class UnreadLines {
  readonly #paths: DaemonPaths
  readonly #cursor: ReaderCursor
  readonly #filter: LineFilter
  readonly #onDamaged: InboxView["onDamaged"]
  /** The number of the last line that was looked at. */
  #seq: number

  constructor(
    paths: DaemonPaths,
    cursor: ReaderCursor,
    filter: LineFilter,
    onDamaged: InboxView["onDamaged"],
  ) {
    this.#paths = paths
    this.#cursor = cursor
    this.#filter = filter
    this.#onDamaged = onDamaged
    this.#seq = cursor.seq
  }

  /** Reports whether a line that counts is in the inbox now. */
  hasAny(): boolean {
    for (const entry of readInbox(this.#paths, { sinceSeq: this.#seq })) {
      this.#seq = entry.seq
      if (this.#counts(entry)) return true
    }
    return false
  }

  /** Waits for a line that counts. @returns false if the signal is aborted first */
  async follow({ clock }: Context, signal: AbortSignal): Promise<boolean> {
    for await (const entry of followInbox(this.#paths, this.#seq, { clock, signal })) {
      if (this.#counts(entry)) return true
    }
    return false
  }

  /** Yields what there is to print: with a filter the lines that fit, else everything that is unread. */
  *all(): Generator<InboxEntry> {
    for (const entry of readInbox(this.#paths, { sinceSeq: this.#cursor.seq }, this.#onDamaged)) {
      const isWanted = this.#filter.isSelective ? this.#counts(entry) : !this.#cursor.has(entry.seq)
      if (isWanted) yield entry
    }
  }

  #counts({ seq, fields }: InboxEntry): boolean {
    return !this.#cursor.has(seq) && this.#filter.matches(fields)
  }
}

/** @throws {ChatError} FILE_FAILED, before the cursor becomes a long list */
function refuseScattered(cursor: ReaderCursor, reader: string): void {
  if (cursor.groupsApart < maxGroups) return
  throw new ChatError("FILE_FAILED", `reader ${reader} has left lines unread in ${maxGroups} places`, {
    hint: `read them first: agentchat inbox --reader ${reader}`,
  })
}

/** @returns the exit status of a wait in which nothing came @throws {ChatError} TIMEOUT, or why it ended */
function endOf(context: Context, { name }: DaemonPaths, signal: AbortSignal, timeoutMs: number): number {
  const end = signal.reason as WaitEnd | undefined
  if (end instanceof ChatError) throw end
  if (signal.aborted && end !== "timeout") return interruptedStatus(signal)
  const offline = offlineError(context, name)
  const why = offline === undefined ? "" : `; ${offline.message}`
  const time = timeoutMs > 0 ? ` within ${timeoutMs / 1_000} s` : ""
  throw new ChatError("TIMEOUT", `nothing came${time}${why}`)
}
