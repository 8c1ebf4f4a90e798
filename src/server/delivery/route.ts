import { pairOf } from "../../guards/scopes.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentId, AgentRef, Channel as ChannelName } from "../../protocol/names.js"
import type { Channel } from "../channels/channel.js"
import type { GuardInput } from "../guards/guard-service.js"
import { readableText } from "../guards/message-text.js"
import type { RelayState } from "../relay-state.js"
import type { Agent } from "../sessions/agent.js"
import { resolveAgent } from "./agent-lookup.js"
import { resolveMentions } from "./mentions.js"

type Message = ClientMessage<"MSG">

/** Where a message goes, once its address and everybody it means are found. */
export interface Route {
  /** With ids in the place of names. */
  readonly message: Message
  /** The address resolved: a channel, an agent's id, a role. */
  readonly address: string
  /** Absent: not a channel. */
  readonly channel?: Channel
  /** Absent: not one agent. */
  readonly to?: AgentId
  /** Where the guards count it. */
  readonly room: string
  /** Whom it is put to. */
  readonly meant: readonly AgentId[]
  /** Sessions it goes to at once. */
  readonly recipients: number
  /** Those of them who would be woken, at most so many. */
  awake(count: number): AgentId[]
}

/** @throws {ChatError} CHANNEL_NOT_FOUND, NOT_IN_CHANNEL, AGENT_NOT_FOUND, AMBIGUOUS_NAME */
export function findRoute(house: RelayState, agent: Agent, message: Message): Route {
  const { to } = message
  if (to.startsWith("#")) return routeToChannel(house, agent, message)
  if (!to.startsWith("+")) return routeToAgent(house, agent, message)
  const address = to.toLowerCase()
  return { message, address, room: address, meant: [], recipients: 1, awake: () => [] }
}

/** The same as the guards look at it. */
export function guardInputOf(
  { message, room, meant, recipients, channel }: Route,
  agent: Agent,
  id: string,
): GuardInput {
  const { in_reply_to, kind } = message
  const text = readableText(message)
  return {
    id,
    from: agent.id,
    room,
    to: meant,
    // Who is away reads it later.
    recipients: channel === undefined ? 1 : recipients,
    kind,
    answers: in_reply_to,
    text,
    bytes: Buffer.byteLength(text),
  }
}

function routeToChannel(house: RelayState, agent: Agent, message: Message): Route {
  const channel = house.channels.find(message.to as ChannelName, agent.id)
  if (channel.isInviteOnly && !channel.members.has(agent)) {
    throw new ChatError("NOT_IN_CHANNEL", `to: join ${channel.name} first`)
  }
  const marked = mark(house, message, (id) => isMemberOf(house, id, channel))
  const meant = (marked.mentions ?? []) as readonly string[] as readonly AgentId[]
  return {
    message: marked,
    address: channel.name,
    channel,
    room: channel.name,
    meant,
    recipients: house.recipientsOf(channel, agent),
    awake: (count) => (meant.length > 0 ? meant : othersIn(channel, agent)).slice(0, count),
  }
}

function routeToAgent(house: RelayState, agent: Agent, message: Message): Route {
  const to = resolveAgent(message.to as AgentRef, house.roster)
  const recipients = (house.roster.find(to)?.status ?? "offline") === "offline" ? 0 : 1
  return {
    message: mark(house, message, (id) => id === to),
    address: to,
    to,
    room: pairOf(agent.id, to),
    meant: [to],
    recipients,
    awake: () => (recipients === 0 ? [] : [to]),
  }
}

function othersIn({ members }: Channel, agent: Agent): AgentId[] {
  return [...members].flatMap((member) => (member === agent ? [] : [member.id]))
}

/** The message with everybody it means by id; a name nobody bears refuses all of it. */
function mark({ roster }: RelayState, message: Message, has: (id: AgentId) => boolean): Message {
  const mentions = resolveMentions(message, { has }, roster)
  if (mentions === undefined && message.mentions === undefined) return message
  // An agent id is an address of the same form as a name.
  return { ...message, mentions: mentions as AgentRef[] | undefined }
}

function isMemberOf({ hub, roster }: RelayState, id: AgentId, channel: Channel): boolean {
  const agent = hub.find(id)?.agent
  return agent === undefined ? roster.isRemoteMember(channel.name, id) : channel.members.has(agent)
}
