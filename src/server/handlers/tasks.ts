import type { ClientHandlers } from "../../protocol/client-messages.js"
import type { RelayState } from "../relay-state.js"
import type { Session } from "../sessions/session.js"

type TaskMessage = "CLAIM" | "EXTEND" | "DONE" | "FAIL"

/** Work for a role, as its workers see it. */
export function taskHandlers(house: RelayState): Pick<ClientHandlers<Session>, TaskMessage> {
  const { tasks } = house
  const confirm = (session: Session, re: string | undefined) => {
    session.send({ type: "ACK", ts: house.options.clock.now(), state: "done" }, re)
  }
  return {
    async CLAIM(session, { id, task }) {
      session.send(await tasks.claim(session.agent, task), id)
    },

    async EXTEND(session, { id, task }) {
      await tasks.extend(session.agent, task)
      confirm(session, id)
    },

    async DONE(session, { id, task, content = "" }) {
      await tasks.done(session.agent, task, content)
      confirm(session, id)
    },

    async FAIL(session, { id, task, reason }) {
      await tasks.fail(session.agent, task, reason)
      confirm(session, id)
    },
  }
}
