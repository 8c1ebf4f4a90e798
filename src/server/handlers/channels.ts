import { randomUUID } from "node:crypto"
import { LruMap } from "../../base/lru-map.js"
import { omitUndefined } from "../../base/plain.js"
import { idOfChannel } from "../../coordination/channel-id.js"
import { pairOf } from "../../guards/scopes.js"
import { type ClientHandlers, type ClientMessage, isSpoken } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { formatInviteId, formatMessageId } from "../../protocol/message-id.js"
import { type AgentId, isChannelPattern } from "../../protocol/names.js"
import type { ChannelSettings } from "../../protocol/server-messages.js"
import type { Channel } from "../channels/channel.js"
import { isDefault } from "../channels/directory.js"
import { mergeSettings } from "../channels/record.js"
import { resolveAgent } from "../delivery/agent-lookup.js"
import type { GuardService } from "../guards/guard-service.js"
import type { RelaySettings, Services } from "../services.js"
import type { Agent } from "../sessions/agent.js"
import type { Session } from "../sessions/session.js"

/** Agents one channel may have invited. */
const maxInvitations = 10_000
/** Milliseconds for which an invitation is not sent again, and invitations remembered for that. */
const invitedAgainMs = 3_600_000
const invitationsKept = 10_000

/** Handles the messages that join, leave, create, list and remove channels. */
export function channelHandlers(
  {
    channels,
    membership,
    guards,
    moderation,
  }: Pick<Services, "channels" | "membership" | "guards" | "moderation">,
  { clock, log }: RelaySettings,
): Pick<ClientHandlers<Session>, "JOIN" | "LEAVE" | "CREATE_CHANNEL" | "LIST_CHANNELS" | "REMOVE_CHANNEL"> {
  return {
    JOIN(session, { id: re, channel: name, since }) {
      if (isChannelPattern(name)) return membership.joinPattern(session, name, re)
      const join = (channel: Channel) => membership.join(session, channel, { since, re })
      const { id } = session.agent
      const channel = channels.peek(name, id)
      return channel === undefined ? channels.findLatest(name, id).then(join) : join(channel)
    },

    async LEAVE(session, { id: re, channel: name }) {
      if (isChannelPattern(name)) await membership.leavePattern(session, name)
      else await membership.leave(session, channels.findJoined(name, session.agent))
      session.send({ type: "LEFT", channel: name }, re)
    },

    async CREATE_CHANNEL(session, message) {
      const { agent } = session
      const settings = mergeSettings({}, pickSettings(message))
      if (message.durable === true && !agent.isPersistent) {
        throw new ChatError("IDENTITY_REQUIRED", "durable: only an agent with a key makes durable channels")
      }
      if (isSpoken(message)) admitText(guards, agent, message.channel, [], textOf(settings))
      refuseCoordination(message.channel)
      const record = {
        isInviteOnly: message.invite_only ?? false,
        isDurable: message.durable ?? false,
        settings,
        maker: agent.id,
        by: agent.id,
        invited: [agent.id],
      }
      const channel = await channels.create(message.channel, record, agent.origin)
      membership.chargeCreation(session, channel)
      const inMemory = channels.isStored ? undefined : true
      await membership.join(session, channel, { re: message.id, inMemory })
    },

    async REMOVE_CHANNEL(session, { id, channel: name }) {
      if (!guards.isOperator(session.agent.id))
        throw operatorOnly("REMOVE_CHANNEL: only an operator may do this")
      if (isDefault(name)) throw new ChatError("UNSUPPORTED", `channel: ${name} is one that every relay has`)
      // An operator removes also what it cannot see.
      const channel = channels.get(name) ?? (await channels.findLatest(name, session.agent.id))
      log(`${name}: removed by ${session.agent.id}`)
      await channels.end(channel)
      session.send({ type: "ACK", ts: clock.now(), state: "done" }, id)
    },

    LIST_CHANNELS(session, { id }) {
      const { defaults } = channels.store
      const withDefaults = Object.keys(defaults).length > 0 ? { defaults } : {}
      const list = channels
        .list(session.agent.id)
        .map((entry) => ({ ...entry, ...omitUndefined({ writers: moderation.writersOf(entry.name) }) }))
      session.send({ type: "CHANNELS", list, ...withDefaults }, id)
    },
  }
}

type TextServices = Pick<Services, "channels" | "roster" | "direct" | "guards" | "grants">

/** Handles the messages about a channel that put text into the inboxes of others. */
export function channelTextHandlers(
  services: TextServices,
  { clock }: RelaySettings,
): Pick<ClientHandlers<Session>, "SET_CHANNEL" | "INVITE"> {
  const { channels, roster, direct, guards, grants } = services
  /** Times of invitations, by channel and agent. */
  const invitedAt = new LruMap<string, number>(invitationsKept)
  const acknowledge = (session: Session, re: string | undefined) =>
    session.send({ type: "ACK", ts: clock.now(), state: "done" }, re)

  return {
    async SET_CHANNEL(session, message) {
      const { agent } = session
      if (!agent.isPersistent) {
        throw new ChatError("IDENTITY_REQUIRED", "SET_CHANNEL: only an agent with a key changes channels")
      }
      const change = pickSettings(message)
      if (message.channel === "*") {
        checkMaySet(agent, undefined, services)
        const { replay, window } = change
        await channels.store.changeDefaults((defaults) => mergeSettings(defaults, { replay, window }))
      } else {
        const channel = channels.findJoined(message.channel, agent)
        checkMaySet(agent, channel, services)
        const text = textOf(mergeSettings(channel.settings, change))
        if (text !== textOf(channel.settings)) admitText(guards, agent, channel.name, [], text)
        await channels.change(channel, (record) => ({
          ...record,
          settings: mergeSettings(record.settings, change),
          by: agent.id,
        }))
      }
      acknowledge(session, message.id)
    },

    async INVITE(session, message) {
      const { id: from, name } = session.agent
      const channel = channels.findJoined(message.channel, session.agent)
      const invited = resolveAgent(message.agent, roster, "agent")
      if (!grants.mayRead(roster.find(invited) ?? { id: invited }, channel.name, true)) {
        throw new ChatError("FORBIDDEN", `agent: no grant lets ${invited} read ${channel.name}`)
      }
      const key = `${channel.name} ${invited}`
      const ts = clock.now()
      if (ts - (invitedAt.peek(key) ?? -Infinity) < invitedAgainMs) {
        acknowledge(session, message.id)
        return
      }
      if (channel.invitedCount >= maxInvitations) {
        throw new ChatError("LIMIT_REACHED", `agent: ${channel.name} has invited ${maxInvitations} agents`)
      }
      admitText(guards, session.agent, pairOf(from, invited), [invited], `invitation to ${channel.name}`)
      await channels.change(channel, (record) => ({
        ...record,
        invited: [...new Set([...record.invited, invited])],
      }))
      const msg_id = formatInviteId(from, channel.name, ts)
      await direct.notify(invited, msg_id, { type: "INVITE", channel: channel.name, from, name, ts, msg_id })
      invitedAt.set(key, ts)
      acknowledge(session, message.id)
    },
  }
}

/** Asks the guards for text that comes into inboxes without being a message. @throws {ChatError} GUARDED */
function admitText(
  guards: GuardService,
  { id: from, sharedOrigin }: Agent,
  channel: string,
  to: readonly AgentId[],
  text: string,
): void {
  const id = formatMessageId(from, `notice/${randomUUID()}`)
  const bytes = Buffer.byteLength(text)
  guards.admit({ id, from, sharedOrigin, channel, to, text, bytes })
}

/** @param channel - undefined for the defaults of all channels. @throws {ChatError} OPERATOR_REQUIRED */
function checkMaySet(
  agent: Agent,
  channel: Channel | undefined,
  { guards, roster }: Pick<TextServices, "guards" | "roster">,
): void {
  if (guards.isOperator(agent.id)) return
  const hasMaker = channel !== undefined && !isDefault(channel.name)
  const maker = hasMaker ? (channel.record.maker as AgentId | undefined) : undefined
  if (maker !== undefined && roster.currentId(maker) === agent.id) return
  const name = channel?.name ?? "the defaults of all channels"
  const who = maker === undefined ? "an operator" : `its maker ${maker} or an operator`
  throw operatorOnly(`SET_CHANNEL: only ${who} changes ${name}`)
}

/** @throws {ChatError} UNSUPPORTED */
function refuseCoordination(channel: string): void {
  if (idOfChannel(channel) === undefined) return
  throw new ChatError("UNSUPPORTED", `channel: ${channel} is the name of a coordination channel`, {
    hint: "those are made over HTTP: POST /agent-channel",
  })
}

function operatorOnly(message: string): ChatError {
  return new ChatError("OPERATOR_REQUIRED", message, {
    hint: "the operators are named where the relay is started: agentchat serve --operators FILE",
  })
}

type Settings = Pick<ClientMessage<"SET_CHANNEL">, "description" | "instructions" | "replay" | "window">

function pickSettings({ description, instructions, replay, window }: Settings) {
  return { description, instructions, replay, window }
}

/** Returns what the members read when the settings change. */
function textOf(settings: ChannelSettings): string {
  return JSON.stringify(settings)
}
