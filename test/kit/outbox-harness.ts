import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { join } from "node:path"
import { onTestFinished } from "vitest"
import type { Clock } from "../../src/base/clock.js"
import { type DaemonPaths, rootPaths } from "../../src/daemon/files/paths.js"
import type { OutboxLimits } from "../../src/daemon/outbox/limits.js"
import { Outbox, type OutboxLine, type Rejection } from "../../src/daemon/outbox/outbox.js"
import type { ChatError } from "../../src/protocol/errors.js"
import { parseInstanceName } from "../../src/protocol/names.js"
import { FakeClock } from "./fake-clock.js"
import { temporaryDirectory } from "./temporary.js"

/** An entry of rejected.jsonl. */
export interface RejectedEntry {
  readonly id: string
  readonly at: string
  readonly line_sha256: string
  readonly line?: string
  readonly file?: string
  readonly code: string
  readonly reason: string
  readonly hint?: string
}

/** A daemon's directory, and the outboxes opened in it one after the other. */
export class OutboxHarness {
  readonly paths: DaemonPaths
  readonly clock = new FakeClock(Date.now())
  readonly limits: Partial<OutboxLimits>
  /** All calls of onProblem, in order. */
  readonly problems: (ChatError | undefined)[] = []
  /** All calls of reject, in order. */
  readonly rejected: Rejection[] = []
  /** Number of onLines calls. */
  calls = 0
  /** Called on each of them. */
  onLines: () => void = () => {}
  readonly #clock: Clock
  #outbox: Outbox | undefined

  constructor(options: { limits?: Partial<OutboxLimits>; root?: string; clock?: Clock } = {}) {
    this.paths = rootPaths(options.root ?? temporaryDirectory()).instance(parseInstanceName("default"))
    this.limits = options.limits ?? {}
    this.#clock = options.clock ?? this.clock
    mkdirSync(this.paths.dir, { recursive: true })
    onTestFinished(() => this.#outbox?.close())
  }

  /** The open outbox; opened on first use. */
  get outbox(): Outbox {
    this.#outbox ??= new Outbox({
      paths: this.paths,
      clock: this.#clock,
      limits: this.limits,
      onProblem: (problem) => this.problems.push(problem),
      onLines: () => {
        this.calls++
        this.onLines()
      },
      reject: (line) => this.rejected.push(line),
    })
    return this.#outbox
  }

  /** Closes the open outbox; the next one starts like a new process. */
  close(): void {
    this.#outbox?.close()
    this.#outbox = undefined
  }

  /** Abandons the open outbox like `kill -9`: nothing more is saved. */
  crash(): void {
    const cursor = existsSync(this.paths.outboxCursor) ? readFileSync(this.paths.outboxCursor) : undefined
    this.close()
    if (cursor === undefined) rmSync(this.paths.outboxCursor, { force: true })
    else writeFileSync(this.paths.outboxCursor, cursor)
  }

  /** Advances by `ms`, then sweeps as the host does once a second. */
  sweep(ms = 1_000): void {
    const { outbox } = this
    this.clock.advance(ms)
    outbox.sweep()
  }

  append(text: string | Buffer, path = this.paths.outbox): void {
    appendFileSync(path, text)
  }

  /** Renames a file into outbox.d. */
  drop(name: string, text: string | Buffer): void {
    const unready = join(this.paths.dir, `${name}.unready`)
    writeFileSync(unready, text)
    renameSync(unready, join(this.paths.outboxDrop, name))
  }

  /** Appends messages of these contents. */
  say(...contents: string[]): void {
    this.append(contents.map((content) => `${message(content)}\n`).join(""))
  }

  /** Sweeps, and takes all lines. */
  take(max = Number.POSITIVE_INFINITY): OutboxLine[] {
    this.sweep(0)
    return this.outbox.take(max)
  }

  /** Sweeps, takes and settles all lines. */
  settle(): OutboxLine[] {
    const lines = this.take()
    for (const line of lines) line.settle()
    return lines
  }

  /** Waits until a file put into outbox.d is noticed without a sweep. */
  async isWatching(): Promise<void> {
    const { outbox } = this
    for (let i = 0; outbox.take(1).length === 0; i++) {
      if (i % 10 === 0) this.drop(`probe-${i}.json`, message("probe"))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await new Promise((resolve) => setImmediate(resolve))
    this.settle()
  }

  /** Waits until every process has been checked, one per sweep. */
  async lookedForHolders(): Promise<void> {
    const turns = readdirSync("/proc").length
    for (let i = 0; i < turns; i++) await new Promise((resolve) => setImmediate(resolve))
  }

  /** Files in outbox.taken. */
  get taken(): string[] {
    return readdirSync(this.paths.outboxTaken).sort()
  }

  get size(): number {
    return statSync(this.paths.outbox).size
  }

  get entries(): RejectedEntry[] {
    if (!existsSync(this.paths.rejected)) return []
    return this.lines(this.paths.rejected).map((line) => JSON.parse(line) as RejectedEntry)
  }

  /** Returns the lines of a file; text after the last newline comes last. */
  lines(path: string): string[] {
    return readFileSync(path, "utf8")
      .split("\n")
      .filter((line) => line !== "")
  }

  /** Reads the file that an entry names. */
  kept({ file }: RejectedEntry): Buffer {
    return readFileSync(join(this.paths.dir, file ?? ""))
  }
}

/** Returns a line without its newline. */
export function message(content: string, more: Readonly<Record<string, unknown>> = {}): string {
  return JSON.stringify({ to: "#general", content, ...more })
}

/** Returns the texts of lines. */
export function contents(lines: readonly OutboxLine[]): string[] {
  return lines.map(({ frame }) => (frame.type === "MSG" ? frame.content : frame.type))
}
