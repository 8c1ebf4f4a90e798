import type { ClientHandlers } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { House } from "../house.js"
import type { Session } from "../session.js"

type TaskMessage = "CLAIM" | "EXTEND" | "DONE" | "FAIL"

/** Work for a role. */
export function taskHandlers(_house: House): Pick<ClientHandlers<Session>, TaskMessage> {
  const refuse = () => {
    throw new ChatError("UNSUPPORTED", "tasks: not built yet")
  }
  return { CLAIM: refuse, EXTEND: refuse, DONE: refuse, FAIL: refuse }
}
