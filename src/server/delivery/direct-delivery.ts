import type { Clock } from "../../base/clock.js"
import { authorOf, isStatementId, mailEntryId } from "../../protocol/message-id.js"
import { type AgentId, persistentIdPattern } from "../../protocol/names.js"
import type { DeliveryState, ServerMessage } from "../../protocol/server-messages.js"
import type { Roster } from "../roster/roster.js"
import type { SessionRegistry } from "../sessions/session-registry.js"
import { type Payload, payloadOf, textOf } from "../wire/payload.js"
import type { Mailboxes } from "./mailboxes.js"
import type { RelayBus } from "./relay-bus.js"

/** Where a courier looks for agents, and what it leaves things with. */
interface DirectDeliveryOptions {
  readonly hub: SessionRegistry
  readonly roster: Pick<Roster, "find">
  readonly bus: Pick<RelayBus, "send">
  readonly mail: Pick<Mailboxes, "post" | "postNews">
  readonly clock: Clock
}

/**
 * Brings single agents what is for them, wherever they are connected. Whom this relay does not know may have come to
 * another one a moment ago.
 */
export class DirectDelivery {
  readonly #its: DirectDeliveryOptions

  constructor(options: DirectDeliveryOptions) {
    this.#its = options
  }

  /** Hands a message to somebody who has no mail: now or never. */
  hand(to: AgentId, payload: Payload): void {
    const { hub, bus } = this.#its
    const session = hub.find(to)
    if (session === undefined) bus.send(to, textOf(payload))
    else session.outgoing.send(payload)
  }

  /** Tells an agent what became of a message of its own, now or when it is back. */
  notify(to: AgentId, news: ServerMessage<"DELIVERY">): void {
    const { hub, roster, mail } = this.#its
    const isAway = hub.find(to) === undefined && roster.find(to)?.status === "offline"
    if (isAway) mail.postNews(to, news)
    else this.hand(to, payloadOf(JSON.stringify(news)))
  }

  /** Tells the author of a message which rung it reached, now or when it is back. */
  tellAuthor(messageId: string, state: DeliveryState, by: AgentId): void {
    const author = authorOf(messageId)
    // A party's own copy of what it signed is not delivered to anybody.
    if (author === by && isStatementId(messageId)) return
    this.notify(author, { type: "DELIVERY", msg_id: messageId, state, by, ts: this.#its.clock.now() })
  }

  /** Brings what a worker found out to who asked for the task. @throws {ChatError} MAILBOX_FULL, UNAVAILABLE */
  async answer(task: string, text: string): Promise<void> {
    const to = authorOf(task)
    // Named by the task: whoever sends it, and however often, it is one.
    if (persistentIdPattern.test(to)) await this.#its.mail.post(to, mailEntryId.taskAnswer(task), text)
    else this.hand(to, payloadOf(text))
  }
}
