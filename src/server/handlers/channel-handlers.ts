import type { ClientHandlers, ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { type AgentId, type Channel as ChannelName, persistentIdPattern } from "../../protocol/names.js"
import { resolveAgent } from "../address.js"
import type { Channel } from "../channel.js"
import type { House } from "../house.js"
import { formatReplay, isWrittenBy } from "../message-text.js"
import { payloadOf } from "../payload.js"
import type { Session } from "../session.js"

/** Ids listed in JOINED; `count` tells how many there are. */
const joinedIds = 1_000
/** Entries listed in JOINED: a newcomer of a large channel asks LIST_AGENTS for the rest. */
const joinedRoster = 50
/** Agents one channel may have invited. */
const maxInvitations = 10_000

type ChannelMessage = "JOIN" | "LEAVE" | "CREATE_CHANNEL" | "SET_CHANNEL" | "INVITE" | "LIST_CHANNELS"

/** Coming into channels and going out of them. */
export function channelHandlers(house: House): Pick<ClientHandlers<Session>, ChannelMessage> {
  const { channels } = house
  const { clock, limits } = house.options
  return {
    JOIN(session, message) {
      const channel = channels.find(message.channel as ChannelName, session.agent.id)
      enter(session, channel, message.id)
      const { id } = session.agent
      for (const text of channel.replay(message.since, limits.bufferSize)) {
        if (!isWrittenBy(id, text)) session.outgoing.send(payloadOf(formatReplay(text)))
      }
    },

    LEAVE(session, message) {
      const channel = channels.findJoined(message.channel as ChannelName, session.agent)
      session.channels.delete(channel)
      channels.leave(channel, session.agent)
      session.send({ type: "LEFT", channel: channel.name }, message.id)
    },

    CREATE_CHANNEL(session, message) {
      const channel = channels.create(message.channel, message.invite_only ?? false)
      channel.invite(session.agent.id)
      enter(session, channel, message.id)
    },

    SET_CHANNEL() {
      throw new ChatError("UNSUPPORTED", "SET_CHANNEL: not built yet")
    },

    INVITE(session, message) {
      const channel = channels.findJoined(message.channel, session.agent)
      const invited = whomToInvite(house, message)
      if (channel.invitations >= maxInvitations) {
        throw new ChatError("LIMIT_REACHED", `agent: ${channel.name} has invited ${maxInvitations} agents`)
      }
      channel.invite(invited)
      const ts = clock.now()
      const { id: from, name } = session.agent
      house.hub.find(invited)?.send({ type: "INVITE", channel: channel.name, from, name, ts })
      session.send({ type: "ACK", ts, state: "done" }, message.id)
    },

    LIST_CHANNELS(session, message) {
      const list = channels.visibleTo(session.agent.id).map((channel) => channel.entry)
      session.send({ type: "CHANNELS", list }, message.id)
    },
  }
}

function enter(session: Session, channel: Channel, re: string | undefined): void {
  session.channels.add(channel)
  channel.join(session.agent)
  const agents: AgentId[] = []
  const roster = []
  for (const member of channel.members) {
    if (agents.length >= joinedIds) break
    agents.push(member.id)
    if (roster.length < joinedRoster) roster.push(member.rosterEntry)
  }
  const { name, members, seq, isInviteOnly } = channel
  const count = members.size
  session.send({ type: "JOINED", channel: name, agents, roster, count, seq, invite_only: isInviteOnly }, re)
}

/** A key's id may be invited before its holder was ever here. */
function whomToInvite({ hub, residents }: House, { agent }: ClientMessage<"INVITE">): AgentId {
  return persistentIdPattern.test(agent) ? (agent as string as AgentId) : resolveAgent(agent, hub, residents)
}
