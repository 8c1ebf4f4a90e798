import type { ClientHandlers, ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import {
  type AgentId,
  type Channel as ChannelName,
  type ChannelPattern,
  isChannelPattern,
  matchesChannel,
  persistentIdPattern,
} from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Channel } from "../channels/channel.js"
import { joinChannel } from "../channels/join-channel.js"
import { mergeSettings } from "../channels/record.js"
import { resolveAgent } from "../delivery/agent-lookup.js"
import type { RelayState } from "../relay-state.js"
import type { Agent } from "../sessions/agent.js"
import type { Session } from "../sessions/session.js"
import { payloadOf } from "../wire/payload.js"

/** Agents one channel may have invited. */
const maxInvitations = 10_000
/** Patterns one session may have. */
const maxPatterns = 100

type ChannelMessage = "JOIN" | "LEAVE" | "CREATE_CHANNEL" | "SET_CHANNEL" | "INVITE" | "LIST_CHANNELS"

/** Coming into channels and going out of them. */
export function channelHandlers(house: RelayState): Pick<ClientHandlers<Session>, ChannelMessage> {
  const { channels } = house
  const { clock } = house.options
  return {
    JOIN(session, { id: re, channel: wanted, since }) {
      if (isChannelPattern(wanted)) return enterPattern(house, session, wanted, re)
      const enter = (channel: Channel) => joinChannel(house, session, channel, { since, re })
      const { id } = session.agent
      const channel = channels.peek(wanted, id)
      return channel === undefined ? channels.seek(wanted, id).then(enter) : enter(channel)
    },

    async LEAVE(session, { id: re, channel: wanted }) {
      if (isChannelPattern(wanted)) await leavePattern(house, session, wanted)
      else await leave(house, session, channels.findJoined(wanted, session.agent))
      session.send({ type: "LEFT", channel: wanted }, re)
    },

    async CREATE_CHANNEL(session, message) {
      const { agent } = session
      const channel = await channels.create(message.channel, {
        isInviteOnly: message.invite_only ?? false,
        isDurable: message.durable ?? false,
        settings: mergeSettings({}, pickSettings(message)),
        by: agent.id,
        invited: [agent.id],
      })
      await joinChannel(house, session, channel, { re: message.id })
    },

    async SET_CHANNEL(session, message) {
      await setChannel(house, session.agent, message)
      session.send({ type: "ACK", ts: clock.now(), state: "done" }, message.id)
    },

    async INVITE(session, message) {
      const channel = channels.findJoined(message.channel, session.agent)
      const invited = whomToInvite(house, message)
      if (channel.invitations >= maxInvitations) {
        throw new ChatError("LIMIT_REACHED", `agent: ${channel.name} has invited ${maxInvitations} agents`)
      }
      await channels.change(channel, (record) => ({
        ...record,
        invited: [...new Set([...record.invited, invited])],
      }))
      const ts = clock.now()
      const { id: from, name } = session.agent
      const news: ServerMessage<"INVITE"> = { type: "INVITE", channel: channel.name, from, name, ts }
      house.courier.hand(invited, payloadOf(JSON.stringify(news)))
      session.send({ type: "ACK", ts, state: "done" }, message.id)
    },

    LIST_CHANNELS(session, message) {
      const list = channels.visibleTo(session.agent.id).map((channel) => {
        const { entry } = channel
        return { ...entry, agents: entry.agents + house.roster.countRemoteMembers(channel.name) }
      })
      const { defaults } = channels.store
      const told = Object.keys(defaults).length > 0 ? { defaults } : {}
      session.send({ type: "CHANNELS", list, ...told }, message.id)
    },
  }
}

async function setChannel({ channels }: RelayState, agent: Agent, message: ClientMessage<"SET_CHANNEL">) {
  const change = pickSettings(message)
  if (!agent.isPersistent) {
    throw new ChatError("IDENTITY_REQUIRED", "SET_CHANNEL: only who has proven a key changes a channel")
  }
  if (message.channel === "*") {
    const { replay, window } = change
    await channels.store.changeDefaults((defaults) => mergeSettings(defaults, { replay, window }))
    return
  }
  await channels.change(channels.findJoined(message.channel, agent), (record) => ({
    ...record,
    settings: mergeSettings(record.settings, change),
    by: agent.id,
  }))
}

type Settings = Pick<ClientMessage<"SET_CHANNEL">, "description" | "instructions" | "replay" | "window">

function pickSettings({ description, instructions, replay, window }: Settings) {
  return { description, instructions, replay, window }
}

/** Enters every channel that fits, and has the session brought into those to come. */
async function enterPattern(
  house: RelayState,
  session: Session,
  pattern: ChannelPattern,
  re: string | undefined,
): Promise<void> {
  if (session.patterns.size >= maxPatterns && !session.patterns.has(pattern)) {
    throw new ChatError("LIMIT_REACHED", `channel: at most ${maxPatterns} patterns`)
  }
  house.patterns.add(session, pattern)
  const none = { agents: [], roster: [], count: 0, seq: 0, invite_only: false }
  session.send({ type: "JOINED", channel: pattern, ...none, pattern }, re)
  for (const channel of house.channels.visibleTo(session.agent.id)) {
    if (!matchesChannel(pattern, channel.name) || session.channels.has(channel)) continue
    await joinChannel(house, session, channel, { pattern })
  }
}

/** Leaves every channel that this pattern alone has brought. */
async function leavePattern(house: RelayState, session: Session, pattern: ChannelPattern): Promise<void> {
  if (!session.patterns.has(pattern)) {
    throw new ChatError("NOT_IN_CHANNEL", `channel: ${pattern} was not joined`)
  }
  house.patterns.remove(session, pattern)
  for (const channel of session.brought) {
    if (!matchesChannel(pattern, channel.name) || isBrought(session, channel.name)) continue
    await leave(house, session, channel)
    session.send({ type: "LEFT", channel: channel.name })
  }
}

function isBrought({ patterns }: Session, name: ChannelName): boolean {
  return [...patterns].some((pattern) => matchesChannel(pattern, name))
}

async function leave(house: RelayState, session: Session, channel: Channel): Promise<void> {
  const { agent } = session
  if (channel.isDurable) await house.bookmarks.leave(agent.id, channel.name)
  session.channels.delete(channel)
  session.brought.delete(channel)
  house.channels.leave(channel, agent)
  house.keeper.changed(session)
}

/** A key's id may be invited before its holder was ever here. */
function whomToInvite({ roster }: RelayState, { agent }: ClientMessage<"INVITE">): AgentId {
  return persistentIdPattern.test(agent) ? (agent as string as AgentId) : resolveAgent(agent, roster, "agent")
}
