import type { ClientHandlers } from "../../protocol/client-messages.js"
import { type AgentRef, roleRefPattern } from "../../protocol/names.js"
import { resolveAgent } from "../delivery/agent-lookup.js"
import type { RelaySettings, Services } from "../services.js"
import type { Agent } from "../sessions/agent.js"
import type { Session } from "../sessions/session.js"

type MailServices = Pick<Services, "bookmarks" | "direct" | "mailboxes" | "roster" | "tasks">

/** Handles RECEIVED and PENDING: which messages have arrived, and which still wait. */
export function mailHandlers(
  { bookmarks, direct, mailboxes, roster, tasks }: MailServices,
  { clock }: RelaySettings,
): Pick<ClientHandlers<Session>, "RECEIVED" | "PENDING"> {
  async function confirmMail({ id: by, mailbox }: Agent, ids: readonly string[]): Promise<void> {
    // A message leaves the mailbox once that of its author has the stage: a crash in between loses neither.
    const messages = mailbox?.unconfirmed(ids) ?? []
    await Promise.all(messages.map((id) => direct.reportDelivery(id, "mirrored", by)))
    mailbox?.confirm(ids)
  }

  return {
    RECEIVED({ agent, channels }, { ids, up_to: upTo, retrieved }) {
      if (ids !== undefined) void confirmMail(agent, ids)
      for (const channel of channels) {
        const seq = upTo?.[channel.name]
        if (seq !== undefined && channel.isDurable)
          bookmarks.advance(agent.id, channel.name, Math.min(seq, channel.seq))
      }
      if (retrieved === undefined) return
      agent.markRead(clock.now())
      for (const id of retrieved) void direct.reportDelivery(id, "retrieved", agent.id)
    },

    async PENDING(session, { id, target = session.agent.id }) {
      if (roleRefPattern.test(target)) {
        session.send({ type: "PENDING", target, ...tasks.pending(target.slice(1)) }, id)
        return
      }
      const agent = resolveAgent(target as AgentRef, roster, "target")
      const { count, ids, oldestTs } = await mailboxes.waitingFor(agent, session.agent)
      const oldest = oldestTs === undefined ? {} : { oldest_ts: oldestTs }
      session.send({ type: "PENDING", target: agent, count, ids, ...oldest }, id)
    },
  }
}
