import type { ClientHandlers, ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { formatInviteId } from "../../protocol/message-id.js"
import { isChannelPattern } from "../../protocol/names.js"
import type { Channel } from "../channels/channel.js"
import type { ChannelDirectory } from "../channels/directory.js"
import { mergeSettings } from "../channels/record.js"
import { resolveAgent } from "../delivery/agent-lookup.js"
import type { RelaySettings, Services } from "../services.js"
import type { Agent } from "../sessions/agent.js"
import type { Session } from "../sessions/session.js"

/** Agents one channel may have invited. */
const maxInvitations = 10_000

type ChannelMessage = "JOIN" | "LEAVE" | "CREATE_CHANNEL" | "SET_CHANNEL" | "INVITE" | "LIST_CHANNELS"
type ChannelServices = Pick<Services, "channels" | "membership" | "roster" | "direct">

/** Handles the messages that join, leave, list and change channels. */
export function channelHandlers(
  { channels, membership, roster, direct }: ChannelServices,
  { clock }: RelaySettings,
): Pick<ClientHandlers<Session>, ChannelMessage> {
  const acknowledge = (session: Session, re: string | undefined) =>
    session.send({ type: "ACK", ts: clock.now(), state: "done" }, re)

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
      const channel = await channels.create(message.channel, {
        isInviteOnly: message.invite_only ?? false,
        isDurable: message.durable ?? false,
        settings: mergeSettings({}, pickSettings(message)),
        by: agent.id,
        invited: [agent.id],
      })
      membership.chargeCreation(session, channel)
      const inMemory = channels.isStored ? undefined : true
      await membership.join(session, channel, { re: message.id, inMemory })
    },

    async SET_CHANNEL(session, message) {
      const { agent } = session
      if (!agent.isPersistent) {
        throw new ChatError("IDENTITY_REQUIRED", "SET_CHANNEL: only an agent with a key changes channels")
      }
      await setChannel(channels, agent, message)
      acknowledge(session, message.id)
    },

    async INVITE(session, message) {
      const channel = channels.findJoined(message.channel, session.agent)
      const invited = resolveAgent(message.agent, roster, "agent")
      if (channel.invitedCount >= maxInvitations) {
        throw new ChatError("LIMIT_REACHED", `agent: ${channel.name} has invited ${maxInvitations} agents`)
      }
      await channels.change(channel, (record) => ({
        ...record,
        invited: [...new Set([...record.invited, invited])],
      }))
      const { id: from, name } = session.agent
      const ts = clock.now()
      const msg_id = formatInviteId(from, channel.name, ts)
      await direct.notify(invited, msg_id, { type: "INVITE", channel: channel.name, from, name, ts, msg_id })
      acknowledge(session, message.id)
    },

    LIST_CHANNELS(session, { id }) {
      const { defaults } = channels.store
      const withDefaults = Object.keys(defaults).length > 0 ? { defaults } : {}
      session.send({ type: "CHANNELS", list: channels.list(session.agent.id), ...withDefaults }, id)
    },
  }
}

async function setChannel(
  channels: ChannelDirectory,
  agent: Agent,
  message: ClientMessage<"SET_CHANNEL">,
): Promise<void> {
  const change = pickSettings(message)
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
