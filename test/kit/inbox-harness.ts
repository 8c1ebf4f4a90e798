import { existsSync, mkdirSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { onTestFinished } from "vitest"
import { systemClock } from "../../src/base/clock.js"
import { type DaemonPaths, rootPaths } from "../../src/daemon/files/paths.js"
import { Inbox } from "../../src/daemon/inbox/inbox.js"
import type { InboxLimits } from "../../src/daemon/inbox/limits.js"
import type { ChatError } from "../../src/protocol/errors.js"
import { parseInstanceName } from "../../src/protocol/names.js"
import { temporaryDirectory } from "./temporary.js"

/** An inbox line. */
export interface SeenLine {
  readonly seq: number
  readonly type: string
  readonly n?: number
  readonly segment?: string
}

/** A daemon's directory with an inbox that a test opens, closes and inspects. */
export class InboxHarness {
  readonly paths: DaemonPaths
  readonly durable: string[] = []
  readonly marks: unknown[] = []
  readonly problems: (ChatError | undefined)[] = []
  readonly pressure: boolean[] = []
  readonly log: string[] = []
  #sent = 0

  constructor(root = temporaryDirectory()) {
    this.paths = rootPaths(root).instance(parseInstanceName("a"))
    mkdirSync(this.paths.dir, { recursive: true, mode: 0o700 })
  }

  /** Opens the inbox; it is closed when the test ends. */
  open(limits: Partial<InboxLimits> = {}): Inbox {
    const inbox = Inbox.open({
      paths: this.paths,
      clock: systemClock,
      limits,
      onDurable: ({ msgIds, marks }) => {
        this.durable.push(...msgIds)
        this.marks.push(...marks)
      },
      onProblem: (problem) => this.problems.push(problem),
      onPressure: (full) => this.pressure.push(full),
      log: (line) => this.log.push(line),
    })
    onTestFinished(() => inbox.close())
    return inbox
  }

  /** Appends `count` further messages, numbered `n` from 1 on, with the id `x.n`. */
  send(inbox: Inbox, count: number, content = "hello"): void {
    for (let i = 0; i < count; i++) {
      const n = ++this.#sent
      inbox.append({ type: "MSG", n, content, msg_id: `x.${n}` }, { msgId: `x.${n}`, mark: n })
    }
  }

  /** Text of inbox.jsonl, "" when there is none. */
  get text(): string {
    return existsSync(this.paths.inbox) ? readFileSync(this.paths.inbox, "utf8") : ""
  }

  /** Returns what `ls inbox` shows. */
  get segments(): string[] {
    const names = existsSync(this.paths.segments) ? readdirSync(this.paths.segments) : []
    return names.filter((name) => !name.startsWith(".")).sort()
  }

  /** Returns what `cat inbox/*.jsonl inbox.jsonl` shows. */
  get lines(): SeenLine[] {
    const sealed = this.segments.map((name) => readFileSync(join(this.paths.segments, name), "utf8"))
    return parseLines(sealed.join("") + this.text)
  }

  /** The messages among {@link lines}, by their number. */
  get messages(): number[] {
    return this.lines.flatMap(({ n }) => (n === undefined ? [] : [n]))
  }
}

/** Splits a text whose lines must all be complete. */
export function parseLines(text: string): SeenLine[] {
  if (text !== "" && !text.endsWith("\n")) throw new Error(`a partial line: ${text.slice(-80)}`)
  return text
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as SeenLine)
}

/** The numbers `from` to `to`. */
export function range(from: number, to: number): number[] {
  return Array.from({ length: Math.max(0, to - from + 1) }, (_, index) => from + index)
}
