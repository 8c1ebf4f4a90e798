import { agentIdOfDid } from "../../proposals/statement.js"
import { persistentIdPattern } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import { isVerb, proposalIdOf, type Verb } from "../../protocol/verbs.js"
import type { OutboxFrame } from "../outbox/line.js"

/** What an answer tells beside that it came, named as in the protocol. */
type Evidence = Readonly<Record<string, unknown>>

/**
 * What acks.jsonl keeps of the answer to a line.
 * @returns undefined when the answer says no more than that the relay took the line
 */
export function evidenceOf(answer: ServerMessage, frame: OutboxFrame): Evidence | undefined {
  if (isVerb(answer.type)) return evidenceOfStatement(answer as ServerMessage<Verb>)
  switch (answer.type) {
    case "ACK":
      return evidenceOfAck(answer, frame)
    case "CHANNELS":
      return present({ list: answer.list, defaults: answer.defaults })
    case "AGENTS":
      return { list: answer.list, roster: answer.roster }
    case "JOINED": {
      const { count, seq, durable, settings } = answer
      return present({ count, seq, durable, settings })
    }
    case "PENDING":
    case "GUARDS":
    case "FORECAST": {
      const { type: _type, re: _re, ...evidence } = answer
      return evidence
    }
    case "TASK": {
      const { type: _type, re: _re, ts: _ts, ...evidence } = answer
      return evidence
    }
    default:
      return undefined
  }
}

/**
 * Whom a message was for: the `#channel`, the `+role`, or the agent that a name meant.
 * @returns undefined when the relay does not say who bears the name
 */
export function addresseeOf(to: string, { to: resolved }: ServerMessage<"ACK">): string | undefined {
  if (!to.startsWith("@")) return to
  return resolved ?? (persistentIdPattern.test(to) ? to : undefined)
}

/** Which deal a statement is of, what became of it, and who the other party is. */
function evidenceOfStatement(statement: ServerMessage<Verb>): Evidence {
  const proposalId = proposalIdOf(statement)
  return { proposal_id: proposalId, state: statement.state, to: agentIdOfDid(statement.to) }
}

function evidenceOfAck(answer: ServerMessage<"ACK">, frame: OutboxFrame): Evidence | undefined {
  const { seq, recipients } = answer
  const to = frame.type === "MSG" && !frame.to.startsWith("#") ? addresseeOf(frame.to, answer) : undefined
  const evidence = present({ seq, recipients, to })
  return Object.keys(evidence).length === 0 ? undefined : evidence
}

function present(fields: Evidence): Evidence {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined))
}
