import type { Clock } from "../../base/clock.js"
import { delay } from "../../base/clock.js"
import { completeHint } from "../../base/command-hint.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { followInbox, type InboxEntry, readInbox } from "../../daemon/inbox/reader.js"
import { ReaderCursor } from "../../daemon/inbox/reader-cursor.js"
import { readStatus } from "../../daemon/status.js"
import { ChatError } from "../../protocol/errors.js"
import { channelPattern } from "../../protocol/names.js"
import { defineCommand } from "../command.js"
import type { Context } from "../context.js"
import { daemonName, startedInstance } from "../daemon/daemon-choice.js"
import {
  defaultReader,
  filterOptions,
  type LineFilter,
  lineFilter,
  readerOption,
  type WaitEnd,
  Waiter,
} from "../daemon/inbox-wait.js"
import { interruptedStatus, orAborted } from "../exit-status.js"
import { describe, factsOf } from "../output/render.js"

export const watch = defineCommand({
  args: {},
  options: { ...filterOptions, reader: readerOption, name: daemonName },
  takesUrl: false,
  examples: ["agentchat watch", "agentchat watch --dm --mention --task", "agentchat watch --json"],
  notes: [
    "Prints no text of other agents and marks nothing as seen: read with `agentchat inbox --reader NAME --render`.",
    "Ends when the process ends that started it. More than ten lines in 20 s are counted in one.",
  ],
  async run(context, { options }) {
    const { reader = defaultReader } = options
    const paths = startedInstance(context, options.name)
    const filter = lineFilter(options, paths)
    const waiter = await Waiter.start(context, { paths, kind: "watch", reader, endsWithParent: true })
    try {
      waiter.begin()
      const { signal } = waiter
      await new Watch(context, { paths, reader, filter, signal }).run()
      const end = signal.reason as WaitEnd
      if (end instanceof ChatError) throw end
      return end === "parent" ? hangupStatus : interruptedStatus(signal)
    } finally {
      waiter.close()
    }
  },
})

/** The exit status of a program whose terminal is gone. */
const hangupStatus = 129

/** Rate that monitors accept without dropping lines or being stopped: ten lines at once, then one every two seconds. */
const burst = 10
const refillMs = 2_000

interface WatchOptions {
  readonly paths: DaemonPaths
  readonly reader: string
  readonly filter: LineFilter
  readonly signal: AbortSignal
}

/** Prints a line for each new line of an inbox, and one for all that came while it could not print. */
class Watch {
  readonly #context: Context
  readonly #options: WatchOptions
  readonly #pace: Pace
  readonly #self: string | null | undefined

  constructor(context: Context, options: WatchOptions) {
    this.#context = context
    this.#options = options
    this.#pace = new Pace(context.clock)
    const status = readStatus(options.paths.status)
    this.#self = status?.agent_id
  }

  /** Runs until the signal is aborted. */
  async run(): Promise<void> {
    const { paths, reader, filter, signal } = this.#options
    const { clock } = this.#context
    const cursor = ReaderCursor.open(paths, reader)
    let { seq } = await this.#printAll(
      this.#linesAfter(cursor.seq, (entry) => !cursor.has(entry.seq)),
      0,
    )
    for await (const entry of followInbox(paths, seq, { clock, signal })) {
      if (entry.seq <= seq || !filter.matches(entry.fields)) continue
      await orAborted(this.#pace.turn(), signal)
      if (signal.aborted) return
      ;({ seq } = await this.#printAll(this.#linesAfter(seq), this.#pace.room))
    }
  }

  /** Prints lines one by one if there are at most `room`, else their number. */
  async #printAll(lines: Found, room: number): Promise<Found> {
    const { io, config } = this.#context
    const { events, count, seq } = lines
    if (count === 0) return lines
    if (count <= room) {
      for (const event of events) this.#printEvent(event)
      this.#pace.use(count)
    } else {
      const { reader } = this.#options
      const command = completeHint(`agentchat inbox --reader ${reader} --render`, config.hintOptions)
      if (config.json) io.json({ unread: count, seq })
      else
        io.out(
          `agentchat: ${count === 1 ? "1 unread line" : `${count} unread lines`}, the newest is ${seq}: ${command}`,
        )
      this.#pace.use(1)
    }
    // A reader that stalls gets one line about everything that came meanwhile.
    await orAborted(io.flush(), this.#options.signal)
    return lines
  }

  #printEvent({ fields }: InboxEntry): void {
    const { io, config } = this.#context
    const { to, mentions } = fields
    const isMention = Array.isArray(mentions) && mentions.includes(this.#self)
    const isToYou = typeof to === "string" && to.startsWith("@")
    const channel = typeof to === "string" && channelPattern.test(to) ? to : undefined
    if (config.json) {
      io.json({ ...factsOf(fields), to: isToYou ? "you" : channel, mention: isMention })
      return
    }
    const where = isToYou ? " to you" : channel === undefined ? "" : ` in ${channel}`
    io.out(`agentchat: ${describe(fields)}${where}${isMention ? ", mentions you" : ""}`)
  }

  /** Finds the lines after a number that count; remembers only as many as it may print. */
  #linesAfter(after: number, isWanted: (entry: InboxEntry) => boolean = () => true): Found {
    const { paths, filter } = this.#options
    const events: InboxEntry[] = []
    let count = 0
    let seq = after
    for (const entry of readInbox(paths, { sinceSeq: after })) {
      seq = entry.seq
      if (!filter.matches(entry.fields) || !isWanted(entry)) continue
      count += 1
      if (count <= burst) events.push(entry)
    }
    return { events, count, seq }
  }
}

/** New lines: how many, the first of them, and the number of the last line looked at. */
interface Found {
  readonly events: readonly InboxEntry[]
  readonly count: number
  readonly seq: number
}

/** Limits printed lines to {@link burst} at once, and one more each {@link refillMs}. */
class Pace {
  readonly #clock: Clock
  /** When all of the burst is there again. */
  #fullMs: number

  constructor(clock: Clock) {
    this.#clock = clock
    this.#fullMs = clock.monotonic()
  }

  /** Number of lines that may be printed now. */
  get room(): number {
    const missingMs = Math.max(0, this.#fullMs - this.#clock.monotonic())
    return Math.floor(burst - missingMs / refillMs)
  }

  use(count: number): void {
    this.#fullMs = Math.max(this.#fullMs, this.#clock.monotonic()) + count * refillMs
  }

  /** Waits until a line may be printed. */
  async turn(): Promise<void> {
    const waitMs = this.#fullMs - this.#clock.monotonic() - (burst - 1) * refillMs
    if (waitMs > 0) await delay(this.#clock, waitMs)
  }
}
