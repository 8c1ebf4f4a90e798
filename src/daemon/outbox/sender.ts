import type { Clock, Timer } from "../../base/clock.js"
import type { Connection } from "../../client/connection.js"
import { errorOfMessage } from "../../client/relay-error.js"
import { ChatError, type ErrorCode } from "../../protocol/errors.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Draft } from "../../protocol/statements.js"
import { isVerb, type Verb } from "../../protocol/verbs.js"
import type { Signed } from "../deals/deal-signer.js"
import type { AckLog } from "../delivery/acks.js"
import { evidenceOf } from "../delivery/answer-evidence.js"
import { isDraft, type OutboxFrame } from "./line.js"
import type { Outbox, OutboxLine } from "./outbox.js"
import { RatePacer } from "./rate-pacer.js"
import { SendOrder } from "./send-order.js"

/** Lines sent and not yet answered. Bounds what a crash makes us send again. */
const windowLines = 256
/** Bytes handed to the socket and not yet gone, above which no more are added. */
const windowBytes = 1024 * 1024
/** How long others may still be on their way to a relay that forgot everybody: as long as it was away, and this. */
const returnMs = 5_000
/** Nobody waits longer than that between two tries. */
const longestReturnMs = 60_000
const againMs = 1_000
/** Times a draft is signed anew because the other party was faster: each of them can say only so much in a deal. */
const mostSignings = 8

/** What keeps a line from being taken, or a draft from being signed, only for now. */
const passing: ReadonlySet<ErrorCode> = new Set([
  "RATE_LIMITED",
  "SHUTTING_DOWN",
  "UNAVAILABLE",
  "UNREACHABLE",
  "TIMEOUT",
  "FILE_FAILED",
])

/** Where lines come from. */
type LineSource = Pick<Outbox, "take" | "release" | "rejectLine">
/** Where they go. */
type Session = Pick<Connection, "welcome" | "bufferedBytes" | "send">

/** What the daemon does beside with an answered line. */
export interface PumpEvents {
  /** The relay carried a line out. */
  onAnswered(line: OutboxLine, answer: ServerMessage): void
  /** The relay refused a line for good; it stands in rejected.jsonl already. */
  onRejected(line: OutboxLine, error: ChatError): void
  /** The relay cannot take lines now; they stay and are tried again. Undefined once it takes one. */
  onHindered(error: ChatError | undefined): void
  /** Makes a statement of a draft. @throws {ChatError} as the relay would refuse it, or because it cannot be signed now */
  sign(draft: Draft, key: string): Promise<Signed>
  /** Whether a message may go out, waits, or is refused by the daemon's own guard. */
  guard(line: OutboxLine): "go" | "wait" | ChatError
  /** The other party of a deal said something first: the next answer is to follow from that. */
  onStale(proposalId: string): void
}

/** A line on its way, and the id by which its answer is known. */
interface Sent {
  readonly line: OutboxLine
  readonly wireId: string
}

/** Sends outbox lines in order at the pace the relay allows, and settles each once it is answered. */
export class OutboxSender {
  readonly #outbox: LineSource
  readonly #acks: Pick<AckLog, "append">
  readonly #clock: Clock
  readonly #events: PumpEvents
  readonly #turns: SendOrder
  /** Sent, not yet answered, in the order they were sent. Two may bear one id: their writer's choice. */
  readonly #inFlight: Sent[] = []
  /** A draft from when it is to be signed until it is answered: the next one may follow from it. */
  #draft: OutboxLine | undefined
  #isSigning = false
  /** How often the relay found an answer stale, by the place of its line. */
  readonly #stale = new Map<string, number>()
  #connection: Session | undefined
  /** Kept over lost sessions: the relay remembers as well what was said. */
  #pace: RatePacer | undefined
  #timer: Timer | undefined
  #isHindered = false
  #serverId: string | undefined
  #lostMs = 0
  #gatheringUntilMs = 0

  constructor(outbox: LineSource, acks: Pick<AckLog, "append">, clock: Clock, events: PumpEvents) {
    this.#outbox = outbox
    this.#acks = acks
    this.#clock = clock
    this.#events = events
    this.#turns = new SendOrder(outbox, (line) => events.guard(line) === "wait")
  }

  /** A session is ready for lines. */
  attach(connection: Session): void {
    const { server_id, limits } = connection.welcome
    const nowMs = this.#clock.monotonic()
    if (this.#serverId !== undefined && this.#serverId !== server_id) {
      this.#gatheringUntilMs = nowMs + Math.min(nowMs - this.#lostMs, longestReturnMs) + returnMs
    }
    if (this.#serverId !== server_id || this.#pace?.isOf(limits) !== true) this.#pace = new RatePacer(limits)
    this.#serverId = server_id
    this.#connection = connection
    this.pump()
  }

  /** The session is gone: whatever was not answered will be sent again, with the same ids. */
  detach(): void {
    if (this.#connection !== undefined) this.#lostMs = this.#clock.monotonic()
    this.#connection = undefined
    this.#clearHindrance()
    this.#timer?.cancel()
    this.#timer = undefined
    this.#inFlight.length = 0
    this.#turns.clear()
    this.#draft = undefined
    this.#isSigning = false
    this.#outbox.release()
  }

  /** Sends what may be sent now. */
  pump(): void {
    const connection = this.#connection
    if (connection === undefined || this.#isWaiting) return
    while (this.#inFlight.length < windowLines && connection.bufferedBytes < windowBytes) {
      const line = this.#turns.next()
      if (line === undefined) return
      if (this.#isKept(line)) continue
      if (this.#draft !== undefined && isDraft(line.frame)) {
        this.#turns.hold(line)
        return
      }
      const waitMs = this.#paceMs(line)
      if (waitMs > 0) {
        this.#turns.hold(line)
        this.#pause(waitMs)
        return
      }
      if (isDraft(line.frame)) {
        void this.#sign(line, line.frame, connection)
        return
      }
      this.#inFlight.push({ line, wireId: line.id })
      connection.send({ ...line.frame, id: line.id })
    }
  }

  get #isWaiting(): boolean {
    return this.#timer !== undefined || this.#isSigning || this.#turns.isUndecided
  }

  /** What comes after it waits: lines go out in order. */
  async #sign(line: OutboxLine, draft: Draft, connection: Session): Promise<void> {
    this.#draft = line
    this.#isSigning = true
    const outcome = await this.#events.sign(draft, line.id).catch((error: unknown) => {
      if (error instanceof ChatError) return error
      throw error
    })
    // Of another session by now: the line was released, and is taken again.
    if (this.#connection !== connection) return
    this.#isSigning = false
    if (outcome instanceof ChatError) this.#turnDown(line, outcome)
    else if (outcome.isSaid) this.#accept(line, answerOf(outcome))
    else {
      const { statement } = outcome
      if (isPaced(draft)) this.#pace?.add(draft, statement, this.#clock.monotonic())
      this.#inFlight.push({ line, wireId: statement.id })
      connection.send(statement)
    }
    this.pump()
  }

  /** Whether the daemon's own guard keeps the line from going out. */
  #isKept(line: OutboxLine): boolean {
    if (line.frame.type !== "MSG") return false
    const verdict = this.#events.guard(line)
    if (verdict === "wait") this.#turns.wait(line)
    else if (verdict !== "go") this.#turnDown(line, verdict)
    return verdict !== "go"
  }

  /**
   * Takes an answer that belongs to a line.
   * @returns whether it did
   */
  answer(message: ServerMessage): boolean {
    const re = "re" in message ? message.re : undefined
    // Answers come in order, so this finds the first.
    const index = re === undefined ? -1 : this.#inFlight.findIndex(({ wireId }) => wireId === re)
    const line = this.#inFlight.splice(index, index < 0 ? 0 : 1)[0]?.line
    if (line === undefined) return false
    this.#turns.answered(line)
    if (message.type === "ERROR") this.#turnDown(line, errorOfMessage(message))
    else if (isDraft(line.frame) !== isVerb(message.type)) this.#turnDown(line, wrongAnswer(message))
    else this.#accept(line, message)
    this.pump()
    return true
  }

  #accept(line: OutboxLine, message: ServerMessage): void {
    const ts = "ts" in message ? message.ts : this.#clock.now()
    const msgId = "msg_id" in message ? message.msg_id : undefined
    const evidence = evidenceOf(message, line.frame)
    this.#clearHindrance()
    this.#forget(line)
    this.#acks.append({
      line_sha256: line.sha256,
      id: line.id,
      ...(msgId === undefined ? {} : { msg_id: msgId }),
      state: "accepted",
      ts,
      ...(evidence === undefined ? {} : { evidence }),
    })
    this.#events.onAnswered(line, message)
    line.settle()
  }

  #turnDown(line: OutboxLine, error: ChatError): void {
    if (this.#isPassing(error.code) || this.#isStale(line, error.code)) {
      if (error.code === "UNAVAILABLE" || error.code === "AGENT_NOT_FOUND") this.#hinder(error)
      if (this.#draft === line) this.#draft = undefined
      const onTheirWay = this.#inFlight.map((sent) => sent.line)
      this.#turns.repeat(line, onTheirWay)
      this.#pause(error.retryAfterMs ?? againMs)
      return
    }
    this.#clearHindrance()
    this.#forget(line)
    this.#outbox.rejectLine(line, error)
    this.#events.onRejected(line, error)
  }

  #forget(line: OutboxLine): void {
    if (this.#draft === line) this.#draft = undefined
    this.#stale.delete(line.at)
  }

  /** Whether the line is to be signed anew, after what the other party said first. */
  #isStale({ at, frame }: OutboxLine, code: ErrorCode): boolean {
    if (code !== "STATEMENT_STALE" || !("proposal_id" in frame)) return false
    const times = (this.#stale.get(at) ?? 0) + 1
    this.#stale.set(at, times)
    this.#events.onStale(frame.proposal_id)
    return times < mostSignings
  }

  /** Whether the same line may be taken later. */
  #isPassing(code: ErrorCode): boolean {
    // A relay that began anew knows only who came back before us: whom we wrote to may come right after.
    if (code === "AGENT_NOT_FOUND") return this.#clock.monotonic() < this.#gatheringUntilMs
    return passing.has(code)
  }

  #hinder(error: ChatError): void {
    this.#isHindered = true
    this.#events.onHindered(error)
  }

  #clearHindrance(): void {
    if (!this.#isHindered) return
    this.#isHindered = false
    this.#events.onHindered(undefined)
  }

  #paceMs({ frame, id }: OutboxLine): number {
    if (!isPaced(frame)) return 0
    return this.#pace?.waitMs({ ...frame, id }, this.#clock.monotonic()) ?? 0
  }

  #pause(ms: number): void {
    this.#timer?.cancel()
    this.#timer = this.#clock.setTimer(() => {
      this.#timer = undefined
      this.pump()
    }, ms)
  }
}

/** Whether it counts against the relay's rate. */
function isPaced({ type }: OutboxFrame): boolean {
  return type === "MSG" || type === "PROPOSAL"
}

/** Only a statement proves that a relay has it; and it is the answer to nothing else. */
function wrongAnswer({ type }: ServerMessage): ChatError {
  return new ChatError(
    "VERIFICATION_FAILED",
    `server: answered with ${type}, which answers nothing like this`,
  )
}

/** What a relay says of a statement that it has. */
function answerOf({ statement, state, msgId }: Signed): ServerMessage<Verb> {
  return { ...statement, msg_id: msgId, name: "", state }
}
