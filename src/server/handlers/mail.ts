import { delay } from "../../base/clock.js"
import type { ClientHandlers, ClientMessage } from "../../protocol/client-messages.js"
import { type AgentRef, roleRefPattern } from "../../protocol/names.js"
import { resolveAgent, successionTo } from "../delivery/agent-lookup.js"
import type { RelaySettings, Services } from "../services.js"
import type { Agent } from "../sessions/agent.js"
import type { ReportedStage } from "../sessions/delivered-ids.js"
import type { Session } from "../sessions/session.js"

/** Ids in RECEIVED that report nothing new and together cost as much as one refused frame. */
const idsPerCell = 10
/** Most milliseconds that the next frame of a session waits until the stages of this one are stored. */
const stageMs = 1_000

type MailServices = Pick<Services, "bookmarks" | "direct" | "mailboxes" | "roster" | "tasks">

/** Handles RECEIVED and PENDING: which messages have arrived, and which still wait. */
export function mailHandlers(
  { bookmarks, direct, mailboxes, roster, tasks }: MailServices,
  { clock }: RelaySettings,
): Pick<ClientHandlers<Session>, "RECEIVED" | "PENDING"> {
  /** @returns how many of the ids confirm something */
  function confirmMail({ id: by, mailbox }: Agent, ids: readonly string[]): number {
    if (mailbox === undefined || ids.length === 0) return 0
    const { messages, known } = mailbox.claim(ids)
    // A message leaves the mailbox once that of its author has the stage: a crash in between loses neither.
    void Promise.all(messages.map((id) => direct.reportDelivery(id, "mirrored", by))).then(() =>
      mailbox.confirm(ids),
    )
    return known
  }

  /** Reports the stages of messages that were sent to the agent, each once. @returns the number of the other ids */
  function reportStages(
    { id: by, memory }: Agent,
    { rung = [], retrieved = [], in_context: inContext = [], method }: ClientMessage<"RECEIVED">,
  ): { useless: number; stored?: Promise<unknown> } {
    const mark = (ids: readonly string[], state: ReportedStage) =>
      ids.filter((id) => memory.delivered.mark(id, state)).map((id) => ({ id, state }))
    const reported = [...mark(rung, "rung"), ...mark(retrieved, "retrieved")]
    // A reader has taken what is in a context, even if only that was reported.
    const taken = mark(inContext, "retrieved")
    reported.push(...mark(inContext, "in_context"))
    const useless = rung.length + retrieved.length + inContext.length - reported.length
    const reached = [...taken, ...reported]
    if (reached.length === 0) return { useless }
    const stored = Promise.all(
      reached.map(({ id, state }) =>
        direct.reportDelivery(id, state, by, state === "retrieved" ? undefined : method),
      ),
    )
    // A relay that is killed before would not know afterwards that it delivered them.
    return { useless, stored: Promise.race([stored, delay(clock, stageMs, { unref: true })]) }
  }

  return {
    RECEIVED(session, message) {
      const { ids = [], up_to: upTo, retrieved, in_context: inContext } = message
      const { agent, channels } = session
      const useless = ids.length - confirmMail(agent, ids)
      for (const channel of channels) {
        const seq = upTo?.[channel.name]
        if (seq !== undefined && channel.isDurable)
          bookmarks.advance(agent.id, channel.name, Math.min(seq, channel.seq))
      }
      if (retrieved !== undefined || inContext !== undefined) agent.markRead(clock.now())
      const readers = reportStages(agent, message)
      const paid = session.payForWaste((1 + useless + readers.useless) / idsPerCell)
      return readers.stored?.then(() => paid) ?? paid
    },

    async PENDING(session, { id, target = session.agent.id }) {
      if (roleRefPattern.test(target)) {
        session.send({ type: "PENDING", target, ...tasks.pending(target.slice(1)) }, id)
        return
      }
      const agent = resolveAgent(target as AgentRef, roster, "target")
      const { count, ids, oldestTs } = await mailboxes.waitingFor(agent, session.agent)
      const oldest = oldestTs === undefined ? {} : { oldest_ts: oldestTs }
      const proof = successionTo(agent, target, roster)
      session.send({ type: "PENDING", target: agent, count, ids, ...oldest, ...proof }, id)
    },
  }
}
