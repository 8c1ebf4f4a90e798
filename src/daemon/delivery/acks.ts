import { omitUndefined } from "../../base/plain.js"
import { RecentMap } from "../../base/recent-map.js"
import { formatJsonLine } from "../../base/visible-text.js"
import { questionText } from "../../identity/answer-signature.js"
import { agentIdOfDid } from "../../proposals/statement.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import type { ChatError } from "../../protocol/errors.js"
import { agentIdIn } from "../../protocol/names.js"
import { isQuestion } from "../../protocol/questions.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import { isVerb, proposalIdOf, type Verb } from "../../protocol/verbs.js"
import { AppendLog } from "../files/append-log.js"
import { FileProblems } from "../files/file-problems.js"
import type { OutboxFrame } from "../outbox/line.js"

/** One delivery stage that an outbox line reached: a line of acks.jsonl, without its undefined fields. */
export interface Ack {
  /** SHA-256 of the outbox line; absent where only the message is known. */
  readonly line_sha256?: string | undefined
  readonly id: string
  readonly msg_id?: string | undefined
  readonly state: string
  /** Milliseconds since the Unix epoch. */
  readonly ts: number
  /** Agent id of the recipient that reached the stage. */
  readonly by?: string
  readonly evidence?: Evidence | undefined
}

/** The facts of an answer that acks.jsonl keeps, named as in the protocol. */
export type Evidence = Readonly<Record<string, unknown>>

const rotateBytes = 8 * 1024 * 1024
/** More stages than a crash can repeat: the relay acknowledges each line that is sent again. */
const rememberedStages = 2048
const recallBytes = 1024 * 1024
const readBytes = 2 * 1024 * 1024

/** acks.jsonl: each stage of each line once, even over a crash. Keeps acks that the disk refuses and writes them later. */
export class AckLog {
  readonly #log: AppendLog
  readonly #problems: FileProblems
  readonly #saveState: () => boolean
  #remembered: RecentMap<true> | undefined
  /** SHA-256 of the lines of accepted messages, by id. */
  readonly #accepted = new RecentMap<string>(rememberedStages)
  #unwritten: Ack[] = []
  readonly #onWritten: (() => void)[] = []
  #isScheduled = false

  /**
   * @param onProblem - receives the reason why acks cannot be written, and undefined once they can
   * @param saveState - saves what the acks say of the daemon's state, such as its channels; false if that failed. The
   *   acks wait, because after a crash they must be true
   */
  constructor(
    path: string,
    onProblem: (problem: ChatError | undefined) => void = () => {},
    saveState: () => boolean = () => true,
  ) {
    this.#saveState = saveState
    this.#log = new AppendLog(path, { path: path.replace(/\.jsonl$/, ".1.jsonl"), atBytes: rotateBytes })
    this.#problems = new FileProblems(onProblem)
  }

  /** Adds a stage unless it is in the file. Acks of one callback are written together at its end. */
  append(ack: Ack): void {
    this.#unwritten.push(ack)
    this.#noteAccepted(ack)
    this.#schedule()
  }

  /** Calls `then` once the acks that were added so far are in the file, at the end of this callback or later. */
  afterWrite(then: () => void): void {
    this.#onWritten.push(then)
    this.#schedule()
  }

  #schedule(): void {
    if (this.#isScheduled) return
    this.#isScheduled = true
    queueMicrotask(() => {
      this.#isScheduled = false
      this.flush()
    })
  }

  /** Writes the waiting acks. The next {@link append} and the host's sweep repeat a failed write. */
  flush(): void {
    if (this.#unwritten.length > 0 && this.#saveState()) this.#write()
    if (this.#unwritten.length === 0) for (const then of this.#onWritten.splice(0)) then()
  }

  #write(): void {
    this.#problems.attempt("acks.jsonl", "written", () => {
      const remembered = (this.#remembered ??= this.#recall())
      const fresh = new Map<string, Ack>()
      for (const ack of this.#unwritten) {
        const stage = stageKey(ack)
        if (remembered.get(stage) === undefined) fresh.set(stage, ack)
      }
      let lines = ""
      for (const ack of fresh.values()) lines += `${formatJsonLine(ack)}\n`
      if (lines !== "") this.#log.append(lines)
      this.#unwritten = []
      for (const stage of fresh.keys()) remembered.set(stage, true)
    })
  }

  /** Returns the SHA-256 of the line that was accepted as the message `id`; undefined if none of the newest was. */
  lineOf(id: string): string | undefined {
    this.#remember()
    return this.#accepted.get(id)
  }

  /** Reports whether the file says that a line was accepted: it is sent again after a crash. */
  wasAccepted({ id, sha256 }: { readonly id: string; readonly sha256: string }): boolean {
    const stage = stageKey({ id, state: "accepted", line_sha256: sha256, ts: 0 })
    return this.#remember()?.get(stage) !== undefined
  }

  #remember(): RecentMap<true> | undefined {
    this.#problems.attempt("acks.jsonl", "read", () => {
      this.#remembered ??= this.#recall()
    })
    return this.#remembered
  }

  /** Returns the newest acks on disk, oldest first; none when the file cannot be read. */
  readAll(): Ack[] {
    this.flush()
    let lines: string[] = []
    this.#problems.attempt("acks.jsonl", "read", () => {
      lines = this.#log.readNewest(readBytes)
    })
    return lines.flatMap(parseAck)
  }

  #recall(): RecentMap<true> {
    const remembered = new RecentMap<true>(rememberedStages)
    const newest = this.#log.readNewest(recallBytes).slice(-rememberedStages)
    for (const ack of newest.flatMap(parseAck)) {
      remembered.set(stageKey(ack), true)
      this.#noteAccepted(ack)
    }
    return remembered
  }

  #noteAccepted({ id, state, msg_id: msgId, line_sha256: sha256 }: Ack): void {
    if (state === "accepted" && msgId !== undefined && sha256 !== undefined) this.#accepted.set(id, sha256)
  }
}

/** Identifies a stage of a line. Two lines may have the same id, chosen by their writer; their hashes differ. */
function stageKey(ack: Ack): string {
  return `${ack.id} ${ack.state} ${ack.by ?? ""} ${ack.line_sha256?.slice(0, 12) ?? ""}`
}

/** Parses a line of the file, which a user may have edited; none when it is not an object. */
function parseAck(line: string): Ack[] {
  try {
    const value: unknown = JSON.parse(line)
    return typeof value === "object" && value !== null ? [value as Ack] : []
  } catch {
    return []
  }
}

/** Answers that are kept whole. */
const reports: ReadonlySet<ServerMessage["type"]> = new Set([
  ...(["PENDING", "GUARDS", "AUDIT", "GRANTS", "CLAIMS", "FORECAST", "MESSAGES"] as const),
])

/**
 * Selects the facts of a relay's answer to a line that acks.jsonl keeps.
 * @returns undefined when the answer only says that the relay took the line
 */
export function evidenceOf(answer: ServerMessage, frame: OutboxFrame): Evidence | undefined {
  if (isVerb(answer.type)) return evidenceOfStatement(answer as ServerMessage<Verb>)
  if (reports.has(answer.type)) {
    const { type: _type, re: _re, ...evidence } = { re: undefined, ...answer }
    return evidence
  }
  switch (answer.type) {
    case "ACK":
      return evidenceOfAck(answer, frame)
    case "CHANNELS":
      return omitUndefined({ list: answer.list, defaults: answer.defaults })
    case "AGENTS":
      return { list: answer.list, roster: answer.roster }
    case "JOINED": {
      const { count, seq, durable, in_memory, settings } = answer
      return omitUndefined({ count, seq, durable, in_memory, settings })
    }
    case "TASK": {
      const { type: _type, re: _re, ts: _ts, ...evidence } = answer
      return evidence
    }
    default:
      return undefined
  }
}

/**
 * Resolves the recipient of an accepted message: the `#channel`, the `+role`, or the agent id behind `@name`.
 * @returns undefined when the relay did not say which agent has the name
 */
export function recipientOf(to: string, { to: resolved }: ServerMessage<"ACK">): string | undefined {
  if (!to.startsWith("@")) return to
  return resolved ?? agentIdIn(to)
}

function evidenceOfStatement(statement: ServerMessage<Verb>): Evidence {
  const proposalId = proposalIdOf(statement)
  return { proposal_id: proposalId, state: statement.state, to: agentIdOfDid(statement.to) }
}

function evidenceOfAck(answer: ServerMessage<"ACK">, frame: OutboxFrame): Evidence | undefined {
  if (frame.type === "MODERATE") return { done: answer.state === "done" }
  const { seq, recipients, target, released } = answer
  if (released !== undefined) return { released }
  const to = frame.type === "MSG" && !frame.to.startsWith("#") ? recipientOf(frame.to, answer) : undefined
  if (seq === undefined && recipients === undefined && to === undefined) return undefined
  const question = frame.type === "MSG" ? questionIn(frame) : undefined
  return { seq, recipients, to, ...omitUndefined({ target, question }) }
}

/** Returns the text of a question whose answer is signed; undefined for any other message. */
export function questionIn(message: ClientMessage<"MSG">): string | undefined {
  const { to } = message
  if (!to.startsWith("+") || !isQuestion(message, to.slice(1))) return undefined
  return questionText({ ...message, role: to.slice(1) })
}
