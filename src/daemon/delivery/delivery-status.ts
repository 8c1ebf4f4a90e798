import { LruMap } from "../../base/lru-map.js"
import { omitUndefined } from "../../base/plain.js"
import { RecentMap } from "../../base/recent-map.js"
import { authorOf, isWrittenBy } from "../../protocol/message-id.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Ack, AckLog } from "./acks.js"

/** A message that the relay accepted from this daemon. */
interface SentMessage {
  /** Id of the outbox line. */
  readonly id: string
  readonly msgId: string
  readonly sha256: string | undefined
  /** The resolved agent id, `+role`, or `#` for any channel. */
  readonly to: string
  /** The text of a question whose answer is signed. */
  readonly question?: string | undefined
  /** For a task: the agent that claimed it last. */
  claimant?: string
  /** Stages reached so far, each as `state by`; absent while there are none. */
  reached?: Set<string>
}

/** Reports that a message of this daemon reached a stage: a DELIVERY, or a reply to the message. */
type Report = ServerMessage<"DELIVERY"> | Reply
type Reply = Pick<ServerMessage<"MSG">, "type" | "from" | "msg_id" | "ts">
type Acks = Pick<AckLog, "append" | "afterWrite" | "readAll">
type Verdict = "reached" | "too early" | "mismatch" | "no stage"

/** Direct messages and tasks remembered: ten times what a mailbox holds. */
const rememberedDirect = 10_000
/** Channel posts remembered: there are many, and few are answered. */
const rememberedPosts = 1_000
/** Messages with reports that came before the relay's own answer, and the reports kept of each. */
const earlyMessages = 256
const earlyReports = 8
const reasonLength = 200
const methodLength = 32

/**
 * Tracks the delivery stages after `accepted`: mirrored, rung, retrieved, in_context, claimed, failed, expired, answered. A report counts only
 * if it comes from the recipient the relay named when it accepted the message. Nobody else can claim to have received,
 * read or answered it.
 */
export class DeliveryStatus {
  readonly #acks: Acks
  readonly #confirm: (mailIds: string[]) => void
  readonly #log: (line: string) => void
  readonly #direct = new RecentMap<SentMessage>(rememberedDirect)
  readonly #posts = new RecentMap<SentMessage>(rememberedPosts)
  /** In a cluster a report may come before the answer that names the recipient. */
  readonly #early = new LruMap<string, Report[]>(earlyMessages, (_msgId, reports) => {
    for (const report of reports) this.#settle(report)
  })
  /** Ids of reports to confirm once acks.jsonl has what they say. */
  #settled: string[] = []
  #isRecalled = false

  /**
   * @param confirm - receives the `mail_id` of each DELIVERY that the relay need not keep any longer
   * @param log - receives a line for each report from an agent that is not the recipient
   */
  constructor(acks: Acks, confirm: (mailIds: string[]) => void, log: (line: string) => void) {
    this.#acks = acks
    this.#confirm = confirm
    this.#log = log
  }

  /** Remembers a message that the relay accepted. @param to - the resolved agent id, `+role` or `#channel` */
  accepted(message: { id: string; msgId: string; sha256: string; to: string; question?: string }): void {
    this.#recall()
    this.#add(message)
    if (this.#early.size > 0) this.#applyEarly(message.msgId)
  }

  /** Applies a DELIVERY of the relay. @param self - own agent id */
  delivered(report: ServerMessage<"DELIVERY">, self: string): void {
    this.#apply(report.msg_id, report, self)
  }

  /** Applies a message that answers another one, if that one is this daemon's. @param self - own agent id */
  replied({ type, from, msg_id, ts, in_reply_to }: ServerMessage<"MSG">, self: string): void {
    if (in_reply_to === undefined || from === "" || !isWrittenBy(self, in_reply_to)) return
    this.#apply(in_reply_to, { type, from, msg_id, ts }, self)
  }

  /** Returns the text of a question of this daemon whose answer is signed; undefined for any other message. */
  questionOf(msgId: string): string | undefined {
    this.#recall()
    return this.#direct.get(msgId)?.question
  }

  #apply(msgId: string, report: Report, self: string): void {
    this.#recall()
    const message = this.#find(msgId)
    const verdict = message === undefined ? "too early" : this.#judge(message, report)
    if (verdict === "mismatch") {
      this.#log(
        `sender-mismatch: ${authorOfReport(report)} is not ${message?.to ?? ""}, recipient of ${msgId}`,
      )
    }
    if (verdict === "too early" && isWrittenBy(self, msgId)) this.#keepEarly(msgId, report)
    else this.#settle(report)
    // A reply that came before the claim counts if the claimant wrote it.
    if (verdict === "reached" && report.type === "DELIVERY" && report.state === "claimed") {
      this.#applyEarly(msgId)
    }
  }

  #applyEarly(msgId: string): void {
    const reports = this.#early.peek(msgId) ?? []
    this.#early.delete(msgId)
    for (const report of reports) this.#apply(msgId, report, authorOf(msgId))
  }

  #keepEarly(msgId: string, report: Report): void {
    const reports = this.#early.peek(msgId) ?? []
    if (reports.length < earlyReports) reports.push(report)
    else this.#settle(report)
    this.#early.set(msgId, reports)
  }

  /** Confirms a report when its line is in acks.jsonl, all of one callback together. */
  #settle(report: Report): void {
    if (report.type === "MSG" || report.mail_id === undefined) return
    if (this.#settled.push(report.mail_id) > 1) return
    this.#acks.afterWrite(() => {
      this.#confirm(this.#settled)
      this.#settled = []
    })
  }

  #judge(message: SentMessage, report: Report): Verdict {
    const verdict = report.type === "MSG" ? judgeReply(message, report.from) : judgeDelivery(message, report)
    if (verdict !== "reached") return verdict
    const by = authorOfReport(report)
    const state = report.type === "MSG" ? "answered" : report.state
    if (reach(message, state, by)) this.#acks.append(ackOf(message, report, state, by))
    return verdict
  }

  #find(msgId: string): SentMessage | undefined {
    return this.#direct.get(msgId) ?? this.#posts.get(msgId)
  }

  #add({ id, msgId, sha256, to, question }: SentMessage): void {
    if (this.#find(msgId) !== undefined) return
    if (to.startsWith("#")) this.#posts.set(msgId, { id, msgId, sha256, to: "#" })
    else this.#direct.set(msgId, { id, msgId, sha256, to, ...omitUndefined({ question }) })
  }

  /** Reads acks.jsonl, on first use. A user may have edited it. */
  #recall(): void {
    if (this.#isRecalled) return
    this.#isRecalled = true
    for (const { id, msg_id: msgId, line_sha256: sha256, state, by, evidence } of this.#acks.readAll()) {
      if (typeof id !== "string" || typeof msgId !== "string" || typeof state !== "string") continue
      const message = this.#find(msgId)
      if (state !== "accepted") {
        if (message !== undefined) reach(message, state, by ?? "")
        continue
      }
      const to = recipientIn(evidence)
      const question = evidence?.["question"]
      if (to !== undefined)
        this.#add({ id, msgId, sha256, to, ...(typeof question === "string" && { question }) })
    }
  }
}

/** Records a stage. @returns false when the message had reached it before */
function reach(message: SentMessage, state: string, by: string): boolean {
  // The first answer is enough; every other stage is recorded for each agent that reaches it.
  const stage = state === "answered" ? state : `${state} ${by}`
  if (state === "claimed") message.claimant = by
  message.reached ??= new Set()
  if (message.reached.has(stage)) return false
  message.reached.add(stage)
  return true
}

/** Reads the recipient from the evidence of acceptance: `to` of a direct message or a task, `seq` in a channel. */
function recipientIn(evidence: Ack["evidence"]): string | undefined {
  const { to, seq } = evidence ?? {}
  if (typeof to === "string") return to
  return typeof seq === "number" ? "#" : undefined
}

function judgeDelivery({ to, claimant }: SentMessage, { state, by }: ServerMessage<"DELIVERY">): Verdict {
  if (to.startsWith("#")) return "mismatch"
  if (!to.startsWith("+")) return by === to && state !== "claimed" ? "reached" : "mismatch"
  // The relay decides which agent claims a task.
  if (state === "claimed" || state === "failed" || state === "expired") return "reached"
  return judgeClaimant(claimant, by)
}

function judgeReply({ to, claimant }: SentMessage, from: string): Verdict {
  if (to.startsWith("#")) return "reached"
  const verdict = to.startsWith("+") ? judgeClaimant(claimant, from) : from === to ? "reached" : "mismatch"
  // Anybody may reply to a message, so a reply from another agent is not logged as a forgery.
  return verdict === "mismatch" ? "no stage" : verdict
}

function judgeClaimant(claimant: string | undefined, by: string): Verdict {
  if (claimant === undefined) return "too early"
  return claimant === by ? "reached" : "mismatch"
}

function ackOf({ id, msgId, sha256 }: SentMessage, report: Report, state: string, by: string): Ack {
  const evidence = evidenceOfReport(report)
  return { line_sha256: sha256, id, msg_id: msgId, state, ts: report.ts, by, evidence }
}

function evidenceOfReport(report: Report): Ack["evidence"] {
  if (report.type === "MSG") return { msg_id: report.msg_id }
  const { reason, method } = report
  if (reason === undefined && method === undefined) return undefined
  return omitUndefined({ reason: reason?.slice(0, reasonLength), method: method?.slice(0, methodLength) })
}

function authorOfReport(report: Report): string {
  return report.type === "MSG" ? report.from : report.by
}
