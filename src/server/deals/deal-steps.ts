import type { DealStep } from "../../guards/rules/deals.js"
import { agentIdOfDid } from "../../proposals/statement.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Statement } from "../../protocol/statements.js"
import { isVerb, proposalIdOf, type Verb } from "../../protocol/verbs.js"
import type { Stored } from "../delivery/message-json.js"

/** A statement as the guards look at it; undefined where they do not. @param id - its `msg_id` */
export function stepOf(statement: Statement, id: string): DealStep | undefined {
  const { type: verb } = statement
  if (verb !== "PROPOSAL" && verb !== "REJECT" && verb !== "COMPLETE") return undefined
  const deal = proposalIdOf(statement)
  return { id, verb, deal, from: agentIdOfDid(statement.from), to: agentIdOfDid(statement.to) }
}

/** The same of what a relay posts to the parties of a deal; undefined for anything else. */
export function overheardStep(message: Stored): DealStep | undefined {
  if (!isVerb(message.type)) return undefined
  return stepOf(message as ServerMessage<Verb>, message.msg_id)
}
