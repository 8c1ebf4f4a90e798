import type { ClientHandlers } from "../../protocol/client-messages.js"
import { type AgentRef, roleRefPattern } from "../../protocol/names.js"
import { resolveAgent } from "../delivery/agent-lookup.js"
import type { RelaySettings, Services } from "../services.js"
import type { Session } from "../sessions/session.js"

type MailServices = Pick<Services, "bookmarks" | "direct" | "mailboxes" | "roster" | "tasks">

/** Handles RECEIVED and PENDING: which messages have arrived, and which still wait. */
export function mailHandlers(
  { bookmarks, direct, mailboxes, roster, tasks }: MailServices,
  { clock }: RelaySettings,
): Pick<ClientHandlers<Session>, "RECEIVED" | "PENDING"> {
  return {
    RECEIVED({ agent, channels }, { ids, up_to: upTo, retrieved }) {
      const confirmed = ids === undefined ? [] : (agent.mailbox?.confirm(ids) ?? [])
      for (const id of confirmed) direct.reportDelivery(id, "mirrored", agent.id)
      for (const channel of channels) {
        const seq = upTo?.[channel.name]
        if (seq !== undefined && channel.isDurable)
          bookmarks.advance(agent.id, channel.name, Math.min(seq, channel.seq))
      }
      if (retrieved === undefined) return
      agent.markRead(clock.now())
      for (const id of retrieved) direct.reportDelivery(id, "retrieved", agent.id)
    },

    async PENDING(session, { id, target = session.agent.id }) {
      if (roleRefPattern.test(target)) {
        session.send({ type: "PENDING", target, ...tasks.pending(target.slice(1)) }, id)
        return
      }
      const agent = resolveAgent(target as AgentRef, roster, "target")
      const { count, ids, oldestTs } = await mailboxes.waitingFor(agent, session.agent.id)
      const oldest = oldestTs === undefined ? {} : { oldest_ts: oldestTs }
      session.send({ type: "PENDING", target: agent, count, ids, ...oldest }, id)
    },
  }
}
