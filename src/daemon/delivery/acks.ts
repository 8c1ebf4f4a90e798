import { formatJsonLine } from "../../base/visible-text.js"
import type { ChatError } from "../../protocol/errors.js"
import { LineLog } from "../files/line-log.js"
import { OutboxProblems } from "../outbox/problems.js"

/** One rung of the delivery ladder that a line reached. */
export interface Ack {
  /** Of the outbox line; absent where only the message is known. */
  readonly line_sha256?: string
  readonly id: string
  readonly msg_id?: string
  readonly state: string
  /** Milliseconds since the Unix epoch. */
  readonly ts: number
  /** Agent id of who says so. */
  readonly by?: string
  readonly evidence?: Readonly<Record<string, unknown>>
}

const rotateBytes = 8 * 1024 * 1024
/** More than a crash can make us hear again: the relay repeats what it said of the lines that are sent again. */
const rememberedRungs = 2048
const recallBytes = 1024 * 1024
const readBytes = 2 * 1024 * 1024

/** acks.jsonl: each rung of each line once, also over crashes. What the disk refuses is kept and tried again. */
export class AckLog {
  readonly #log: LineLog
  readonly #problems: OutboxProblems
  #remembered: Set<string> | undefined
  #waiting: Ack[] = []
  #isScheduled = false

  /** @param onProblem - told when acks cannot be written, and with undefined when they can again */
  static open(path: string, onProblem: (problem: ChatError | undefined) => void = () => {}): AckLog {
    return new AckLog(path, onProblem)
  }

  private constructor(path: string, onProblem: (problem: ChatError | undefined) => void) {
    this.#log = new LineLog(path, { path: path.replace(/\.jsonl$/, ".1.jsonl"), atBytes: rotateBytes })
    this.#problems = new OutboxProblems(onProblem)
  }

  /** Adds a rung unless it stands there. All of one turn are written at its end, before any timer runs. */
  append(ack: Ack): void {
    this.#waiting.push(ack)
    if (this.#isScheduled) return
    this.#isScheduled = true
    queueMicrotask(() => {
      this.#isScheduled = false
      this.flush()
    })
  }

  /** Writes what waits. The next {@link append} and the host's sweep try again what failed. */
  flush(): void {
    if (this.#waiting.length === 0) return
    this.#problems.attempt("acks.jsonl", "written", () => {
      this.#remembered ??= this.#recall()
      const fresh = new Map<string, Ack>()
      for (const ack of this.#waiting) {
        const rung = nameRung(ack)
        if (!this.#remembered.has(rung)) fresh.set(rung, ack)
      }
      if (fresh.size > 0) this.#log.append(Array.from(fresh.values(), formatLine).join(""))
      this.#waiting = []
      this.#remember(fresh.keys())
    })
  }

  /** The newest rungs that are on the disk, oldest first; none when it cannot be read. */
  readAll(): Ack[] {
    this.flush()
    let lines: string[] = []
    this.#problems.attempt("acks.jsonl", "read", () => {
      lines = this.#log.readNewest(readBytes)
    })
    return lines.flatMap(parseAck)
  }

  #recall(): Set<string> {
    const lines = this.#log.readNewest(recallBytes).slice(-rememberedRungs)
    return new Set(lines.flatMap(readRung))
  }

  #remember(rungs: Iterable<string>): void {
    if (this.#remembered === undefined) return
    for (const rung of rungs) this.#remembered.add(rung)
    for (const rung of this.#remembered) {
      if (this.#remembered.size <= rememberedRungs) return
      this.#remembered.delete(rung)
    }
  }
}

function formatLine(ack: Ack): string {
  return `${formatJsonLine(ack)}\n`
}

/** Two lines may bear one id, their writer's choice; each is told what became of it. */
function nameRung(ack: Ack): string {
  return `${ack.id} ${ack.state} ${ack.by ?? ""} ${ack.line_sha256?.slice(0, 12) ?? ""}`
}

/** The rung of a line of the file. */
function readRung(line: string): string[] {
  return parseAck(line).map(nameRung)
}

/** A line of the file, which a user may have edited; none when it is no object. */
function parseAck(line: string): Ack[] {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === "object" && value !== null ? [value as Ack] : []
  } catch {
    return []
  }
}
