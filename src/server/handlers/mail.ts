import type { ClientHandlers, ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { type AgentRef, roleRefPattern } from "../../protocol/names.js"
import { resolveAgent, successionTo } from "../delivery/agent-lookup.js"
import type { RelaySettings, Services } from "../services.js"
import type { Agent } from "../sessions/agent.js"
import type { ReportedStage } from "../sessions/delivered-ids.js"
import type { Session } from "../sessions/session.js"

/** Ids in RECEIVED that report nothing new and together cost as much as one refused frame. */
const idsPerCell = 10

type Receipt = ClientMessage<"RECEIVED">

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
    { rung = [], retrieved = [], in_context: inContext = [], method }: Receipt,
  ): number {
    const mark = (ids: readonly string[], state: ReportedStage) =>
      ids.filter((id) => memory.delivered.mark(id, state)).map((id) => ({ id, state }))
    const reported = [...mark(rung, "rung"), ...mark(retrieved, "retrieved")]
    // A reader has taken what is in a context, even if only that was reported.
    const taken = mark(inContext, "retrieved")
    reported.push(...mark(inContext, "in_context"))
    for (const { id, state } of [...taken, ...reported])
      void direct.reportDelivery(id, state, by, state === "retrieved" ? undefined : method)
    return rung.length + retrieved.length + inContext.length - reported.length
  }

  /** As {@link reportStages}; returns a promise while the store is asked. */
  function takeStages(agent: Agent, receipt: Receipt): number | Promise<number> {
    const { rung = [], retrieved = [], in_context: inContext = [] } = receipt
    const ids = agent.isPersistent ? [...rung, ...retrieved, ...inContext] : []
    const unknown = ids.filter((id) => !agent.memory.delivered.has(id))
    if (unknown.length === 0) return reportStages(agent, receipt)
    return recallDelivered(direct, agent, unknown).then(() => reportStages(agent, receipt))
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
      const pay = (others: number) => session.payForWaste((1 + useless + others) / idsPerCell)
      const others = takeStages(agent, message)
      return typeof others === "number" ? pay(others) : others.then(pay)
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

/** Remembers those of the messages that were delivered to an agent before this relay started, or by another one. */
async function recallDelivered(
  direct: Pick<Services["direct"], "wasMirrored">,
  { id: by, formerly = [], memory }: Agent,
  ids: readonly string[],
): Promise<void> {
  const recall = async (id: string) => {
    const found = await Promise.all([by, ...formerly].map((each) => direct.wasMirrored(id, each)))
    if (found.includes(true)) memory.delivered.add(id)
  }
  try {
    await Promise.all(ids.map(recall))
  } catch (error) {
    if (!(error instanceof ChatError)) throw error
  }
}
