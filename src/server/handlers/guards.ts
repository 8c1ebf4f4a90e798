import { randomUUID } from "node:crypto"
import type { ClientHandlers } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { GuardUsage } from "../../protocol/guard-facts.js"
import { formatMessageId } from "../../protocol/message-id.js"
import { isQuiet } from "../../protocol/message-kinds.js"
import type { AgentId, AgentRef, Channel } from "../../protocol/names.js"
import { resolveAgent, successionTo } from "../delivery/agent-lookup.js"
import { agentsWoken } from "../delivery/route.js"
import { guardInputOf } from "../guards/guard-input.js"
import type { RelaySettings, Services } from "../services.js"
import type { Session } from "../sessions/session.js"

type GuardServices = Pick<Services, "guards" | "router" | "roster" | "channels" | "sessions" | "knownAgents">
type GuardMessage = "FORECAST" | "LIST_GUARDS" | "RESET_GUARD"

/** Agents named in a forecast; `recipients` is the number of all. */
const wokenIds = 100
const bytesPerToken = 4
const shownCharacters = 40
/** Requests that a look at the counts costs, because it goes through all that the guards remember. */
const lookCost = 20

/** Handles questions about what the guards have counted, and resets by an operator. */
export function guardHandlers(
  services: GuardServices,
  settings: RelaySettings,
): Pick<ClientHandlers<Session>, GuardMessage> {
  const { guards, router, roster } = services
  const { clock } = settings
  /** @throws {ChatError} RATE_LIMITED */
  function charge(session: Session, type: GuardMessage): void {
    const passage = session.requestRate.take(clock.monotonic(), lookCost - 1)
    if (passage.ok) return
    const { retryAfterMs } = passage
    throw new ChatError("RATE_LIMITED", `${type}: too fast; wait ${retryAfterMs} ms`, { retryAfterMs })
  }

  return {
    FORECAST(session, { id, ...message }) {
      const { agent } = session
      charge(session, "FORECAST")
      const route = router.route(agent, { ...message, type: "MSG" })
      const input = guardInputOf(route, agent, formatMessageId(agent.id, id ?? ""))
      const refused = guards.forecast(input)
      const woken = refused === undefined && !isQuiet(input.kind) ? agentsWoken(route, agent, wokenIds) : []
      // An agent that is offline reads a direct message later.
      const readers = route.channel === undefined ? 1 : route.recipients
      const answer = {
        type: "FORECAST",
        to: route.address,
        recipients: route.recipients,
        woken,
        tokens: Math.ceil(input.bytes / bytesPerToken) * readers,
        guards: usageOf(services, settings, agent.id, agent.id),
        ...(refused !== undefined && { refused }),
        ...(route.to !== undefined && successionTo(route.to, message.to, roster)),
      } as const
      session.send(answer, id)
    },

    async LIST_GUARDS(session, { id, agent: ref, stopped: isAll = false }) {
      const own = session.agent.id
      const agent = ref === undefined ? own : resolveAgent(ref, roster, "agent")
      if ((isAll || agent !== own) && !guards.isOperator(own)) throw notOperator("LIST_GUARDS")
      charge(session, "LIST_GUARDS")
      const list = isAll ? await guards.stops() : usageOf(services, settings, agent, own)
      session.send({ type: "GUARDS", agent, list, ...successionTo(agent, ref, roster) }, id)
    },

    async RESET_GUARD(session, { id, scope }) {
      const { agent } = session
      if (!guards.isOperator(agent.id)) throw notOperator("RESET_GUARD")
      const resolved = scope && resolveScope(services, agent.id, scope)
      const lifted = await guards.reset(agent.id, randomUUID(), resolved)
      session.send({ type: "ACK", ts: clock.now(), state: "done", lifted }, id)
    },
  }
}

/**
 * Returns what was counted of an agent: the rate, which is asked first, and the rules.
 * @param reader - the agent that asks; channels it cannot see are left out
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
  if (guards.isOperator(reader)) return true
  const names = scope.split(" ").filter((word) => word.startsWith("#"))
  return names.every((name) => channels.get(name)?.isVisibleTo(reader) === true)
}

/** Replaces the names in a scope that a person wrote by ids. */
function resolveScope({ roster, channels }: GuardServices, by: AgentId, scope: string): string {
  const words = scope.split(" ")
  const resolved = words.map((word) => {
    if (word.startsWith("@")) return resolveAgent(word as AgentRef, roster, "scope")
    // An operator may lift a stop in a channel that it cannot see.
    if (word.startsWith("#") && channels.get(word) === undefined)
      return channels.find(word as Channel, by).name
    if (/^[#+]/.test(word) || word === "in" || word === "to") return word
    throw new ChatError(
      "INVALID_MSG",
      `scope: ${JSON.stringify(word.slice(0, shownCharacters))} is no part of a scope`,
      {
        hint: "write the scope as the guard named it: #channel, +role, @agent, '@a @b', '@a to @b' or '@a in #channel'",
      },
    )
  })
  return resolved.join(" ")
}

function notOperator(type: GuardMessage): ChatError {
  return new ChatError("OPERATOR_REQUIRED", `${type}: only for operators of this relay`, {
    hint: "the operators are named where the relay is started: agentchat serve --operators FILE",
  })
}
