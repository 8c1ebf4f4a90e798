import { basename } from "node:path"
import { type Clock, delay, type Timer } from "../../base/clock.js"
import type { ChatError } from "../../protocol/errors.js"
import { asFileProblem } from "../files/file-problems.js"
import { Dedup } from "./dedup.js"
import type { DurableBatch } from "./group-commit.js"
import { defaultInboxLimits, type InboxLimits } from "./limits.js"
import { dedupKey, formatBody, type InboxLine } from "./line.js"
import {
  describeDamage,
  type InboxPaths,
  type OnRecalled,
  type Recovered,
  recallSealed,
  recoverInbox,
} from "./recovery.js"
import { RotationPolicy } from "./rotation-policy.js"
import { SegmentRetention } from "./segments.js"
import { InboxWriter } from "./writer.js"

/** Options of {@link Inbox.open}. */
export interface InboxOptions {
  readonly paths: InboxPaths
  readonly clock: Clock
  readonly limits?: Partial<InboxLimits>
  /**
   * Called with lines that survive a power cut from now on. Gets the `msgId` and `mark` of each {@link Inbox.append}
   * once and in order, including those of duplicates; at most 1,000 at a time.
   */
  onDurable(batch: DurableBatch): void
  /** Called when the most serious problem changes; undefined once there is none. */
  onProblem(problem: ChatError | undefined): void
  /** Called when the inbox becomes full, and when it no longer is. While it is full, receive no more lines. */
  onPressure(isFull: boolean): void
  /** Called while the inbox is opened, for each line whose id is remembered again, oldest first. */
  readonly onRecalled?: OnRecalled
  readonly log?: (line: string) => void
  /** @throws {ChatError} if another directory, or none, is at the inbox's path: then no file may be created */
  readonly requireHome?: () => void
}

/** Data that accompanies a line and is not part of it. */
export interface AppendOptions {
  /** A line whose id is known is a duplicate and not written, unless it is another message of the same id. */
  readonly msgId?: string | undefined
  /** Handed back by {@link InboxOptions.onDurable}. */
  readonly mark?: unknown
}

type InboxEvent = "hold" | "release" | "rotate" | "resume" | "fail" | "retry" | "close"

/**
 * The legal transitions of an inbox: state, event, next state.
 *
 *     writing    lines are appended at once
 *     holding    lines wait in memory until readers have caught up
 *     rotating   the file's lines are being sealed; nothing may be appended
 *     failing    the file system refused a write; tried again once a second
 */
export const inboxSteps = {
  writing: { hold: "holding", rotate: "rotating", fail: "failing", close: "closed" },
  holding: { release: "writing", rotate: "rotating", fail: "failing", close: "closed" },
  rotating: { resume: "writing", fail: "failing" },
  failing: { retry: "writing", close: "closed" },
  closed: {},
} as const satisfies Record<string, Partial<Record<InboxEvent, string>>>

type InboxState = keyof typeof inboxSteps

/** Returns the state after `event`. Throws if the transition is not listed, which is a bug. */
export function nextInboxState(state: InboxState, event: InboxEvent): InboxState {
  const steps: Partial<Record<InboxEvent, InboxState>> = inboxSteps[state]
  const next = steps[event]
  if (next === undefined) throw new Error(`inbox: ${event} while ${state}`)
  return next
}

/** Kinds of problems, the most serious first. */
const problemKinds = ["write", "sync", "rotate"] as const
type ProblemKind = (typeof problemKinds)[number]

/**
 * The only writer of one `inbox.jsonl`. Appends whole lines, numbers them with `seq`, syncs them to disk, drops
 * duplicates, and rotates the file so that a `tail -f` notices no more than a pause.
 */
export class Inbox {
  readonly #options: InboxOptions
  readonly #limits: InboxLimits
  readonly #clock: Clock
  readonly #dedup: Dedup
  readonly #writer: InboxWriter
  readonly #policy: RotationPolicy
  readonly #retention: SegmentRetention
  readonly #problems = new Map<ProblemKind, ChatError>()
  #reported: ChatError | undefined
  #state: InboxState = "writing"
  #isFull = false
  #isFlushDue = false
  #isClosing = false
  #rotation: Promise<void> | undefined
  #wakeTimer: Timer | undefined
  #wakeAtMs = 0

  private constructor(options: InboxOptions, limits: InboxLimits, found: Recovered, dedup: Dedup) {
    this.#options = options
    this.#limits = limits
    this.#clock = options.clock
    this.#dedup = dedup
    this.#policy = new RotationPolicy(limits, this.#clock.monotonic())
    this.#retention = new SegmentRetention(options.paths.segments, limits, this.#clock, options.log)
    this.#writer = new InboxWriter(options.paths, {
      onDurable: (batch) => {
        this.#options.onDurable(batch)
        this.#checkPressure()
      },
      onFailed: (error) => this.#onSyncFailed(error),
      requireHome: () => this.#options.requireHome?.(),
    })
    this.#resumeRotation(found)
    this.#adopt(found)
    this.sweep()
  }

  /**
   * Opens the inbox of one daemon and continues where its files end. A disk that cannot be written does not fail the
   * call: it is reported as a problem and retried.
   * @throws {ChatError} FILE_FAILED when an existing file cannot be read
   */
  static open(options: InboxOptions): Inbox {
    const limits = { ...defaultInboxLimits, ...options.limits }
    const dedup = new Dedup(limits.rememberedIds)
    const remember = (id: string, line: Buffer) => {
      dedup.add(dedupKey(id, line.toString()))
      options.onRecalled?.(id, line)
    }
    try {
      recallSealed(options.paths, limits.recalledLines, remember)
      return new Inbox(options, limits, recoverInbox(options.paths, remember), dedup)
    } catch (error) {
      throw asFileProblem(error, options.paths.inbox)
    }
  }

  /** `seq` of the newest line in the file. */
  get lastSeq(): number {
    return this.#writer.lastSeq
  }

  /** Lines in the file now. */
  get lines(): number {
    return this.#writer.size.lines
  }

  /** Approximate bytes that are only in memory. */
  get heldBytes(): number {
    return this.#writer.heldBytes
  }

  /**
   * Appends a line. All lines of one turn of the event loop are written by one call.
   * @param line - without `seq`
   * @returns false for a duplicate, and after {@link close}
   */
  append(line: InboxLine, { msgId, mark }: AppendOptions = {}): boolean {
    if (this.#isClosing) return false
    const body = formatBody(line)
    const isNew = msgId === undefined || this.#dedup.add(dedupKey(msgId, body))
    this.#writer.push({ body: isNew ? body : undefined, msgId, mark })
    if (!this.#isFlushDue) {
      this.#isFlushDue = true
      queueMicrotask(() => {
        this.#isFlushDue = false
        this.#flush()
      })
    }
    return isNew
  }

  /** Checks the file, retries what failed and removes old segments. The owner calls it once a second. */
  sweep(): void {
    if (this.#is("failing")) this.#step("retry")
    if (!this.#is("writing") || this.#isClosing) return
    if (this.#checkFile()) this.#considerRotation()
    this.#flush()
    if (this.#is("writing")) this.#setProblem("write", undefined)
    this.#retention.sweep()
  }

  /**
   * Writes and syncs all lines. Lines that the disk refuses are not confirmed, so the relay sends them again.
   * @param mayWrite - false to close the file only, because another daemon may use it
   */
  async close(mayWrite = true): Promise<void> {
    if (this.#isClosing) return
    this.#isClosing = true
    await (mayWrite ? this.#drain() : this.#rotation)
    this.#wakeTimer?.cancel()
    await this.#writer.close()
    this.#step("close")
  }

  async #drain(): Promise<void> {
    await this.#rotation
    if (this.#is("failing")) this.#step("retry")
    if (this.#is("holding")) this.#step("release")
    this.#flush()
    if (this.#is("holding")) await delay(this.#clock, this.#limits.graceMs)
    if (this.#is("holding") || this.#is("rotating")) await this.#drain()
  }

  #flush(): void {
    while (this.#is("writing") && this.#writer.hasWork) {
      if (!this.#writeBatch()) break
    }
    this.#checkPressure()
  }

  /** @returns false if nothing more can be written now */
  #writeBatch(): boolean {
    if (!this.#checkFile()) return false
    if (this.#policy.isRequired) {
      this.#writer.requeue()
      this.#considerRotation()
      return false
    }
    const nowMs = this.#clock.monotonic()
    const mayGrowAtMs = this.#policy.mayGrowAt(this.#writer.prepare())
    if (mayGrowAtMs > nowMs) {
      this.#step("hold")
      this.#wakeAt(mayGrowAtMs)
      return false
    }
    try {
      this.#writer.write()
    } catch (error) {
      this.#fail(error)
      return false
    }
    this.#policy.onWrite(nowMs)
    this.#setProblem("write", undefined)
    this.#considerRotation()
    return true
  }

  /** Reports whether the file can be appended to. Adopts what another program changed; starts over if the file is gone. */
  #checkFile(): boolean {
    try {
      const state = this.#writer.check()
      if (state === "changed") this.#adoptChanged()
      if (state !== "gone") return true
      this.#rotate(true)
    } catch (error) {
      this.#fail(error)
    }
    return false
  }

  /** Another program appended to the file or cut it. */
  #adoptChanged(): void {
    const before = this.#writer.size
    const found = recoverInbox(this.#options.paths)
    // A `seq` that another program wrote must not change our own count.
    this.#adopt({ ...found, lastSeq: this.lastSeq })
    if (found.lines < before.lines) this.#writer.announceCut(this.#clock.now())
  }

  #adopt(found: Recovered): void {
    this.#writer.adopt(found)
    if (found.isSealed || found.partialBytes > 0) this.#policy.require()
    for (const line of describeDamage(found)) this.#options.log?.(line)
  }

  /** Continues a rotation of an earlier process, which may have died after it emptied the file. */
  #resumeRotation({ segment, lines, bytes }: Recovered): void {
    if (segment === undefined || bytes >= segment.bytes) return
    this.#policy.onEmptied(segment.bytes, this.#clock.monotonic())
    if (lines === 0) this.#writer.announceRotation(basename(segment.path), this.#clock.now())
  }

  #considerRotation(): void {
    if (this.#isClosing) return
    const decision = this.#policy.decide(this.#writer.size, this.#clock.monotonic())
    if (decision.act === "rotate") this.#rotate(false)
    if (decision.act === "hold" && this.#is("writing")) this.#step("hold")
    if (decision.act === "hold" || decision.act === "watch") this.#wakeAt(decision.atMs)
  }

  /** Sets the timer to a monotonic time, unless it is set to an earlier one: an early wake-up decides again. */
  #wakeAt(atMs: number): void {
    if (this.#wakeTimer !== undefined && this.#wakeAtMs <= atMs) return
    this.#wakeTimer?.cancel()
    this.#wakeAtMs = atMs
    const delayMs = Math.max(0, atMs - this.#clock.monotonic())
    this.#wakeTimer = this.#clock.setTimer(() => this.#onWake(), delayMs, { unref: true })
  }

  #onWake(): void {
    this.#wakeTimer = undefined
    if (this.#isClosing) return
    // A batch that was prepared before the hold waits for the file to be allowed to grow, not for a rotation.
    if (this.#is("holding") && this.#writer.hasBatch) this.#step("release")
    else if (this.#is("writing") || this.#is("holding")) this.#considerRotation()
    this.#flush()
  }

  /** @param isGone - whether the file was deleted or replaced */
  #rotate(isGone: boolean): void {
    this.#step("rotate")
    this.#rotation = this.#sealAndEmpty(isGone)
  }

  async #sealAndEmpty(isGone: boolean): Promise<void> {
    try {
      const { bytes } = this.#writer.size
      const name = await this.#writer.seal()
      const isInPlace = this.#writer.empty()
      this.#policy.onEmptied(isInPlace ? bytes : Number.POSITIVE_INFINITY, this.#clock.monotonic())
      if (name !== undefined) this.#writer.announceRotation(name, this.#clock.now())
      if (!isInPlace) this.#adoptChanged()
      this.#setProblem("sync", undefined)
      this.#setProblem("rotate", undefined)
      this.#step("resume")
    } catch (error) {
      this.#onRotationFailed(error, isGone)
    }
    this.#flush()
    await this.#retention.run()
  }

  #onRotationFailed(error: unknown, isGone: boolean): void {
    const problem = asFileProblem(error, this.#options.paths.segments)
    const nowMs = this.#clock.monotonic()
    if (isGone) {
      // The file was deleted, perhaps to make room. Keeping it open would keep the disk full.
      this.#options.log?.(`the lines of the deleted inbox.jsonl could not be saved: ${problem.message}`)
      this.#writer.drop()
      this.#policy.onEmptied(Number.POSITIVE_INFINITY, nowMs)
      this.#step("resume")
      return
    }
    this.#setProblem("rotate", problem)
    this.#policy.onFailure(nowMs)
    this.#step(this.#policy.mustRotate(this.#writer.size) ? "fail" : "resume")
  }

  /** After a failed fdatasync the kernel may have dropped the data. A sealed copy of the file makes it safe. */
  #onSyncFailed(error: Error): void {
    this.#setProblem("sync", asFileProblem(error, this.#options.paths.inbox))
    this.#policy.require()
    if (this.#is("writing")) this.#considerRotation()
  }

  #fail(error: unknown): void {
    this.#setProblem("write", asFileProblem(error, this.#options.paths.inbox))
    this.#step("fail")
  }

  /** Sets or clears a problem, and reports the most serious one if that changed. */
  #setProblem(kind: ProblemKind, problem: ChatError | undefined): void {
    if (problem !== undefined) this.#problems.set(kind, problem)
    else if (!this.#problems.delete(kind)) return
    const worst = problemKinds.map((name) => this.#problems.get(name)).find((found) => found !== undefined)
    if (worst?.message === this.#reported?.message) return
    this.#reported = worst
    this.#options.onProblem(worst)
  }

  /** Reports when more lines arrive than the disk takes; the pressure ends at half the limits. */
  #checkPressure(): void {
    const held = this.#writer.heldBytes / this.#limits.heldBytes
    const unsynced = this.#writer.unsyncedLines / this.#limits.unsyncedLines
    const isFull = Math.max(held, unsynced) >= (this.#isFull ? 0.5 : 1)
    if (isFull === this.#isFull) return
    this.#isFull = isFull
    this.#options.onPressure(isFull)
  }

  #is(state: InboxState): boolean {
    return this.#state === state
  }

  #step(event: InboxEvent): void {
    this.#state = nextInboxState(this.#state, event)
  }
}
