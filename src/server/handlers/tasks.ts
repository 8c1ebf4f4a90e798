import type { ClientHandlers } from "../../protocol/client-messages.js"
import type { RelaySettings, Services } from "../services.js"
import type { Session } from "../sessions/session.js"

type TaskMessage = "LIST_TASKS" | "CLAIM" | "EXTEND" | "DONE" | "FAIL"

/** Handles LIST_TASKS and the messages of workers: CLAIM, EXTEND, DONE and FAIL. */
export function taskHandlers(
  { tasks, grants }: Pick<Services, "tasks" | "grants">,
  { clock }: RelaySettings,
): Pick<ClientHandlers<Session>, TaskMessage> {
  const acknowledge = (session: Session, re: string | undefined) =>
    session.send({ type: "ACK", ts: clock.now(), state: "done" }, re)

  return {
    LIST_TASKS(session, { id, role }) {
      const listed = tasks.list(role, (each) => grants.maySeeTasks(session.agent, each))
      session.send({ type: "TASKS", ...listed }, id)
    },

    async CLAIM(session, { id, task }) {
      session.send(await tasks.claim(session.agent, task), id)
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
