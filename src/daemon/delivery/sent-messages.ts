import { LruMap } from "../../base/lru-map.js"
import type { Ack } from "./acks.js"

/** What one's own daemon knows of a message that the relay accepted. */
export interface SentMessage {
  /** Of the outbox line. */
  readonly id: string
  readonly msgId: string
  readonly sha256: string | undefined
  /** The resolved agent id, `+role`, or `#`: a channel, where anybody may answer. */
  readonly to: string
  /** For a task: who took it last. */
  claimant?: string
  /** Rungs it has, each as `state by`. */
  readonly reached: Set<string>
}

/** Messages of each kind remembered: what a mailbox may hold, times ten. */
const rememberedMail = 10_000
/** Posts to channels come by the thousand and are seldom answered. */
const rememberedPosts = 1_000

/** The newest messages that may still climb: direct ones and tasks, and beside them posts to channels. */
export class SentMessages {
  readonly #mail = new LruMap<string, SentMessage>(rememberedMail)
  readonly #posts = new LruMap<string, SentMessage>(rememberedPosts)

  find(msgId: string): SentMessage | undefined {
    return this.#mail.peek(msgId) ?? this.#posts.peek(msgId)
  }

  /** Remembers an accepted message. @returns it, with the rungs it has when it was known */
  add(message: Omit<SentMessage, "reached">): SentMessage {
    const known = this.find(message.msgId)
    if (known !== undefined) return known
    const kept = message.to.startsWith("#") ? this.#posts : this.#mail
    const added = { ...message, reached: new Set<string>() }
    kept.set(message.msgId, added)
    return added
  }

  /** Takes in a line of acks.jsonl, which a user may have edited. */
  recall(ack: Ack): void {
    const { id, msg_id: msgId, line_sha256: sha256, state, by, evidence } = ack
    if (typeof id !== "string" || typeof msgId !== "string" || typeof state !== "string") return
    if (state === "accepted") {
      const to = addresseeIn(evidence)
      if (to !== undefined) this.add({ id, msgId, sha256, to })
      return
    }
    const message = this.find(msgId)
    if (message !== undefined) reach(message, state, by ?? "")
  }
}

/** Notes a rung. @returns false when the message had it */
export function reach(message: SentMessage, state: string, by: string): boolean {
  // One answer is enough; every other rung is told of each who reached it.
  const rung = state === "answered" ? state : `${state} ${by}`
  if (state === "claimed") message.claimant = by
  if (message.reached.has(rung)) return false
  message.reached.add(rung)
  return true
}

/** Acceptance tells whom a message was for: `to` of a direct message or a task, a number in a channel. */
function addresseeIn(evidence: Ack["evidence"]): string | undefined {
  const { to, seq } = evidence ?? {}
  if (typeof to === "string") return to
  return typeof seq === "number" ? "#" : undefined
}
