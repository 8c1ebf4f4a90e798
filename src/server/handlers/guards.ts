import type { ClientHandlers } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { GuardUsage } from "../../protocol/guard-facts.js"
import { formatMessageId } from "../../protocol/message-id.js"
import { type AgentId, type AgentRef, type Channel, persistentIdPattern } from "../../protocol/names.js"
import { resolveAgent } from "../delivery/agent-lookup.js"
import { findRoute, guardInputOf } from "../delivery/route.js"
import type { RelayState } from "../relay-state.js"
import type { Session } from "../sessions/session.js"

type GuardMessage = "FORECAST" | "LIST_GUARDS" | "RESET_GUARD"

/** Agents named at once in a forecast; `recipients` tells how many there are. */
const wokenIds = 100
const bytesPerToken = 4
const shownCharacters = 40
/** Requests that one look at the counts stands for: it goes through whatever the guards remember of anybody. */
const looksCost = 20

/** What the guards have counted, and who lifts what they stopped. */
export function guardHandlers(house: RelayState): Pick<ClientHandlers<Session>, GuardMessage> {
  const { guards } = house
  const { clock } = house.options
  /** @throws {ChatError} RATE_LIMITED */
  function charge(session: Session, type: GuardMessage): void {
    const passage = session.requests.take(clock.monotonic(), looksCost - 1)
    if (passage.ok) return
    const { retryAfterMs } = passage
    throw new ChatError("RATE_LIMITED", `${type}: too fast; wait ${retryAfterMs} ms`, { retryAfterMs })
  }

  return {
    FORECAST(session, { id, ...message }) {
      const { agent } = session
      charge(session, "FORECAST")
      const aim = findRoute(house, agent, { ...message, type: "MSG" })
      const saying = guardInputOf(aim, agent, formatMessageId(agent.id, id ?? ""))
      const { refused, ...origin } = guards.forecast(saying)
      const woken = refused === undefined && guards.wakes(origin) ? aim.awake(wokenIds) : []
      const answer = {
        type: "FORECAST",
        to: aim.address,
        recipients: aim.recipients,
        woken,
        tokens: Math.ceil(saying.bytes / bytesPerToken) * saying.recipients,
        guards: usageOf(house, agent.id, agent.id),
        ...(refused !== undefined && { refused }),
      } as const
      session.send(answer, id)
    },

    LIST_GUARDS(session, { id, agent: ref }) {
      const own = session.agent.id
      const agent = ref === undefined ? own : resolveAgent(ref, house.roster, "agent")
      if (agent !== own && !guards.isOperator(own)) throw notOperator("LIST_GUARDS")
      charge(session, "LIST_GUARDS")
      session.send({ type: "GUARDS", agent, list: usageOf(house, agent, own) }, id)
    },

    async RESET_GUARD(session, { id, scope }) {
      const { agent } = session
      if (!guards.isOperator(agent.id)) throw notOperator("RESET_GUARD")
      await guards.reset(agent.id, house.nextFrameId(), scope && resolveScope(house, agent.id, scope))
      session.send({ type: "ACK", ts: clock.now(), state: "done" }, id)
    },
  }
}

/**
 * The layers, and before them the rate, which is asked first.
 * @param reader - who is told: nothing of rooms that it may not know of
 */
function usageOf(house: RelayState, id: AgentId, reader: AgentId): GuardUsage[] {
  const { hub, residents, options, guards } = house
  const meter = (hub.find(id)?.agent.memory ?? residents.memoryOf(id))?.meter
  const list = guards.usage(id).filter(({ scope }) => mayKnow(house, scope, reader))
  if (meter === undefined) return list
  const { used, freeInMs, nextInMs } = meter.usage(options.clock.monotonic())
  const { rateBurst: limit } = options.limits
  const rate = { layer: "rate", scope: id, used, limit, tripped: nextInMs > options.guards.ratePatienceMs }
  return [{ ...rate, ...(freeInMs !== undefined && { free_in_ms: freeInMs }) }, ...list]
}

function mayKnow({ channels, guards }: RelayState, scope: string, reader: AgentId): boolean {
  const rooms = scope.split(" ").filter((word) => word.startsWith("#"))
  return guards.isOperator(reader) || rooms.every((room) => channels.get(room)?.isVisibleTo(reader) === true)
}

/** Names as a person writes them, by id and in the order of the guards. */
function resolveScope({ roster, channels }: RelayState, by: AgentId, scope: string): string {
  const words = scope.split(" ")
  const resolved = words.map((word) => {
    if (word.startsWith("@")) return resolveKnown(word as AgentRef, roster)
    // An operator lifts also what was stopped in a channel that it may not see.
    if (word.startsWith("#") && channels.get(word) === undefined)
      return channels.find(word as Channel, by).name
    if (/^[#+]/.test(word) || word === "in" || word === "to") return word
    throw new ChatError(
      "INVALID_MSG",
      `scope: ${JSON.stringify(word.slice(0, shownCharacters))} is nothing a guard stops`,
      {
        hint: "write it as the guard named it: #channel, +role, @agent, '@a @b', '@a to @b' or '@a in #channel'",
      },
    )
  })
  return resolved.join(" ")
}

/** Whom the relay has forgotten may still be stopped. */
function resolveKnown(ref: AgentRef, roster: RelayState["roster"]): string {
  try {
    return resolveAgent(ref, roster, "scope")
  } catch (error) {
    const isForgotten = error instanceof ChatError && error.code === "AGENT_NOT_FOUND"
    if (isForgotten && persistentIdPattern.test(ref)) return ref
    throw error
  }
}

function notOperator(type: GuardMessage): ChatError {
  return new ChatError("OPERATOR_REQUIRED", `${type}: only an operator of this relay may do this`, {
    hint: "whoever runs the relay names its operators: agentchat serve --operators FILE",
  })
}
