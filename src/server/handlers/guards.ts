import { randomUUID } from "node:crypto"
import type { ClientHandlers } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { GuardUsage } from "../../protocol/guard-facts.js"
import { formatMessageId } from "../../protocol/message-id.js"
import { type AgentId, type AgentRef, type Channel, persistentIdPattern } from "../../protocol/names.js"
import { resolveAgent } from "../delivery/agent-lookup.js"
import { agentsWoken, guardInputOf } from "../delivery/route.js"
import type { RelaySettings, Services } from "../services.js"
import type { Session } from "../sessions/session.js"

type GuardServices = Pick<Services, "guards" | "router" | "roster" | "channels" | "sessions" | "knownAgents">
type GuardMessage = "FORECAST" | "LIST_GUARDS" | "RESET_GUARD"

/** Agents named at once in a forecast; `recipients` tells how many there are. */
const wokenIds = 100
const bytesPerToken = 4
const shownCharacters = 40
/** Requests that one look at the counts stands for: it goes through whatever the guards remember of anybody. */
const looksCost = 20

/** What the guards have counted, and who lifts what they stopped. */
export function guardHandlers(
  services: GuardServices,
  settings: RelaySettings,
): Pick<ClientHandlers<Session>, GuardMessage> {
  const { guards, router, roster } = services
  const { clock } = settings
  /** @throws {ChatError} RATE_LIMITED */
  function charge(session: Session, type: GuardMessage): void {
    const passage = session.requestRate.take(clock.monotonic(), looksCost - 1)
    if (passage.ok) return
    const { retryAfterMs } = passage
    throw new ChatError("RATE_LIMITED", `${type}: too fast; wait ${retryAfterMs} ms`, { retryAfterMs })
  }

  return {
    FORECAST(session, { id, ...message }) {
      const { agent } = session
      charge(session, "FORECAST")
      const route = router.route(agent, { ...message, type: "MSG" })
      const saying = guardInputOf(route, agent, formatMessageId(agent.id, id ?? ""))
      const { refused, ...origin } = guards.forecast(saying)
      const woken = refused === undefined && guards.wakes(origin) ? agentsWoken(route, agent, wokenIds) : []
      const answer = {
        type: "FORECAST",
        to: route.address,
        recipients: route.recipients,
        woken,
        tokens: Math.ceil(saying.bytes / bytesPerToken) * saying.recipients,
        guards: usageOf(services, settings, agent.id, agent.id),
        ...(refused !== undefined && { refused }),
      } as const
      session.send(answer, id)
    },

    LIST_GUARDS(session, { id, agent: ref }) {
      const own = session.agent.id
      const agent = ref === undefined ? own : resolveAgent(ref, roster, "agent")
      if (agent !== own && !guards.isOperator(own)) throw notOperator("LIST_GUARDS")
      charge(session, "LIST_GUARDS")
      session.send({ type: "GUARDS", agent, list: usageOf(services, settings, agent, own) }, id)
    },

    async RESET_GUARD(session, { id, scope }) {
      const { agent } = session
      if (!guards.isOperator(agent.id)) throw notOperator("RESET_GUARD")
      await guards.reset(agent.id, randomUUID(), scope && resolveScope(services, agent.id, scope))
      session.send({ type: "ACK", ts: clock.now(), state: "done" }, id)
    },
  }
}

/**
 * The layers, and before them the rate, which is asked first.
 * @param reader - who is told: nothing of rooms that it may not know of
 */
function usageOf(
  services: GuardServices,
  { clock, limits, guards: guardLimits }: RelaySettings,
  id: AgentId,
  reader: AgentId,
): GuardUsage[] {
  const { sessions, knownAgents, guards } = services
  const meter = (sessions.find(id)?.agent.memory ?? knownAgents.memoryOf(id))?.meter
  const list = guards.usage(id).filter(({ scope }) => mayKnow(services, scope, reader))
  if (meter === undefined) return list
  const { used, freeInMs, nextInMs } = meter.usage(clock.monotonic())
  const { rateBurst: limit } = limits
  const rate = { layer: "rate", scope: id, used, limit, tripped: nextInMs > guardLimits.ratePatienceMs }
  return [{ ...rate, ...(freeInMs !== undefined && { free_in_ms: freeInMs }) }, ...list]
}

function mayKnow({ channels, guards }: GuardServices, scope: string, reader: AgentId): boolean {
  const rooms = scope.split(" ").filter((word) => word.startsWith("#"))
  return guards.isOperator(reader) || rooms.every((room) => channels.get(room)?.isVisibleTo(reader) === true)
}

/** Names as a person writes them, by id and in the order of the guards. */
function resolveScope({ roster, channels }: GuardServices, by: AgentId, scope: string): string {
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
function resolveKnown(ref: AgentRef, roster: Services["roster"]): string {
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
