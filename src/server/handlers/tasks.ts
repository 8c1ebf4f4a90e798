import type { ClientHandlers } from "../../protocol/client-messages.js"
import { isGone, type RelaySettings, type Services } from "../services.js"
import type { Session } from "../sessions/session.js"

type TaskMessage = "LIST_TASKS" | "CLAIM" | "EXTEND" | "DONE" | "FAIL"

/** Handles LIST_TASKS and the messages of workers: CLAIM, EXTEND, DONE and FAIL. */
export function taskHandlers(
  services: Pick<Services, "tasks" | "grants" | "endedKeys" | "moderation" | "roster">,
  { clock }: RelaySettings,
): Pick<ClientHandlers<Session>, TaskMessage> {
  const { tasks, grants } = services
  const acknowledge = (session: Session, re: string | undefined) =>
    session.send({ type: "ACK", ts: clock.now(), state: "done" }, re)

  return {
    LIST_TASKS(session, { id, role }) {
      const listed = tasks.list(role, (each) => grants.maySeeTasks(session.agent, each))
      session.send({ type: "TASKS", ...listed }, id)
    },

    async CLAIM(session, { id, task }) {
      const { agent } = session
      const claimed = await tasks.claim(agent, task)
      // Its other tasks were given back before it had this one.
      if (isGone(agent.id, services)) await tasks.giveUp(agent.id)
      session.send(claimed, id)
    },

    async EXTEND(session, { id, task }) {
      await tasks.extend(session.agent, task)
      acknowledge(session, id)
    },

    async DONE(session, { id, task, content = "", answer: proof, signed }) {
      await tasks.done(session.agent, task, content, { proof, signed })
      acknowledge(session, id)
    },

    async FAIL(session, { id, task, reason }) {
      await tasks.fail(session.agent, task, reason)
      acknowledge(session, id)
    },
  }
}
