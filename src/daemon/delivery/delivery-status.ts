import { LruMap } from "../../base/lru-map.js"
import { authorOf, isWrittenBy } from "../../protocol/message-id.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Ack, AckLog } from "./acks.js"
import { reach, type SentMessage, SentMessages } from "./sent-messages.js"

/** Messages of which something was heard before the relay's own answer, and how much of each is kept. */
const earlyMessages = 256
const earlyEach = 8
const reasonLength = 200

/** What may be said of a message of ours. */
type Word = ServerMessage<"DELIVERY"> | Reply
type Reply = Pick<ServerMessage<"MSG">, "type" | "from" | "msg_id" | "ts">
type Verdict = "reached" | "too early" | "mismatch" | "no rung"

/**
 * The rungs above `accepted`. Each is believed only of whom the message was for, as the relay named it when it
 * accepted the message: nobody else can claim to have it, to have read it or to have answered it.
 */
export class DeliveryStatus {
  readonly #acks: Pick<AckLog, "append" | "readAll">
  readonly #log: (line: string) => void
  #sent: SentMessages | undefined
  /** Where several relays are one, a rung may come before the answer that says who can reach it. */
  readonly #early = new LruMap<string, Word[]>(earlyMessages)

  /** @param log - told of each rung that was claimed by somebody else */
  constructor(acks: Pick<AckLog, "append" | "readAll">, log: (line: string) => void) {
    this.#acks = acks
    this.#log = log
  }

  /** The relay accepted a message. @param to - the resolved agent id, `+role` or `#channel` */
  accepted(message: { id: string; msgId: string; sha256: string; to: string }): void {
    const { to } = message
    this.#remembered.add({ ...message, to: to.startsWith("#") ? "#" : to })
    this.#hearAgain(message.msgId)
  }

  /** The relay tells of a rung. @param self - own agent id */
  delivered(word: ServerMessage<"DELIVERY">, self: string): void {
    this.#hear(word.msg_id, word, self)
  }

  /** A message came that answers another one, perhaps one of ours. @param self - own agent id */
  replied({ type, from, msg_id, ts, in_reply_to }: ServerMessage<"MSG">, self: string): void {
    if (in_reply_to === undefined || from === "" || !isWrittenBy(self, in_reply_to)) return
    this.#hear(in_reply_to, { type, from, msg_id, ts }, self)
  }

  get #remembered(): SentMessages {
    if (this.#sent !== undefined) return this.#sent
    this.#sent = new SentMessages()
    for (const ack of this.#acks.readAll()) this.#sent.recall(ack)
    return this.#sent
  }

  #hear(msgId: string, word: Word, self: string): void {
    const message = this.#remembered.find(msgId)
    const verdict = message === undefined ? "too early" : this.#judge(message, word)
    if (verdict === "mismatch") {
      this.#log(`sender-mismatch: ${speakerOf(word)} cannot speak for ${message?.to ?? ""} of ${msgId}`)
    }
    if (verdict === "too early" && isWrittenBy(self, msgId)) this.#keep(msgId, word)
    // Whom a task was taken by decides whether an answer that came before is one.
    if (verdict === "reached" && word.type === "DELIVERY" && word.state === "claimed") this.#hearAgain(msgId)
  }

  #hearAgain(msgId: string): void {
    const words = this.#early.get(msgId) ?? []
    this.#early.delete(msgId)
    for (const word of words) this.#hear(msgId, word, authorOf(msgId))
  }

  #keep(msgId: string, word: Word): void {
    const words = this.#early.get(msgId) ?? []
    if (words.length < earlyEach) words.push(word)
    this.#early.set(msgId, words)
  }

  #judge(message: SentMessage, word: Word): Verdict {
    const verdict = word.type === "MSG" ? judgeReply(message, word.from) : judgeDelivery(message, word)
    if (verdict !== "reached") return verdict
    const by = speakerOf(word)
    const state = word.type === "MSG" ? "answered" : word.state
    if (reach(message, state, by)) this.#acks.append(rungOf(message, word, state, by))
    return verdict
  }
}

function judgeDelivery({ to, claimant }: SentMessage, { state, by }: ServerMessage<"DELIVERY">): Verdict {
  if (to.startsWith("#")) return "mismatch"
  if (!to.startsWith("+")) return by === to && state !== "claimed" ? "reached" : "mismatch"
  // Who takes a task is the relay's to say.
  if (state === "claimed" || state === "failed") return "reached"
  return judgeClaimant(claimant, by)
}

function judgeReply({ to, claimant }: SentMessage, from: string): Verdict {
  if (to.startsWith("#")) return "reached"
  const verdict = to.startsWith("+") ? judgeClaimant(claimant, from) : from === to ? "reached" : "mismatch"
  // Anybody may join a talk. That is no forgery, only no answer of whom it was asked.
  return verdict === "mismatch" ? "no rung" : verdict
}

function judgeClaimant(claimant: string | undefined, by: string): Verdict {
  if (claimant === undefined) return "too early"
  return claimant === by ? "reached" : "mismatch"
}

function rungOf({ id, msgId, sha256 }: SentMessage, word: Word, state: string, by: string): Ack {
  const evidence = evidenceOf(word)
  return {
    ...(sha256 === undefined ? {} : { line_sha256: sha256 }),
    id,
    msg_id: msgId,
    state,
    ts: word.ts,
    by,
    ...(evidence === undefined ? {} : { evidence }),
  }
}

function evidenceOf(word: Word): Ack["evidence"] {
  if (word.type === "MSG") return { msg_id: word.msg_id }
  return word.reason === undefined ? undefined : { reason: word.reason.slice(0, reasonLength) }
}

function speakerOf(word: Word): string {
  return word.type === "MSG" ? word.from : word.by
}
