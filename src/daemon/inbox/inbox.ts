import { basename } from "node:path"
import { type Clock, delay } from "../../base/clock.js"
import { asFileProblem } from "../files/file-problem.js"
import { InboxAlarm } from "./alarm.js"
import { InboxAlerts } from "./alerts.js"
import { Dedup } from "./dedup.js"
import { defaultInboxLimits, type InboxLimits } from "./limits.js"
import { formatBody, type InboxLine } from "./line.js"
import type { AppendOptions, InboxOptions } from "./options.js"
import { describeDamage, type Recovered, recallSealed, recoverInbox } from "./recovery.js"
import { InboxRetention } from "./retention.js"
import { RotationPolicy } from "./rotation-policy.js"
import { type InboxEvent, type InboxState, stepInbox } from "./state.js"
import { InboxWriter } from "./writer.js"

/**
 * The only writer of one `inbox.jsonl`: appends whole lines, gives each its `seq`, makes them safe,
 * drops doubles and rotates the file without a `tail -f` noticing more than a pause.
 */
export class Inbox {
  readonly #options: InboxOptions
  readonly #limits: InboxLimits
  readonly #clock: Clock
  readonly #doubles: Dedup
  readonly #writer: InboxWriter
  readonly #pace: RotationPolicy
  readonly #alerts: InboxAlerts
  readonly #alarm: InboxAlarm
  readonly #retention: InboxRetention
  #state: InboxState = "writing"
  #isFlushDue = false
  #isClosing = false
  #rotation: Promise<void> | undefined

  private constructor(options: InboxOptions, limits: InboxLimits, found: Recovered, doubles: Dedup) {
    this.#options = options
    this.#limits = limits
    this.#clock = options.clock
    this.#doubles = doubles
    this.#pace = new RotationPolicy(limits, this.#clock.monotonic())
    this.#retention = new InboxRetention(options.paths.segments, limits, this.#clock, options.log)
    this.#alerts = new InboxAlerts(options)
    this.#alarm = new InboxAlarm(this.#clock, () => this.#wake())
    this.#writer = new InboxWriter(options.paths, {
      onSafe: (batch) => {
        this.#options.onDurable(batch)
        this.#weigh()
      },
      onFailed: (error) => this.#distrust(error),
    })
    this.#resume(found)
    this.#adopt(found)
    this.tick()
  }

  /**
   * Opens the inbox of one daemon and goes on where its files end. A disk that cannot be written is
   * no error here: that is a problem, told and retried like any later one.
   * @throws {ChatError} FILE_FAILED when what is there cannot be read
   */
  static open(options: InboxOptions): Inbox {
    const limits = { ...defaultInboxLimits, ...options.limits }
    const doubles = new Dedup(limits.rememberedIds)
    const remember = (id: string, line: Buffer) => {
      doubles.add(id)
      options.onRecalled?.(id, line)
    }
    try {
      recallSealed(options.paths, limits.recalledLines, remember)
      return new Inbox(options, limits, recoverInbox(options.paths, remember), doubles)
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
    return this.#writer.fill.lines
  }

  /** About how many bytes are in memory only. */
  get heldBytes(): number {
    return this.#writer.heldBytes
  }

  /** Whether a message of this id was appended before. */
  has(msgId: string): boolean {
    return this.#doubles.has(msgId)
  }

  /**
   * Appends a line; all lines of one turn of the event loop become one write.
   * @param line - without `seq`
   * @returns false for a double, and after {@link close}
   */
  append(line: InboxLine, { msgId, mark }: AppendOptions = {}): boolean {
    if (this.#isClosing) return false
    const body = formatBody(line)
    const isNew = msgId === undefined || this.#doubles.add(msgId)
    this.#writer.push({ body: isNew ? body : undefined, msgId, mark })
    this.#schedule()
    return isNew
  }

  /** The owner's call once a second: looks after the file, retries what failed, removes old segments. */
  tick(): void {
    if (this.#is("failing")) this.#step("retry")
    if (!this.#is("writing") || this.#isClosing) return
    if (this.#ownsFile()) this.#review()
    this.#flush()
    if (this.#is("writing")) this.#alerts.clear("write")
    this.#retention.tick()
  }

  /** Writes and syncs what the disk takes. What it refuses is not confirmed and will be delivered again. */
  async close(): Promise<void> {
    if (this.#isClosing) return
    this.#isClosing = true
    await this.#drain()
    this.#alarm.cancel()
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

  #schedule(): void {
    if (this.#isFlushDue) return
    this.#isFlushDue = true
    queueMicrotask(() => {
      this.#isFlushDue = false
      this.#flush()
    })
  }

  #flush(): void {
    while (this.#is("writing") && this.#writer.hasWork) {
      if (!this.#writeNext()) break
    }
    this.#weigh()
  }

  /** @returns false when nothing more can be written now */
  #writeNext(): boolean {
    if (!this.#ownsFile()) return false
    if (this.#pace.isRequired) {
      this.#writer.requeue()
      this.#review()
      return false
    }
    const nowMs = this.#clock.monotonic()
    const mayAtMs = this.#pace.mayReachAt(this.#writer.prepare())
    if (mayAtMs > nowMs) {
      this.#step("hold")
      this.#alarm.set(mayAtMs)
      return false
    }
    try {
      this.#writer.write()
    } catch (error) {
      this.#fail(error)
      return false
    }
    this.#pace.wrote(nowMs)
    this.#alerts.clear("write")
    this.#review()
    return true
  }

  /** Whether the file is what this inbox left there; otherwise what follows from that has begun. */
  #ownsFile(): boolean {
    try {
      const finding = this.#writer.check()
      if (finding === "changed") this.#survey()
      if (finding !== "gone") return true
      this.#rotate(true)
    } catch (error) {
      this.#fail(error)
    }
    return false
  }

  /** Somebody else wrote into the file or emptied it: what stands there now counts. */
  #survey(): void {
    const before = this.#writer.fill
    const found = recoverInbox(this.#options.paths)
    // Our own count is better than one that others' lines are part of.
    this.#adopt({ ...found, lastSeq: this.lastSeq })
    if (found.lines < before.lines) this.#writer.announceCut(this.#clock.now())
  }

  #adopt(found: Recovered): void {
    this.#writer.adopt(found)
    if (found.isSealed || found.partialBytes > 0) this.#pace.require()
    for (const line of describeDamage(found)) this.#options.log?.(line)
  }

  /** A process before this one may have emptied the file a moment ago, and died before it said so. */
  #resume({ segment, lines, bytes }: Recovered): void {
    if (segment === undefined || bytes >= segment.bytes) return
    this.#pace.emptied(segment.bytes, this.#clock.monotonic())
    if (lines === 0) this.#writer.announceRotation(basename(segment.path), this.#clock.now())
  }

  /** Does what the time says about rotation. */
  #review(): void {
    if (this.#isClosing) return
    const verdict = this.#pace.verdict(this.#writer.fill, this.#clock.monotonic())
    if (verdict.act === "rotate") this.#rotate(false)
    if (verdict.act === "hold" && this.#is("writing")) this.#step("hold")
    if (verdict.act === "hold" || verdict.act === "watch") this.#alarm.set(verdict.atMs)
  }

  #wake(): void {
    if (this.#isClosing) return
    // Lines that were made ready before the hold wait for the file's growth, not for a rotation.
    if (this.#is("holding") && this.#writer.hasBatch) this.#step("release")
    else if (this.#is("writing") || this.#is("holding")) this.#review()
    this.#flush()
  }

  /** @param isGone - the file is no longer at its path and will not come back */
  #rotate(isGone: boolean): void {
    this.#step("rotate")
    this.#rotation = this.#sealAndEmpty(isGone)
  }

  async #sealAndEmpty(isGone: boolean): Promise<void> {
    try {
      const { bytes } = this.#writer.fill
      const name = await this.#writer.seal()
      const isInPlace = this.#writer.empty()
      this.#pace.emptied(isInPlace ? bytes : Number.POSITIVE_INFINITY, this.#clock.monotonic())
      if (name !== undefined) this.#writer.announceRotation(name, this.#clock.now())
      if (!isInPlace) this.#survey()
      this.#alerts.clear("sync")
      this.#alerts.clear("rotate")
      this.#step("resume")
    } catch (error) {
      this.#refuseRotation(error, isGone)
    }
    this.#flush()
    await this.#retention.run()
  }

  #refuseRotation(error: unknown, isGone: boolean): void {
    const problem = asFileProblem(error, this.#options.paths.segments)
    if (isGone) {
      // Somebody deleted the file, perhaps to make room: holding on to it would keep the disk full.
      this.#options.log?.(`the lines of the deleted inbox.jsonl could not be kept: ${problem.message}`)
      this.#writer.drop()
      this.#pace.emptied(Number.POSITIVE_INFINITY, this.#clock.monotonic())
      this.#step("resume")
      return
    }
    this.#alerts.raise("rotate", problem)
    this.#pace.postpone(this.#clock.monotonic())
    this.#step(this.#pace.mustRotate(this.#writer.fill) ? "fail" : "resume")
  }

  /** An fdatasync failed: what it lost cannot be asked for again, but a fresh copy can be made safe. */
  #distrust(error: Error): void {
    this.#alerts.raise("sync", asFileProblem(error, this.#options.paths.inbox))
    this.#pace.require()
    if (this.#is("writing")) this.#review()
  }

  /** Tells the owner when more lines come than the disk takes. */
  #weigh(): void {
    const held = this.#writer.heldBytes / this.#limits.heldBytes
    const unsafe = this.#writer.unsafeLines / this.#limits.unsafeLines
    this.#alerts.pressure(Math.max(held, unsafe))
  }

  #fail(error: unknown): void {
    this.#alerts.raise("write", asFileProblem(error, this.#options.paths.inbox))
    this.#step("fail")
  }

  #is(state: InboxState): boolean {
    return this.#state === state
  }

  #step(event: InboxEvent): void {
    this.#state = stepInbox(this.#state, event)
  }
}
