import type { Clock, Timer } from "../../base/clock.js"
import type { Span, Tracer } from "../../base/tracer.js"
import type { Connection } from "../../client/connection.js"
import type { SignedDraft } from "../../client/deals/deal-engine.js"
import { otherChannelError, strangerError, strangerIn } from "../../client/pending.js"
import { errorOfMessage } from "../../client/relay-error.js"
import { withProvenLeases } from "../../client/wake-leases.js"
import { isSuccessor } from "../../identity/succession.js"
import { keyOfLine } from "../../proposals/draft.js"
import { statementMessageId } from "../../proposals/statement.js"
import { type ClientMessage, isSpoken } from "../../protocol/client-messages.js"
import { ChatError, type ErrorCode } from "../../protocol/errors.js"
import { idUsed } from "../../protocol/message-id.js"
import { type AgentRef, agentIdIn, hintForOtherBearer } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Draft } from "../../protocol/statements.js"
import { isVerb, type Verb } from "../../protocol/verbs.js"
import { type AckLog, type Evidence, evidenceOf } from "../delivery/acks.js"
import type { AnswerEffects } from "../delivery/answer-effects.js"
import type { NamePins } from "../delivery/name-pins.js"
import type { CircuitBreaker } from "../guards/circuit-breaker.js"
import type { OutboxWait } from "./limits.js"
import { isDraft, type OutboxFrame } from "./line.js"
import type { Outbox, OutboxLine } from "./outbox.js"
import { RatePacer } from "./rate-pacer.js"
import { SendOrder } from "./send-order.js"

/** Lines sent and not yet answered. Bounds what is sent again after a crash. */
const windowLines = 256
/** Bytes waiting in the socket above which nothing is added. */
const windowBytes = 1024 * 1024
/** After a restart of the relay, its clients return within the time it was away plus this many milliseconds. */
const returnMs = 5_000
/** No client waits longer than this between two connection attempts. */
const maxAwayMs = 60_000
const retryMs = 1_000
/** A line is not sent again sooner, whatever the relay says. */
const leastRetryMs = 20
/** A longer pause is a problem that the status shows. */
const longPauseMs = 60_000
/** Attempts to sign a draft while the other party is faster; more than a deal has statements. */
const maxSignings = 8

/** Errors that keep a line from being accepted, or a draft from being signed, only for a while. */
const temporary: ReadonlySet<ErrorCode> = new Set([
  "RATE_LIMITED",
  "SHUTTING_DOWN",
  "UNAVAILABLE",
  "UNREACHABLE",
  "TIMEOUT",
  "FILE_FAILED",
])

type Session = Pick<Connection, "welcome" | "bufferedBytes" | "send">

/** Signs messages, the statements of deals, claims, and answers. */
interface StatementSigner {
  /** Signs a claim for the relay of this session, as of now. */
  signClaim(frame: ClientMessage<"CLAIM_PATHS">): ClientMessage<"CLAIM_PATHS">
  /** Signs the answer to a task for the relay of this session, if it needs that. */
  signAnswer(frame: ClientMessage<"DONE">): ClientMessage<"DONE">
  /** Signs a message, or the one that an answer becomes, for the relay of this session, as of now. */
  signMessage<F extends ClientMessage<"MSG"> | ClientMessage<"DONE">>(frame: F): F
  /** Signs a draft. @throws {ChatError} the relay's refusal, or why it cannot be signed now */
  sign(draft: Draft, key: string): Promise<SignedDraft>
  /** Records that the relay has an unknown statement of the other party, from which the next draft must follow. */
  markStale(proposalId: string): void
}

/** The parts of a daemon that a sender uses. */
export interface SenderOptions {
  readonly outbox: Pick<Outbox, "take" | "takeOvertaking" | "release" | "rejectLine" | "pending">
  readonly clock: Clock
  readonly acks: Pick<AckLog, "append" | "lineOf" | "wasAccepted">
  /** The effects of an answer on the rest of the daemon. */
  readonly effects: Pick<AnswerEffects, "accepted" | "rejected">
  readonly breaker: Pick<CircuitBreaker, "verdict">
  readonly names: Pick<NamePins, "attach" | "idOf" | "accepted" | "refused">
  readonly signer: StatementSigner
  /** Asks people before a deal is accepted. */
  readonly approvals: { gate(draft: Draft): Evidence | undefined }
  readonly tracer: Pick<Tracer, "start">
  /** Receives the reason why the relay takes no lines now, and undefined once it takes one. */
  onUnavailable(reason: ChatError | undefined): void
}

/** Sends outbox lines in order at the rate the relay allows, and settles each once it is answered. */
export class OutboxSender {
  readonly #options: SenderOptions
  readonly #clock: Clock
  readonly #order: SendOrder
  /** Lines that were sent, in that order, by the id of their frame, which the answer repeats. */
  readonly #inFlight = new Map<string, OutboxLine>()
  /** Spans of messages that wait for their answers, by the ids of their lines. */
  readonly #spans = new Map<string, Span>()
  /** A draft from when it is signed until it is answered: the next draft may follow from it. */
  #draft: OutboxLine | undefined
  #isSigning = false
  /** Number of times the relay refused a draft as stale, by the place of its line. */
  readonly #staleRefusals = new Map<string, number>()
  #connection: Session | undefined
  /** Kept over lost sessions, as the relay keeps its count. */
  #pacer: RatePacer | undefined
  #timer: Timer | undefined
  /** Set while there is a timer. */
  #pauseReason: OutboxWait | undefined
  #isUnavailable = false
  #serverId: string | undefined
  #lostMs = -Infinity
  /** Monotonic time until which an unknown recipient may still reconnect to a restarted relay. */
  #returnUntilMs = 0

  constructor(options: SenderOptions) {
    this.#options = options
    this.#clock = options.clock
    const { outbox, breaker } = options
    this.#order = new SendOrder(
      outbox,
      ({ frame }) => frame.type === "MSG" && breaker.verdict(frame) === "wait",
    )
  }

  /** Starts sending in a session. */
  attach(connection: Session): void {
    const { server_id, limits } = connection.welcome
    const nowMs = this.#clock.monotonic()
    // Lines from before this process may be from before a reboot of the relay.
    const mayBeNew =
      this.#serverId === undefined ? this.#options.outbox.pending > 0 : this.#serverId !== server_id
    if (mayBeNew) {
      this.#returnUntilMs = nowMs + Math.min(nowMs - this.#lostMs, maxAwayMs) + returnMs
    }
    const isSameCount = this.#serverId === server_id && this.#pacer?.matches(limits) === true
    if (!isSameCount) this.#pacer = new RatePacer(limits)
    this.#serverId = server_id
    this.#options.names.attach(server_id)
    this.#connection = connection
    this.send()
  }

  /** Stops sending: the session is over. Unanswered lines will be sent again, with the same ids. */
  detach(): void {
    if (this.#connection !== undefined) this.#lostMs = this.#clock.monotonic()
    this.#connection = undefined
    this.#setAvailable()
    this.#timer?.cancel()
    this.#timer = undefined
    this.#pauseReason = undefined
    for (const span of this.#spans.values()) span.end("lost")
    this.#spans.clear()
    this.#inFlight.clear()
    this.#order.clear()
    this.#draft = undefined
    this.#isSigning = false
    this.#options.outbox.release()
  }

  /** Sends all lines that may be sent now. Frames sent by one callback leave in one write. */
  send(): void {
    const connection = this.#connection
    if (connection === undefined) return
    while (!this.#isWaiting && this.#inFlight.size < windowLines && connection.bufferedBytes < windowBytes) {
      const line = this.#order.next()
      if (line === undefined || !this.#sendLine(line, connection)) break
    }
    if (!this.#isWaiting && !this.#order.isFull) return
    for (const line of this.#order.takeOvertaking()) this.#sendLine(line, connection)
  }

  /** Why the next message is not sent now; undefined if nothing keeps it. */
  get wait(): OutboxWait | undefined {
    if (this.#pauseReason !== undefined) return this.#pauseReason
    const { held } = this.#order
    if (held === 0) return undefined
    return { reason: "guard", message: `${held} held by the daemon's own breaker; see: agentchat guard` }
  }

  /**
   * Takes an answer of the relay.
   * @returns whether it answers a line
   */
  answer(message: ServerMessage): boolean {
    const re = "re" in message ? message.re : undefined
    const line = re === undefined ? undefined : this.#inFlight.get(re)
    if (re === undefined || line === undefined) return false
    this.#inFlight.delete(re)
    this.#order.answered(line)
    this.#endSpan(line, message.type === "ERROR" ? message.code : "accepted")
    if (message.type === "ERROR") this.#refuse(line, errorOfMessage(message))
    else {
      const problem = this.#problemOf(line, message)
      if (problem === undefined) this.#accept(line, this.#proven(message))
      else this.#refuse(line, problem)
    }
    this.send()
    return true
  }

  #proven(answer: ServerMessage): ServerMessage {
    return withProvenLeases(answer, this.#serverId ?? "", this.#clock.now())
  }

  /** Reports whether an answer with this `re` belongs to a line, which names `channel` if that is given. */
  awaits(re: string | undefined, channel?: string): boolean {
    const frame = re === undefined ? undefined : this.#inFlight.get(re)?.frame
    return frame !== undefined && (channel === undefined || ("channel" in frame && frame.channel === channel))
  }

  get #isWaiting(): boolean {
    return this.#timer !== undefined || this.#isSigning || this.#order.isUncertain
  }

  /** @returns whether the next line may be sent too */
  #sendLine(line: OutboxLine, connection: Session): boolean {
    if (this.#hasUsedId(line)) {
      this.#refuse(line, idUsed(line.id))
      return true
    }
    if (this.#isHeldByBreaker(line)) return true
    if (isDraft(line.frame) && this.#asksPeople(line, line.frame)) return true
    if (this.#inFlight.has(line.id) || (this.#draft !== undefined && isDraft(line.frame))) {
      this.#order.putBack(line)
      return false
    }
    const frame = this.#frameOf(line)
    const text = JSON.stringify(frame)
    const waitMs = this.#waitMs(line.frame, text)
    if (waitMs > 0) {
      this.#order.putBack(line)
      this.#pause(waitMs, "rate", "the relay's rate")
      return false
    }
    if (isDraft(line.frame)) {
      void this.#sign(line, line.frame, Buffer.byteLength(text), connection)
      return false
    }
    this.#inFlight.set(line.id, line)
    const traced = this.#traced(line, frame as Exclude<typeof frame, Draft>)
    connection.send(traced, traced === frame ? text : JSON.stringify(traced))
    return true
  }

  /** Begins a span for a message, which the relay continues. */
  #traced<Frame extends Exclude<OutboxFrame, Draft>>({ id }: OutboxLine, frame: Frame): Frame {
    if (frame.type !== "MSG") return frame
    const span = this.#options.tracer.start("agentchat.send", frame.trace, { "agentchat.kind": frame.kind })
    if (span.context === undefined) return frame
    this.#spans.set(id, span)
    return { ...frame, trace: span.context }
  }

  #endSpan({ id }: OutboxLine, outcome: string): void {
    this.#spans.get(id)?.end(outcome)
    this.#spans.delete(id)
  }

  /** Returns a line's frame with its id, and for a message to a name the agent that the name has meant so far. */
  #frameOf({ frame, id }: OutboxLine): OutboxFrame {
    if (frame.type === "CLAIM_PATHS") return { ...this.#options.signer.signClaim(frame), id }
    const { names, signer } = this.#options
    if (frame.type === "DONE") return signer.signMessage({ ...signer.signAnswer(frame), id })
    if (frame.type !== "MSG") return frame.id === id ? frame : { ...frame, id }
    const meant = agentIdIn(frame.to) === undefined ? names.idOf(frame.to) : undefined
    return signer.signMessage({ ...(meant !== undefined && { to_id: meant }), ...frame, id })
  }

  /** Returns what of a draft is signed; a proposal is addressed to the agent that the name in it has meant so far. */
  #addressed(draft: Draft): Draft {
    if (draft.type === "ACCEPT") {
      const { ask: _ask, ...signed } = draft
      return signed
    }
    if (draft.type !== "PROPOSAL") return draft
    // An agent id is a valid AgentRef.
    const to = this.#options.names.idOf(draft.to) as string | undefined as AgentRef | undefined
    return to === undefined ? draft : { ...draft, to }
  }

  /** Returns why an answer is not believed: it is of the wrong type, or about another agent. */
  #problemOf({ frame }: OutboxLine, answer: ServerMessage): ChatError | undefined {
    if (isDraft(frame) !== isVerb(answer.type)) return wrongAnswer(answer)
    if (isDraft(frame)) return undefined
    const problem = otherChannelError(frame, answer)
    if (problem !== undefined) return problem
    const meant = frame.type === "MSG" ? this.#options.names.idOf(frame.to) : undefined
    const stranger = strangerIn(meant === undefined ? frame : { type: frame.type, to: meant }, answer)
    if (stranger === undefined) return undefined
    const { asked, answered, rotations } = stranger
    if (isSuccessor(answered, asked, rotations)) return undefined
    if (frame.type !== "MSG" || agentIdIn(frame.to) !== undefined) return strangerError(stranger)
    // A relay that knows `to_id` refuses the message instead.
    return new ChatError(
      "AMBIGUOUS_NAME",
      `to: ${frame.to} meant ${asked} before, and means ${answered} now`,
      {
        candidates: [asked, answered],
        hint: hintForOtherBearer(frame.to, asked, answered),
      },
    )
  }

  /** Signs and sends a draft. The lines behind it wait. */
  async #sign(line: OutboxLine, draft: Draft, draftBytes: number, connection: Session): Promise<void> {
    this.#draft = line
    this.#isSigning = true
    const key = line.id === line.at ? line.id : keyOfLine(line.id, line.sha256)
    const outcome = await this.#options.signer.sign(this.#addressed(draft), key).catch((error: unknown) => {
      if (error instanceof ChatError) return error
      throw error
    })
    // The session ended meanwhile, so the line was released and will be taken again.
    if (this.#connection !== connection) return
    this.#isSigning = false
    if (outcome instanceof ChatError) this.#refuse(line, outcome)
    else if (outcome.isKnown) this.#accept(line, answerOf(outcome))
    else {
      const { statement } = outcome
      const text = JSON.stringify(statement)
      if (isSpoken(draft)) {
        this.#pacer?.addSignature(draftBytes, Buffer.byteLength(text), this.#clock.monotonic())
      }
      this.#inFlight.set(statement.id, line)
      connection.send(statement, text)
    }
    this.send()
  }

  /** Reports whether another message of this agent has the id that the writer of the line chose. */
  #hasUsedId({ id, at, sha256, frame }: OutboxLine): boolean {
    if (id === at || (frame.type !== "MSG" && !isDraft(frame))) return false
    const accepted = this.#options.acks.lineOf(id)
    return accepted !== undefined && accepted !== sha256
  }

  /** Asks people about a draft, if they have to approve it. @returns whether it is settled */
  #asksPeople(line: OutboxLine, draft: Draft): boolean {
    const { approvals, acks } = this.#options
    try {
      const evidence = approvals.gate(draft)
      if (evidence === undefined) return false
      const ts = this.#clock.now()
      acks.append({ line_sha256: line.sha256, id: line.id, state: "accepted", ts, evidence })
      line.settle()
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#refuse(line, error)
    }
    return true
  }

  /** Asks the daemon's own guard about a message. @returns whether it was held or rejected */
  #isHeldByBreaker(line: OutboxLine): boolean {
    if (line.frame.type !== "MSG") return false
    const verdict = this.#options.breaker.verdict(line.frame)
    if (verdict === "go") return false
    if (verdict === "wait") this.#order.hold(line)
    else this.#refuse(line, verdict)
    return true
  }

  #accept(line: OutboxLine, answer: ServerMessage): void {
    const ts = "ts" in answer ? answer.ts : this.#clock.now()
    const msgId = "msg_id" in answer ? answer.msg_id : undefined
    const evidence = evidenceOf(answer, line.frame)
    this.#setAvailable()
    this.#forget(line)
    this.#options.acks.append({
      line_sha256: line.sha256,
      id: line.id,
      msg_id: msgId,
      state: "accepted",
      ts,
      evidence,
    })
    const { frame } = line
    const to = evidence?.["to"]
    if ((frame.type === "MSG" || frame.type === "PROPOSAL") && typeof to === "string") {
      this.#options.names.accepted(frame.to, to)
    }
    this.#options.effects.accepted(line, answer)
    line.settle()
  }

  /** Sends a line again later, or rejects it for good. */
  #refuse(line: OutboxLine, error: ChatError): void {
    if (this.#isTemporary(error.code) || this.#isStale(line, error.code)) {
      this.#postpone(line, error)
      return
    }
    this.#setAvailable()
    this.#forget(line)
    this.#reject(line, error)
  }

  #postpone(line: OutboxLine, error: ChatError): void {
    const { code, message, retryAfterMs = retryMs } = error
    if (code === "UNAVAILABLE" || code === "AGENT_NOT_FOUND") this.#setUnavailable(error)
    if (this.#draft === line) this.#draft = undefined
    this.#order.repeat(line, this.#inFlight.values())
    const reason = code === "RATE_LIMITED" ? "rate" : code === "FILE_FAILED" ? "disk" : "relay"
    this.#pause(Math.max(leastRetryMs, retryAfterMs), reason, message)
  }

  #reject(line: OutboxLine, error: ChatError): void {
    // The lines of acks.jsonl stay true: a channel that was created, or left, before a crash.
    if (this.#options.acks.wasAccepted(line)) {
      line.settle()
      return
    }
    if (error.code === "AMBIGUOUS_NAME" && line.frame.type === "MSG") {
      this.#options.names.refused(line.frame.to, error.candidates ?? [])
    }
    // First, while the command that wrote the line cannot have read the outcome and ended.
    this.#options.effects.rejected(line, error)
    this.#options.outbox.rejectLine(line, error)
  }

  #forget(line: OutboxLine): void {
    if (this.#draft === line) this.#draft = undefined
    if (this.#staleRefusals.size > 0) this.#staleRefusals.delete(line.at)
  }

  /** Reports whether a draft must be signed again because the other party made a statement first. */
  #isStale({ at, frame }: OutboxLine, code: ErrorCode): boolean {
    if (code !== "STATEMENT_STALE" || !("proposal_id" in frame)) return false
    const times = (this.#staleRefusals.get(at) ?? 0) + 1
    this.#staleRefusals.set(at, times)
    this.#options.signer.markStale(frame.proposal_id)
    return times < maxSignings
  }

  #isTemporary(code: ErrorCode): boolean {
    // A restarted relay knows only the agents that reconnected so far.
    if (code === "AGENT_NOT_FOUND") return this.#clock.monotonic() < this.#returnUntilMs
    return temporary.has(code)
  }

  #setUnavailable(reason: ChatError): void {
    this.#isUnavailable = true
    this.#options.onUnavailable(reason)
  }

  #setAvailable(): void {
    if (!this.#isUnavailable) return
    this.#isUnavailable = false
    this.#options.onUnavailable(undefined)
  }

  #waitMs(frame: OutboxFrame, text: string): number {
    if (this.#pacer === undefined || !isSpoken(frame)) return 0
    return this.#pacer.waitMs(Buffer.byteLength(text), this.#clock.monotonic())
  }

  #pause(ms: number, reason: OutboxWait["reason"], message: string): void {
    this.#timer?.cancel()
    this.#pauseReason = { reason, message, until: this.#clock.now() + ms }
    if (ms > longPauseMs) {
      const text = `outbox: nothing is sent for ${Math.ceil(ms / 1000)} s: ${message}`
      this.#setUnavailable(new ChatError(reason === "rate" ? "RATE_LIMITED" : "UNAVAILABLE", text))
    }
    this.#timer = this.#clock.setTimer(() => {
      this.#timer = undefined
      this.#pauseReason = undefined
      this.send()
    }, ms)
  }
}

/** Reports whether a frame counts against the relay's rate limit. */
/** Only a statement answers a draft, and a statement answers nothing else. */
function wrongAnswer({ type }: ServerMessage): ChatError {
  return new ChatError(
    "VERIFICATION_FAILED",
    `server: answered with ${type}, which is no answer to this line`,
  )
}

/** Returns the answer of a relay to a statement that it has already. */
function answerOf({ statement, deal }: SignedDraft): ServerMessage<Verb> {
  return { ...statement, msg_id: statementMessageId(statement), name: "", state: deal.state }
}
