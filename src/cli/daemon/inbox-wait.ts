/** Waits for lines of an inbox: which lines count, and who may wait. */
import { join } from "node:path"
import type { Timer } from "../../base/clock.js"
import { ensureDirectory } from "../../daemon/files/home.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { describeProcess } from "../../daemon/files/process-record.js"
import { isNews } from "../../daemon/inbox/line.js"
import type { InboxEntry } from "../../daemon/inbox/reader.js"
import { Claim, claimRecord, heartbeatMs } from "../../daemon/process/pid-file.js"
import { readStatus } from "../../daemon/status.js"
import { ChatError } from "../../protocol/errors.js"
import {
  type AgentRef,
  type Channel,
  type ChannelPattern,
  channelPattern,
  isChannelPattern,
  matchesChannel,
  type Nick,
  persistentIdPattern,
} from "../../protocol/names.js"
import { flag, repeated, value } from "../command.js"
import type { Context } from "../context.js"
import { agentRef, closeChoice, nick, subscription } from "../input/values.js"
import { offlineError } from "./daemon-state.js"

type Members = InboxEntry["fields"]

/** The reader of a wait that names none: the one that SKILL.md uses. */
export const defaultReader = "me" as Nick

/** Types of the lines of an inbox that can be waited for. */
const lineTypes = [
  ...["MSG", "TASK", "TASK_LOST", "INVITE", "PROPOSAL", "ACCEPT", "REJECT", "COMPLETE", "DISPUTE"],
  ...["GUARD", "REJECTED", "NOTICE", "JOINED", "LEFT", "AGENT_JOINED", "AGENT_LEFT", "CHANNEL_CHANGED"],
  ...["CHANNELS", "AGENTS", "PENDING", "GUARDS", "FORECAST", "PRESENCE_CHANGED", "INBOX_ROTATED"],
] as const

/** Options that say which lines count. */
export const filterOptions = {
  for: repeated("#CHANNEL", "messages to a channel, or to the channels of a pattern", subscription),
  mention: flag("messages that mention you"),
  dm: flag("direct messages to you"),
  task: flag("tasks"),
  type: repeated("TYPE", "lines of a type, such as PROPOSAL", closeChoice(lineTypes)),
  from: repeated("@AGENT", "of these only what an agent sent; an id is safer than a name", agentRef),
}

/** The option that names the reader. */
export const readerOption = value("NAME", `the reader whose position counts (default ${defaultReader})`, nick)

interface FilterOptions {
  readonly for: readonly (Channel | ChannelPattern)[] | undefined
  readonly mention: boolean
  readonly dm: boolean
  readonly task: boolean
  readonly type: readonly string[] | undefined
  readonly from: readonly AgentRef[] | undefined
}

/** Which lines count for a wait. */
export interface LineFilter {
  /** True if the options name some lines only; the others stay unread then. */
  readonly isSelective: boolean
  matches(line: Members): boolean
}

/**
 * Returns the filter of the options. The replay of earlier messages and the agent's own lines never count; messages of a
 * kind that wakes nobody, and joins and leaves, only if --from or --type asks for them.
 */
export function lineFilter(options: FilterOptions, paths: Pick<DaemonPaths, "status">): LineFilter {
  const { for: channels = [], mention, dm, task, type: types = [], from = [] } = options
  const self = readStatus(paths.status)?.agent_id
  const tests: ((line: Members) => boolean)[] = [
    ...channels.map(
      (wanted) =>
        ({ type, to }: Members) =>
          type === "MSG" && isWithin(to, wanted),
    ),
    ...(mention ? [({ mentions }: Members) => Array.isArray(mentions) && mentions.includes(self)] : []),
    ...(dm ? [({ type, to }: Members) => type === "MSG" && String(to).startsWith("@")] : []),
    ...(task ? [({ type }: Members) => type === "TASK"] : []),
    ...types.map(
      (wanted) =>
        ({ type }: Members) =>
          type === wanted,
    ),
  ]
  const isNamed = from.length > 0 || types.length > 0
  return {
    isSelective: tests.length > 0 || from.length > 0,
    matches: (line) =>
      line["replay"] !== true &&
      line["self"] !== true &&
      (isNamed || isNews(line)) &&
      (tests.length === 0 || tests.some((test) => test(line))) &&
      (from.length === 0 || from.some((agent) => isFrom(line, agent))),
  }
}

function isWithin(to: unknown, wanted: Channel | ChannelPattern): boolean {
  if (to === wanted) return true
  if (typeof to !== "string" || !channelPattern.test(to) || !isChannelPattern(wanted)) return false
  return matchesChannel(wanted, to as Channel)
}

function isFrom({ from, agent, by, name }: Members, wanted: AgentRef): boolean {
  if ((from ?? agent ?? by) === wanted) return true
  // Nobody may be taken for the key of an id because of a name.
  return !persistentIdPattern.test(wanted) && `@${String(name)}` === wanted
}

/** Milliseconds between two looks at what ends a wait. */
const lookMs = 1_000

/** Why a wait ends: its time is over, its parent has ended, a signal came (by name), or an error. */
export type WaitEnd = "timeout" | "parent" | NodeJS.Signals | ChatError

/** Settings of a {@link Waiter}. */
export interface WaiterOptions {
  readonly paths: DaemonPaths
  readonly kind: "wait" | "watch"
  readonly reader: Nick
  readonly timeoutMs?: number | undefined
  /** True to end when the process ends that started this one. */
  readonly endsWithParent?: boolean
}

/** The only process that waits for the lines of a reader, until something ends the wait. */
export class Waiter {
  readonly #context: Context
  readonly #options: WaiterOptions
  readonly #claim: Claim
  readonly #end = new AbortController()
  readonly #parent: number
  readonly #timers = new Set<Timer>()
  #touchedMs: number
  #hasNoted = false

  private constructor(context: Context, options: WaiterOptions, claim: Claim) {
    const { system, clock } = context
    this.#context = context
    this.#options = options
    this.#claim = claim
    this.#parent = system.parentPid()
    this.#touchedMs = clock.monotonic()
  }

  /** @throws {ChatError} ALREADY_RUNNING, naming the process that waits for this reader; FILE_FAILED */
  static async start(context: Context, options: WaiterOptions): Promise<Waiter> {
    const { system, clock } = context
    const { paths, kind, reader } = options
    ensureDirectory(paths.waits)
    const record = join(paths.waits, `${kind}-${reader}.json`)
    const claim = await claimRecord(record, { process: describeProcess(system.pid), socket: "" }, clock)
    if (claim instanceof Claim) return new Waiter(context, options, claim)
    const { pid } = claim.process
    throw new ChatError("ALREADY_RUNNING", `process ${pid} runs agentchat ${kind} for reader ${reader}`, {
      hint: `let it end, or end it: kill ${pid}; for lines of your own: --reader OTHER`,
    })
  }

  /** Aborted when the wait is over; its `reason` is a {@link WaitEnd}. */
  get signal(): AbortSignal {
    return this.#end.signal
  }

  /** Begins to wait: handles signals, and notes once on standard error if no new line can come. */
  begin(): void {
    const interruption = this.#context.system.interruption()
    interruption.addEventListener("abort", () => this.#end.abort(interruption.reason))
    const { timeoutMs } = this.#options
    if (timeoutMs !== undefined) this.#after(timeoutMs, () => this.#end.abort("timeout" satisfies WaitEnd))
    this.#look()
  }

  /** Ends the wait; another process may wait for the reader then. */
  close(): void {
    for (const timer of this.#timers) timer.cancel()
    this.#claim.release()
  }

  #after(delayMs: number, fn: () => void): void {
    const timer = this.#context.clock.setTimer(() => {
      this.#timers.delete(timer)
      fn()
    }, delayMs)
    this.#timers.add(timer)
  }

  #look(): void {
    const { clock, system, io } = this.#context
    const { paths, endsWithParent = false } = this.#options
    const loss = this.#claim.check()
    if (loss !== undefined)
      this.#end.abort(new ChatError(loss.isHomeOurs ? "FILE_FAILED" : "NOT_FOUND", loss.reason))
    if (endsWithParent && system.parentPid() !== this.#parent) this.#end.abort("parent" satisfies WaitEnd)
    if (this.signal.aborted) return
    if (clock.monotonic() - this.#touchedMs >= heartbeatMs) {
      this.#claim.touch(clock.now())
      this.#touchedMs = clock.monotonic()
    }
    const error = this.#hasNoted ? undefined : offlineError(this.#context, paths.name)
    if (error !== undefined) {
      this.#hasNoted = true
      io.note(`${error.message}; waiting for it`)
    }
    this.#after(lookMs, () => this.#look())
  }
}
