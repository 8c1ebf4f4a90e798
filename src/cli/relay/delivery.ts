/** Sends a message and waits until it reaches a delivery stage, or is answered. */
import { isPlain, omitUndefined } from "../../base/plain.js"
import { formatForTerminal } from "../../base/visible-text.js"
import type { Connection } from "../../client/connection.js"
import type { DaemonPaths } from "../../daemon/files/paths.js"
import { readStatus } from "../../daemon/status.js"
import type { Identity } from "../../identity/identity-file.js"
import type { ClientFrame } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { isQuiet } from "../../protocol/message-kinds.js"
import { type Address, persistentIdPattern } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Context } from "../context.js"
import { notePrintedAnswer } from "../daemon/printed-answers.js"
import { reportFailure, reportSuccess } from "../exit-status.js"
import { answerMs, askDaemon, chooseDaemon, requestAsMember, type SenderChoice } from "./relay-request.js"
import { withSession } from "./session.js"
import type { TargetDocument } from "./target-facts.js"
import { describeUnserved, findUnserved, type UnservedRole } from "./unserved-role.js"

/** Delivery stages that a sender can wait for, in order. */
export const deliveryStages = [
  ...(["accepted", "mirrored", "rung", "retrieved", "in_context", "answered"] as const),
]
/** One of {@link deliveryStages}. */
export type DeliveryStage = (typeof deliveryStages)[number]

/** A stage that a message has reached. A task has the stages `claimed` and `failed` as well. */
export interface ReachedStage {
  readonly state: string
  /** Milliseconds since the Unix epoch. */
  readonly ts: number
  /** Id of the agent that reported it. */
  readonly by?: string
  readonly reason?: string
  /** How the session was rung, or what put the message into its context. */
  readonly method?: string
}

/** The end of a question that nobody answered in time. */
export interface Expiry {
  readonly msg_id: string
  /** Its default answer. */
  readonly answer?: string
  readonly ts: number
}

/** The answer to a message. */
export interface Reply {
  readonly msg_id: string
  readonly from: string
  readonly name?: string
  readonly content: string
  readonly parts?: unknown
  /** True if the key of `from` signed it. */
  readonly verified: boolean
  readonly ts: number
}

type Members = Readonly<Record<string, unknown>>

/** The delivery of one message: the stages it has reached, and its answer. */
export class Delivery {
  readonly wanted: DeliveryStage
  /** Set if no agent has the role that the message is for. */
  unserved: UnservedRole | undefined
  readonly to: Address
  readonly #stages: ReachedStage[] = []
  /** Id of the agent whose answer counts; undefined if any answer does. */
  #addressee: string | undefined
  #msgId: string | undefined
  #reply: Reply | undefined
  #expiry: Expiry | undefined
  /** Reports whether the signature of an answer is valid; undefined if any answer counts. */
  readonly #isValid: ((message: Members) => boolean) | undefined
  #acceptedMs = 0
  #recipients: unknown
  #target: unknown

  /** @param isValid - checks the proof of an answer; absent if any answer counts */
  constructor(to: Address, wanted: DeliveryStage, isValid?: (message: Members) => boolean) {
    this.to = to
    this.wanted = wanted
    this.#isValid = isValid
    if (/^@[0-9a-f]{16}$/.test(to)) this.#addressee = to
  }

  /** The facts that the relay gave about the agent the message goes to, as in {@link TargetFacts}. */
  get target(): unknown {
    return this.#target
  }

  get stages(): readonly ReachedStage[] {
    return this.#stages
  }

  /** Undefined until the relay has accepted the message. */
  get msgId(): string | undefined {
    return this.#msgId
  }

  get reply(): Reply | undefined {
    return this.#reply
  }

  get expiry(): Expiry | undefined {
    return this.#expiry
  }

  /** True for a task that the relay has accepted, and that no agent could take at once. */
  get isUntaken(): boolean {
    return this.#recipients === 0 && this.to.startsWith("+")
  }

  /** The latest stage; `written` before the first. */
  get state(): string {
    return this.#stages.at(-1)?.state ?? "written"
  }

  /** True once the wanted stage or a later one is reached; for `answered`, once the answer itself has arrived. */
  get isReached(): boolean {
    if (this.wanted === "answered") return this.#reply !== undefined
    return this.#stages.some(({ state }) => orderOf(state) >= orderOf(this.wanted))
  }

  /** True if waiting longer is useless: the stage is reached, or the task has failed. */
  get isOver(): boolean {
    return this.isReached || this.state === "failed" || this.#expiry !== undefined
  }

  /** Adds a stage. @param report - an ACK, a DELIVERY, or a line of acks.jsonl */
  takeStage({ state, ts, by, msg_id, to, reason, method, recipients, target }: Members): void {
    if (typeof state !== "string" || typeof ts !== "number") return
    if (state === "accepted") this.#takeAcceptance({ ts, msg_id, to, recipients, target })
    else if (msg_id !== this.#msgId) return
    if (state === "answered" && this.#stages.some((stage) => stage.state === state)) return
    const details = Object.entries({ by, reason, method }).filter(([, text]) => typeof text === "string")
    this.#stages.push({ state, ts, ...Object.fromEntries(details) })
  }

  #takeAcceptance({ ts, msg_id, to, recipients, target }: Members & { readonly ts: number }): void {
    if (typeof msg_id === "string") this.#msgId = msg_id
    this.#acceptedMs = ts
    this.#recipients = recipients
    this.#target = target
    if (typeof to === "string" && this.to.startsWith("@")) this.#addressee = to
  }

  /**
   * Takes a received message as the answer if it is one: a reply to the question, or the next direct message of the
   * asked agent unless it replies to something else.
   * @param message - a MSG, or a line of an inbox
   * @returns whether it is the answer
   */
  takeMessage(message: Members): boolean {
    if (message["type"] === "TASK_EXPIRED") this.#takeExpiry(message)
    const reply = this.#reply === undefined ? replyIn(message) : undefined
    if (reply === undefined) return false
    if (!this.#answers(message, reply.ts) || !this.#mayAnswer(reply.from)) return false
    if (this.#isValid?.(message) === false) return false
    this.#reply = reply
    this.takeStage({ state: "answered", ts: reply.ts, by: reply.from, msg_id: this.#msgId })
    return true
  }

  #takeExpiry({ task, answer, ts, msg_id }: Members): void {
    if (task !== this.#msgId || typeof ts !== "number" || this.#reply !== undefined) return
    this.#expiry = { msg_id: String(msg_id), ts, ...(typeof answer === "string" && { answer }) }
  }

  /** A message from before the question is no answer, nor is one of a kind that wakes nobody, unless it says so. */
  #answers({ in_reply_to, from, to, kind }: Members, ts: number): boolean {
    if (this.#msgId === undefined) return false
    if (in_reply_to !== undefined) return in_reply_to === this.#msgId
    if (from !== this.#addressee) return false
    const isDirect = typeof to === "string" && to.startsWith("@")
    return isDirect && !isQuiet(typeof kind === "string" ? kind : undefined) && ts >= this.#acceptedMs
  }

  /** Keeps an agent that learns the message id from answering in place of the recipient. */
  #mayAnswer(from: string): boolean {
    if (this.#addressee !== undefined) return from === this.#addressee
    const claimers = this.#stages.filter(({ state }) => state === "claimed").map(({ by }) => by)
    return claimers.length === 0 || claimers.includes(from)
  }
}

/** Returns a received message as a reply; undefined for anything else, and for the agent's own. */
function replyIn({
  type,
  from,
  name,
  content,
  ts,
  msg_id,
  parts,
  self,
  verified,
}: Members): Reply | undefined {
  if (type !== "MSG" || self === true) return undefined
  if (typeof from !== "string" || typeof content !== "string" || typeof ts !== "number") return undefined
  return {
    msg_id: String(msg_id),
    from,
    content,
    verified: verified === true,
    ts,
    ...(typeof name === "string" ? { name } : {}),
    ...(parts === undefined ? {} : { parts }),
  }
}

function orderOf(state: string): number {
  return (deliveryStages as readonly string[]).indexOf(state)
}

/** A message to send, the stage to wait for, and the time limit. */
export interface DeliveryRequest {
  readonly frame: ClientFrame<"MSG"> & { readonly to: Address }
  readonly wanted: DeliveryStage
  readonly timeoutMs: number
}

type Sender = "daemon" | "relay"

/**
 * Sends a message, waits until the wanted stage is reached, no further stage can follow, or the time is over, and
 * prints the stage or the answer.
 * @returns exit status 0, or 4 if the stage was not reached
 * @throws {ChatError} the reason if the message was rejected; TIMEOUT if it was not even accepted; UNREACHABLE
 */
export async function sendAndWait(
  context: Context,
  choice: SenderChoice,
  { frame, wanted, timeoutMs }: DeliveryRequest,
): Promise<number> {
  const wait = wanted === "answered" ? { wait_ms: timeoutMs } : {}
  const request = { frame: { ...frame, ...wait }, wanted, timeoutMs }
  const paths = chooseDaemon(context, choice)
  if (paths === undefined) return sendOnSession(context, choice, request)
  const delivery = await sendThroughDaemon(context, paths, request)
  const status = await report(context, request, delivery, "daemon")
  const shown = delivery.reply ?? delivery.expiry
  if (shown !== undefined) noteAnswer(context, paths, shown.msg_id)
  return status
}

/** Keeps the answer from appearing as news in the inbox. The command has succeeded, whether this works or not. */
function noteAnswer({ io }: Context, paths: DaemonPaths, msgId: string): void {
  try {
    notePrintedAnswer(paths, msgId)
  } catch (error) {
    io.note(`the inbox will show the answer as new: ${String((error as NodeJS.ErrnoException).code)}`)
  }
}

async function sendThroughDaemon(
  context: Context,
  paths: DaemonPaths,
  { frame, wanted, timeoutMs }: DeliveryRequest,
): Promise<Delivery> {
  const { clock } = context
  const { newLineId, OutboxRequest } = await import("../daemon/daemon-request.js")
  const deadlineMs = clock.monotonic() + timeoutMs
  const timeLeft = () => Math.max(0, deadlineMs - clock.monotonic())
  const hasProof = ({ answer }: Members) => isPlain(answer) && answer["verified"] === true
  const delivery = new Delivery(frame.to, wanted, (await isAsked(frame)) ? hasProof : undefined)
  const readNewLines = wanted === "answered" ? await openInbox(paths) : () => []
  const request = new OutboxRequest(paths, frame, clock, newLineId(context.system))
  try {
    const look = () => {
      for (const line of request.read()) delivery.takeStage(line)
      // An answer is known by the id of the question, so read the inbox only once the relay has given it one.
      if (delivery.msgId !== undefined) for (const line of readNewLines()) delivery.takeMessage(line)
      return delivery.isOver || undefined
    }
    await request.waitFor(timeoutMs, () => look() ?? (delivery.msgId === undefined ? undefined : true))
    await noteSilence(context, delivery)
    if (delivery.isUntaken && !delivery.isOver) {
      const ask = (query: ClientFrame<"LIST_AGENTS">) =>
        askDaemon(context, paths, query, Math.min(answerMs, timeLeft()))
      await noteUnserved(context, delivery, ask, readStatus(paths.status)?.agent_id)
    }
    if (!delivery.isOver) await request.waitFor(timeLeft(), look)
    if (delivery.stages.length === 0) throw await request.timeoutError(timeoutMs)
    return delivery
  } finally {
    request.close()
  }
}

/** Says at once that a task waits for nobody, rather than after the time limit. */
async function noteUnserved(
  { io }: Context,
  delivery: Delivery,
  ask: Parameters<typeof findUnserved>[1],
  self: string | null | undefined,
): Promise<void> {
  const { to } = delivery
  delivery.unserved = await findUnserved(to, ask, self)
  if (delivery.unserved !== undefined) io.note(describeUnserved(to, delivery.unserved))
}

/** Says at once that the agent is not reading, rather than after the time limit. */
async function noteSilence({ io, clock, config }: Context, { to, target }: Delivery): Promise<void> {
  if (target === undefined || config.json) return
  // Only a message to an agent needs it.
  const { describeSilence, targetOf } = await import("./target-facts.js")
  const facts = targetOf(target, clock.now())
  const silence = facts === undefined ? undefined : describeSilence(to, facts, clock.now())
  if (silence !== undefined) io.note(silence)
}

/** @returns a function that returns the lines added since its last call */
async function openInbox(paths: DaemonPaths): Promise<() => Members[]> {
  const { readInbox } = await import("../../daemon/inbox/reader.js")
  let seq = 0
  for (const entry of readInbox(paths, { last: 1 })) seq = entry.seq
  return () => {
    const lines = []
    for (const entry of readInbox(paths, { sinceSeq: seq })) {
      seq = entry.seq
      lines.push(entry.fields)
    }
    return lines
  }
}

async function sendOnSession(
  context: Context,
  choice: SenderChoice,
  request: DeliveryRequest,
): Promise<number> {
  const { frame, wanted, timeoutMs } = request
  let hasProof: (message: Members) => boolean = () => false
  const isSigned = await isAsked(frame)
  const delivery = new Delivery(frame.to, wanted, isSigned ? (message) => hasProof(message) : undefined)
  const { clock } = context
  const deadlineMs = clock.monotonic() + timeoutMs
  const timeLeft = () => Math.max(0, deadlineMs - clock.monotonic())
  const queue = new MessageQueue()
  return withSession(
    context,
    choice,
    async (connection, identity) => {
      if (isSigned) hasProof = await makeProofCheck(frame, connection.welcome.server_id)
      if (wanted === "answered" && frame.to.startsWith("#")) {
        await connection.request({ type: "JOIN", channel: frame.to }, timeoutMs)
      }
      delivery.takeStage({ ...(await requestAsMember(connection, frame, timeoutMs)) })
      await noteSilence(context, delivery)
      if (delivery.isUntaken) {
        const ask = (query: ClientFrame<"LIST_AGENTS">) =>
          connection.request(query, Math.min(answerMs, timeLeft()))
        await noteUnserved(context, delivery, ask, connection.welcome.agent_id)
      }
      const timer = clock.setTimer(() => queue.end(), timeLeft())
      try {
        const check = delivery.isOver ? undefined : await openCheck(context, connection, identity)
        await queue.drain((message) => {
          if (message.type === "DELIVERY") delivery.takeStage({ ...message })
          else if (message.type === "MSG") delivery.takeMessage(check?.(message) ?? {})
          else delivery.takeMessage({ ...message })
          return delivery.isOver
        }, delivery.isOver)
      } finally {
        timer.cancel()
      }
      const status = await report(context, request, delivery, "relay")
      const { reply, expiry } = delivery
      // Acknowledge the answer only now that it is printed.
      if (reply !== undefined) {
        connection.send({ type: "RECEIVED", ids: [reply.msg_id], retrieved: [reply.msg_id] })
      }
      if (expiry !== undefined) connection.send({ type: "RECEIVED", ids: [expiry.msg_id] })
      return status
    },
    queue,
  )
}

/** @returns a function that checks a message; it returns undefined for one that is dropped, after a note */
async function openCheck({ io }: Context, { welcome }: Connection, identity: Identity | undefined) {
  const { checkMessage, readerOf } = await import("../../client/message-check.js")
  const reader = readerOf(welcome, identity)
  return (message: ServerMessage<"MSG">): Members | undefined => {
    try {
      return { ...checkMessage(message, reader) }
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      io.note(error.message)
      return undefined
    }
  }
}

/** Reports whether the answer to a message is signed. */
async function isAsked({ to, ...frame }: ClientFrame<"MSG">): Promise<boolean> {
  if (!to.startsWith("+")) return false
  const { isQuestion } = await import("../../protocol/questions.js")
  return isQuestion(frame, to.slice(1))
}

/** Returns the check of the answer's signature. */
async function makeProofCheck(
  frame: ClientFrame<"MSG">,
  aud: string,
): Promise<(message: Members) => boolean> {
  const { isAnswerOf, questionDigest } = await import("../../identity/answer-signature.js")
  const question = questionDigest({ ...frame, role: frame.to.slice(1) })
  return ({ answer: proof, in_reply_to: task, content: answer, from }) => {
    const given = proof as Parameters<typeof isAnswerOf>[1] | undefined
    if (given?.question !== question) return false
    return isAnswerOf({ aud, task: String(task), answer: String(answer) }, given, String(from))
  }
}

/** The DELIVERY, MSG and TASK_EXPIRED messages of a session, queued until they are drained. */
class MessageQueue {
  readonly #messages: ServerMessage[] = []
  #isEnded = false
  #failure: ChatError | undefined
  #wake: () => void = () => {}

  onMessage(message: ServerMessage): void {
    if (!["DELIVERY", "MSG", "TASK_EXPIRED"].includes(message.type)) return
    this.#messages.push(message)
    this.#wake()
  }

  onClose(error: ChatError): void {
    this.#failure = error
    this.#wake()
  }

  /** Ends {@link drain}. */
  end(): void {
    this.#isEnded = true
    this.#wake()
  }

  /** Passes each message to `take` until it returns true, or {@link end}. @throws {ChatError} if the session is lost */
  async drain(take: (message: ServerMessage) => boolean, isOver: boolean): Promise<void> {
    while (!isOver) {
      const message = this.#messages.shift()
      if (message !== undefined) isOver = take(message)
      else if (this.#failure !== undefined) throw this.#failure
      else if (this.#isEnded) return
      else await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }
}

async function targetDocument({ clock }: Context, { target }: Delivery): Promise<TargetDocument | undefined> {
  if (target === undefined) return undefined
  const { targetOf } = await import("./target-facts.js")
  return targetOf(target, clock.now())
}

/** Prints the result. @returns the exit status */
async function report(
  context: Context,
  request: DeliveryRequest,
  delivery: Delivery,
  via: Sender,
): Promise<number> {
  const { to } = request.frame
  const { state, msgId: msg_id, stages, reply, unserved } = delivery
  const target = await targetDocument(context, delivery)
  const { expiry } = delivery
  const answer = reply?.content ?? expiry?.answer
  const answered = request.wanted === "answered" ? omitUndefined({ answer, by: answeredBy(delivery) }) : {}
  const facts = omitUndefined({ target, expiry })
  const document = { state, to, msg_id, ...facts, ...unserved, ...answered, rungs: stages, reply, via }
  if (delivery.isReached) {
    if (reply !== undefined) noteUnverified(context, reply)
    const text = reply === undefined ? `${state} ${formatForTerminal(String(msg_id))}` : formatReply(reply)
    return reportSuccess(context, document, text)
  }
  if (expiry?.answer !== undefined && !context.config.json) {
    for (const line of formatReply({ content: expiry.answer })) context.io.out(line)
  }
  const error = unreachedError(request, delivery, via)
  return reportFailure(context, error, document)
}

/** Warns of an answer that anybody may have written. An agent without a key cannot sign. */
function noteUnverified({ io, config }: Context, { from, verified }: Reply): void {
  if (verified || config.json || !persistentIdPattern.test(from)) return
  io.note(`the answer is unverified: the key of ${from} has not signed it`)
}

/** Returns the text of an answer line by line, with control characters escaped. */
function formatReply({ content, parts }: Pick<Reply, "content" | "parts">): string[] {
  const lines = content.split(/\r?\n/).map((line) => formatForTerminal(line.replaceAll("\t", "  ")))
  if (!Array.isArray(parts)) return lines
  return [...lines, ...parts.map((part) => formatForTerminal(JSON.stringify(part)))]
}

/** Returns who gave the answer: an agent, or nobody because the question expired. */
function answeredBy({ reply, expiry }: Delivery): string | undefined {
  return reply?.from ?? (expiry === undefined ? undefined : "expiry")
}

function unreachedError({ frame, timeoutMs }: DeliveryRequest, delivery: Delivery, via: Sender): ChatError {
  const { to } = frame
  const { state, wanted, expiry } = delivery
  if (expiry !== undefined) {
    const given = expiry.answer === undefined ? "" : "; the answer is the default"
    return new ChatError("EXPIRED", `${to} did not answer before the question expired${given}`)
  }
  if (state === "failed") {
    const { reason } = delivery.stages.at(-1) ?? {}
    const why = reason === undefined ? "" : `: ${reason.slice(0, 200)}`
    return new ChatError("TIMEOUT", `not ${wanted}: ${to} gave up after too many attempts${why}`)
  }
  const message = `not ${wanted} within ${timeoutMs / 1000} s: ${describeState(delivery, to)}`
  const hint =
    via === "daemon" || wanted !== "answered"
      ? "do not send it again, it is not lost; later stages appear in acks.jsonl, answers in the inbox"
      : "to receive a late answer, ask through a daemon or with --identity"
  const isUnserved = delivery.unserved !== undefined && state === "accepted" && isForPeople(to)
  return new ChatError(isUnserved ? "UNSERVED" : "TIMEOUT", message, { hint })
}

function isForPeople(to: Address): boolean {
  return to.toLowerCase() === "+human"
}

function describeState({ stages, state }: Delivery, to: Address): string {
  const { by, method } = stages.at(-1) ?? {}
  if (isForPeople(to) && state === "accepted") return "no person has answered"
  if (to.startsWith("+") && state === "accepted") return `queued, no worker of ${to} is free`
  const how = method === undefined ? "" : ` (${formatForTerminal(method)})`
  return by === undefined ? state : `${state} by ${by}${how}`
}
