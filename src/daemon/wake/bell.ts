import { join } from "node:path"
import type { Clock, Timer } from "../../base/clock.js"
import { listIfExists } from "../../base/files.js"
import { isPlain } from "../../base/plain.js"
import type { Connection } from "../../client/connection.js"
import type { Identity } from "../../identity/identity-file.js"
import { ChatError } from "../../protocol/errors.js"
import { type ChannelAttention, channelAttentions } from "../../protocol/wake.js"
import { DirectoryChange } from "../files/directory-change.js"
import type { DaemonPaths } from "../files/paths.js"
import { readHolder } from "../process/pid-file.js"
import type { DaemonMemory } from "../session/daemon-memory.js"
import { OpenRings, type Ring } from "./open-rings.js"
import { ringText } from "./ring-text.js"
import type { FindSession, SessionDoors, WakeDoor } from "./session-doors.js"
import { type WaitingLine, WaitingLines } from "./waiting-lines.js"
import { WakeLeaseKeeper } from "./wake-lease-keeper.js"
import type { WakeStatus } from "./wake-status.js"
import type { Attentions } from "./waking-lines.js"

/** Milliseconds in which lines that arrive together become one ring. */
const settleMs = 20
/** Milliseconds in which a `wait` that runs takes a line before the session is rung for it. */
const waiterMs = 1_500
/** Milliseconds that lines for a whole channel are gathered, and between two rings for nothing else. */
const ambientMs = 2_000
const ambientGapMs = 60_000
/** Milliseconds after which a ring without an echo has failed. */
const echoMs = 60_000
/** Milliseconds before the ring after the first failure; each further one doubles it. */
const backOffMs = 30_000
const maxBackOffMs = 3_600_000
/** Failures in a row after which the session is not rung until one of its hooks runs. */
const maxFailures = 6
/** Milliseconds between two looks whether the session and a `wait` still run. */
const aliveMs = 60_000
/** The method of a `wait`. */
const waitMethod = "wait"
const maxChannels = 1_000

type BellSession = Pick<Connection, "request" | "send" | "welcome">

/** Options of {@link Bell}. */
export interface BellOptions {
  readonly paths: Pick<DaemonPaths, "inbox" | "segments" | "cursors" | "echoes" | "waits" | "sessions">
  readonly clock: Clock
  readonly memory: DaemonMemory
  readonly identity: Identity | undefined
  /** Returns the own agent id. */
  readonly self: () => string
  /** Number of the newest line of the inbox. */
  readonly lastSeq: () => number
  readonly findSession: FindSession
  /** Called when an echo came: readers may have moved, and the status has changed. */
  readonly onEcho: () => void
  readonly log: (line: string) => void
}

/**
 * Rings the idle session of an agent when something arrives that concerns it, and proves by the echo that it was woken. One
 * ring is outstanding at a time, each failure makes the next one later, and a ring ends when its messages are read.
 */
export class Bell {
  readonly #options: BellOptions
  readonly #clock: Clock
  readonly #lines: WaitingLines
  readonly #rings: OpenRings
  readonly #lease: WakeLeaseKeeper
  readonly #channels: Map<string, ChannelAttention>
  readonly #changes: {
    readonly sessions: DirectoryChange
    readonly waits: DirectoryChange
    readonly cursors: DirectoryChange
  }
  #connection: BellSession | undefined
  #session: SessionDoors | undefined
  #hasWaiter = false
  #outstanding: Ring | undefined
  #echoTimer: Timer | undefined
  #timer: Timer | undefined
  #timerAtMs = Infinity
  #isLooking = false
  #isClosed = false
  #failures = 0
  #failed: WakeStatus["failed"] = null
  #retryAtMs = 0
  #lastAmbientMs = -Infinity
  #lastAliveMs = -Infinity
  #lastWaiterMs = -Infinity
  /** When lines arrived last, milliseconds since the Unix epoch. */
  #arrivedTs: number | undefined

  constructor(options: BellOptions) {
    const { paths, clock, memory, identity, self, lastSeq, log } = options
    const { seq, proven, channels } = isPlain(memory.state.wake) ? memory.state.wake : {}
    this.#options = options
    this.#clock = clock
    this.#lines = new WaitingLines(paths, self, Number.isSafeInteger(seq) ? (seq as number) : lastSeq())
    this.#rings = new OpenRings(paths, () => this.#takeEchoes())
    this.#lease = new WakeLeaseKeeper({ clock, identity, log }, proven)
    this.#channels = new Map(Object.entries(isPlain(channels) ? channels : {}).filter(isChannelEntry))
    this.#changes = {
      sessions: new DirectoryChange(paths.sessions),
      waits: new DirectoryChange(paths.waits),
      cursors: new DirectoryChange(paths.cursors),
    }
  }

  get status(): WakeStatus {
    const { method, ts } = this.#outstanding ?? {}
    return {
      proven: this.#lease.current ?? null,
      doors: (this.#session?.doors ?? []).map((door) => door.method),
      waits: this.#hasWaiter,
      ring: method === undefined || ts === undefined ? null : { method, since: ts },
      failed: this.#failed,
      channels: Object.fromEntries(this.#channels),
    }
  }

  attach(connection: BellSession): void {
    this.#connection = connection
    this.#lease.attach(connection)
  }

  detach(): void {
    this.#connection = undefined
    this.#lease.detach()
  }

  /** Looks for lines to ring for: some are on disk. */
  onDurable(): void {
    this.#arrivedTs = this.#clock.now()
    if (this.#canRing) this.#lookIn(settleMs)
    else this.#lines.skipTo(this.#options.lastSeq())
  }

  /** Looks again: the attention has changed. */
  onAttention(): void {
    this.#lookIn(0)
  }

  /** Sets what of a channel wakes the agent. */
  setChannel(channel: string, attention: ChannelAttention): void {
    this.#channels.delete(channel)
    if (attention !== "open" && this.#channels.size < maxChannels) this.#channels.set(channel, attention)
    this.#note()
    this.onAttention()
  }

  /** Notices what no event reports. The host calls it about once a second. Throws file errors. */
  sweep(): void {
    const { sessions, waits, cursors } = this.#changes
    const nowMs = this.#clock.monotonic()
    const isAliveDue =
      nowMs - this.#lastAliveMs >= aliveMs && (this.#session !== undefined || this.#hasWaiter)
    // Each of the three has to look.
    const isDue = [sessions.isDue, waits.isDue, cursors.isDue && this.#lines.size > 0].includes(true)
    this.#takeEchoes()
    if (isDue || isAliveDue) this.#lookIn(0)
    this.#note()
  }

  /**
   * Rings the session although nothing is unread.
   * @returns the method
   * @throws {ChatError} why it cannot be rung
   */
  async test(): Promise<string> {
    await this.#refresh()
    if (this.#outstanding !== undefined) return this.#outstanding.method
    const session = this.#session
    const doors = this.#usableDoors()
    if (session === undefined || session.doors.length === 0) throw noDoorError(session, this.#hasWaiter)
    if (doors.length === 0) {
      throw new ChatError("TIMEOUT", "the session is working, and this harness would not wait for its end", {
        hint: "try again when it is idle; it reads its messages with its next hook anyway",
      })
    }
    await this.#ringFirst(doors, [])
    // Assigned by the call above, which the compiler cannot see.
    const rung = this.#outstanding as Ring | undefined
    if (rung !== undefined) return rung.method
    throw new ChatError(
      "UNREACHABLE",
      `the session cannot be rung: ${this.#failed?.reason ?? "it was closed"}`,
    )
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#echoTimer?.cancel()
    this.#rings.end()
    this.#note()
  }

  get #canRing(): boolean {
    return this.#hasWaiter || (this.#session?.doors.length ?? 0) > 0
  }

  get #attentions(): Attentions {
    const { attention = "open" } = this.#options.memory.state.presence ?? {}
    return { attention, channel: (name) => this.#channels.get(name) ?? "open" }
  }

  /** Sets the timer, unless it is set to an earlier time. */
  #lookIn(delayMs: number): void {
    const atMs = this.#clock.monotonic() + delayMs
    if (this.#isClosed || this.#timerAtMs <= atMs) return
    this.#timer?.cancel()
    this.#timerAtMs = atMs
    const look = () => {
      this.#timerAtMs = Infinity
      void this.#look()
    }
    this.#timer = this.#clock.setTimer(look, delayMs, { unref: true })
  }

  async #look(): Promise<void> {
    if (this.#isClosed) return
    if (this.#isLooking) {
      this.#lookIn(settleMs)
      return
    }
    this.#isLooking = true
    try {
      await this.#refresh()
      if (this.#canRing) this.#lines.read(this.#clock.monotonic())
      else this.#lines.skipTo(this.#options.lastSeq())
      this.#lines.dropTaken()
      this.#withdrawRead()
      await this.#ringForLines()
    } catch (error) {
      this.#options.log(`wake: ${error instanceof Error ? error.message : String(error)}`)
    } finally {
      this.#isLooking = false
    }
  }

  /** Finds the session and whether a `wait` runs. Throws file errors. */
  async #refresh(): Promise<void> {
    const { paths, findSession } = this.#options
    const nowMs = this.#clock.monotonic()
    this.#lastAliveMs = nowMs
    const before = this.#session
    this.#session = await findSession()
    // Its hook ran, so another try may succeed.
    if (this.#session?.state !== before?.state) this.#failures = this.#retryAtMs = 0
    const now = this.#clock.now()
    this.#hasWaiter = listIfExists(paths.waits).some(
      (name) => /^wait-.*\.json$/.test(name) && readHolder(join(paths.waits, name), now) !== undefined,
    )
    if (this.#hasWaiter) this.#lastWaiterMs = nowMs
    const isRecent = nowMs - this.#lastWaiterMs < aliveMs
    this.#rings.setStanding(isRecent)
    const { method } = this.#lease.current ?? {}
    if (method === waitMethod) {
      if (!isRecent) this.#lease.withdraw("no `agentchat wait` runs")
    } else if (
      method !== undefined &&
      this.#session?.doors.every((door) => door.method !== method) !== false
    ) {
      this.#lease.withdraw("its session has ended, or cannot be reached any more")
    }
  }

  /** A message that was read needs no ring. Its echo may still come, and proves the same. */
  #withdrawRead(): void {
    const { seqs = [] } = this.#outstanding ?? {}
    if (seqs.length > 0 && !this.#lines.hasAny(seqs)) this.#settleRing()
  }

  #settleRing(): void {
    this.#outstanding = undefined
    this.#echoTimer?.cancel()
    this.#echoTimer = undefined
  }

  async #ringForLines(): Promise<void> {
    if (this.#outstanding !== undefined || this.#failures >= maxFailures) return
    const waking = this.#lines.wakingLines(this.#attentions)
    const isBusy = this.#session?.isBusy === true
    const lines = isBusy ? waking.filter(({ concern }) => concern !== "ambient") : waking
    const doors = this.#usableDoors()
    if (lines.length === 0 || doors.length === 0) return
    const waitMs = this.#delayFor(lines)
    if (waitMs > 0) this.#lookIn(waitMs)
    else await this.#ringFirst(doors, lines)
  }

  /** Returns the milliseconds until the session may be rung for these lines. */
  #delayFor(lines: readonly WaitingLine[]): number {
    const nowMs = this.#clock.monotonic()
    const urgent = lines.find(({ concern }) => concern !== "ambient")
    const [first] = lines
    const foundMs = (urgent ?? first)?.foundMs ?? nowMs
    const dueMs = [this.#retryAtMs]
    if (this.#hasWaiter) dueMs.push(foundMs + waiterMs)
    if (urgent === undefined) dueMs.push(foundMs + ambientMs, this.#lastAmbientMs + ambientGapMs)
    return Math.max(...dueMs) - nowMs
  }

  /** The doors through which the session may be rung now: a running tool call is not interrupted. */
  #usableDoors(): readonly WakeDoor[] {
    const { doors = [], isBusy = false } = this.#session ?? {}
    return doors.filter(({ queues, isClosed }) => isClosed !== true && (!isBusy || queues))
  }

  /** Rings through the first door that takes the ring. */
  async #ringFirst(doors: readonly WakeDoor[], lines: readonly WaitingLine[]): Promise<void> {
    for (const door of doors) {
      const now = this.#clock.now()
      const ring = this.#rings.open({ method: door.method, ts: now, seqs: lines.map(({ seq }) => seq) })
      this.#outstanding = ring
      try {
        await door.ring(ringText(ring.nonce, lines, now))
        this.#onRung(ring, lines)
        return
      } catch (error) {
        if (!(error instanceof ChatError)) throw error
        this.#rings.close(ring)
        this.#settleRing()
        this.#onFailed(door.method, error.message)
      }
    }
    this.#backOff()
  }

  #onRung(ring: Ring, lines: readonly WaitingLine[]): void {
    const { method } = ring
    this.#options.log(`wake: rang by ${method} for ${lines.length} messages`)
    if (lines.length > 0 && lines.every(({ concern }) => concern === "ambient"))
      this.#lastAmbientMs = this.#clock.monotonic()
    this.#reportRung(lines, method)
    // The echo may have come already.
    if (this.#outstanding === ring) this.#awaitEcho(ring)
  }

  #reportRung(lines: readonly WaitingLine[], method: string): void {
    const rung = lines.flatMap(({ id }) => id ?? [])
    if (rung.length > 0) this.#connection?.send({ type: "RECEIVED", rung, method })
  }

  #awaitEcho(ring: Ring): void {
    const onEnd = () => {
      if (this.#outstanding !== ring || this.#isClosed) return
      // A ring that waits for the end of a tool call has not failed.
      if (this.#session?.isBusy === true) {
        this.#awaitEcho(ring)
        return
      }
      this.#rings.close(ring)
      this.#settleRing()
      this.#onFailed(ring.method, `no echo within ${echoMs / 1_000} s`)
      this.#backOff()
    }
    this.#echoTimer = this.#clock.setTimer(onEnd, echoMs, { unref: true })
  }

  #onFailed(method: string, reason: string): void {
    this.#failed = { method, reason, ts: this.#clock.now() }
    this.#options.log(`wake: ${method}: ${reason}`)
    this.#lease.withdraw(reason, method)
  }

  #backOff(): void {
    const delayMs = Math.min(backOffMs * 2 ** this.#failures, maxBackOffMs)
    this.#failures++
    this.#retryAtMs = this.#clock.monotonic() + delayMs
    if (this.#failures < maxFailures && this.#lines.size > 0) this.#lookIn(delayMs)
  }

  #takeEchoes(): void {
    if (this.#isClosed) return
    let hasEcho = false
    for (const { ring, ts } of this.#rings.take()) {
      hasEcho = true
      const provenTs = Math.min(ts ?? Infinity, this.#clock.now())
      if (ring === "wait") this.#onWaited(provenTs)
      else this.#onEcho(ring, provenTs)
    }
    if (!hasEcho) return
    this.#note()
    this.#options.onEcho()
    this.#lookIn(0)
  }

  #onEcho(ring: Ring, provenTs: number): void {
    this.#lease.renew(ring.method, provenTs - ring.ts, provenTs)
    this.#failures = this.#retryAtMs = 0
    this.#failed = null
    this.#lines.drop(ring.seqs)
    if (this.#outstanding === ring) this.#settleRing()
  }

  /** A `wait` ended with new lines: the program that ran it goes on. */
  #onWaited(provenTs: number): void {
    this.#lines.read(this.#clock.monotonic())
    const waking = this.#lines.wakingLines(this.#attentions)
    this.#lines.dropTaken()
    this.#reportRung(
      waking.filter(({ seq }) => !this.#lines.hasAny([seq])),
      waitMethod,
    )
    if (this.#arrivedTs !== undefined) this.#lease.renew(waitMethod, provenTs - this.#arrivedTs, provenTs)
  }

  #note(): void {
    const { memory } = this.#options
    const wake = {
      seq: this.#lines.seq,
      proven: this.#lease.current,
      channels: Object.fromEntries(this.#channels),
    }
    if (JSON.stringify(wake) !== JSON.stringify(memory.state.wake)) memory.note({ wake })
  }
}

function noDoorError(session: SessionDoors | undefined, hasWaiter: boolean): ChatError {
  if (session !== undefined) {
    return new ChatError(
      "UNSUPPORTED",
      "this session cannot be woken; it reads its messages with its next hook",
      {
        hint: "let it run `agentchat wait` in the background, which ends when something arrives",
      },
    )
  }
  if (hasWaiter) {
    return new ChatError(
      "UNSUPPORTED",
      "no session to ring; an `agentchat wait` runs and ends with the next message",
    )
  }
  return new ChatError("NOT_FOUND", "no session of a coding harness belongs to this daemon", {
    hint: "agentchat install, then start a session here; or run `agentchat wait`",
  })
}

function isChannelEntry(entry: [string, unknown]): entry is [string, ChannelAttention] {
  return (channelAttentions as readonly unknown[]).includes(entry[1])
}
