/** What becomes of one message, as its sender is told rung by rung. */
import type { Address } from "../../protocol/names.js"

/** Rungs of the delivery ladder that a sender can wait for, lowest first. */
export const ladder = ["accepted", "mirrored", "retrieved", "answered"] as const
/** One of {@link ladder}. */
export type Rung = (typeof ladder)[number]

/** A rung that was reached; for a task also `claimed` and `failed`. */
export interface ReachedRung {
  readonly state: string
  /** Milliseconds since the Unix epoch. */
  readonly ts: number
  /** Agent id of who says so. */
  readonly by?: string
  readonly reason?: string
}

/** The answer to a message. */
export interface Reply {
  readonly msg_id: string
  readonly from: string
  readonly name?: string
  readonly content: string
  readonly parts?: unknown
  readonly ts: number
}

type Members = Readonly<Record<string, unknown>>

/** Follows one message up the ladder until it is where its sender wants it. */
export class Delivery {
  readonly wanted: Rung
  readonly #target: Address
  readonly #rungs: ReachedRung[] = []
  /** Who is to answer; undefined: anybody. */
  #addressee: string | undefined
  #msgId: string | undefined
  #reply: Reply | undefined

  constructor(target: Address, wanted: Rung) {
    this.#target = target
    this.wanted = wanted
    if (/^@[0-9a-f]{16}$/.test(target)) this.#addressee = target
  }

  get rungs(): readonly ReachedRung[] {
    return this.#rungs
  }

  /** Known once the message is accepted. */
  get msgId(): string | undefined {
    return this.#msgId
  }

  get reply(): Reply | undefined {
    return this.#reply
  }

  /** The last rung, or `written` before the first. */
  get state(): string {
    return this.#rungs.at(-1)?.state ?? "written"
  }

  /** Whether the wanted rung, or one above it, is reached. Of an answer the text is wanted too. */
  get isReached(): boolean {
    if (this.wanted === "answered") return this.#reply !== undefined
    return this.#rungs.some(({ state }) => heightOf(state) >= heightOf(this.wanted))
  }

  /** Whether nothing more will come: reached, or a task that nobody could do. */
  get isOver(): boolean {
    return this.isReached || this.state === "failed"
  }

  /** Takes a rung: an ACK, a DELIVERY, or a line of acks.jsonl. */
  take({ state, ts, by, msg_id, to, reason }: Members): void {
    if (typeof state !== "string" || typeof ts !== "number") return
    if (state === "accepted") {
      if (typeof msg_id === "string") this.#msgId = msg_id
      if (typeof to === "string" && this.#target.startsWith("@")) this.#addressee = to
    } else if (msg_id !== this.#msgId) return
    if (state === "answered" && this.#rungs.some((rung) => rung.state === state)) return
    this.#rungs.push({
      state,
      ts,
      ...(typeof by === "string" ? { by } : {}),
      ...(typeof reason === "string" ? { reason } : {}),
    })
  }

  /**
   * Takes a message that came in meanwhile: a MSG, or a line of an inbox.
   * @returns whether it is the answer
   */
  hear(message: Members): boolean {
    const { type, in_reply_to, from, name, content, ts, msg_id, parts, self } = message
    const isReply =
      type === "MSG" && self !== true && in_reply_to === this.#msgId && this.#msgId !== undefined
    if (!isReply || this.#reply !== undefined) return false
    if (typeof from !== "string" || typeof content !== "string" || typeof ts !== "number") return false
    if (!this.#mayAnswer(from)) return false
    this.#reply = {
      msg_id: String(msg_id),
      from,
      content,
      ts,
      ...(typeof name === "string" ? { name } : {}),
      ...(parts === undefined ? {} : { parts }),
    }
    this.take({ state: "answered", ts, by: from, msg_id: this.#msgId })
    return true
  }

  /** A stranger who learnt the id must not pass for the one who was asked. */
  #mayAnswer(from: string): boolean {
    if (this.#addressee !== undefined) return from === this.#addressee
    const claimers = this.#rungs.filter(({ state }) => state === "claimed").map(({ by }) => by)
    return claimers.length === 0 || claimers.includes(from)
  }
}

function heightOf(state: string): number {
  return (ladder as readonly string[]).indexOf(state)
}
