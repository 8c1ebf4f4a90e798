import type { ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentId, AgentRef, Channel as ChannelName } from "../../protocol/names.js"
import type { Channel } from "../channels/channel.js"
import type { ChannelDirectory } from "../channels/directory.js"
import type { Roster } from "../roster/roster.js"
import type { Agent } from "../sessions/agent.js"
import type { SessionRegistry } from "../sessions/session-registry.js"
import { resolveAgent } from "./agent-lookup.js"
import { resolveMentions } from "./mentions.js"

type Message = ClientMessage<"MSG">

/** The destination of a message, with all names resolved to ids. */
export interface Route {
  /** The message, with ids in `mentions`. */
  readonly message: Message
  /** A channel, the id of an agent, or a role in lower case. */
  readonly address: string
  /** Undefined unless the address is a channel. */
  readonly channel: Channel | undefined
  /** Undefined unless the address is an agent. */
  readonly to: AgentId | undefined
  /** The agents it is addressed to: its recipient, or those it mentions. */
  readonly addressees: readonly AgentId[]
  /** Sessions it goes to at once. */
  readonly recipients: number
}

/** Finds where messages go. */
export class Router {
  readonly #channels: ChannelDirectory
  readonly #roster: Roster
  readonly #sessions: SessionRegistry

  constructor(channels: ChannelDirectory, roster: Roster, sessions: SessionRegistry) {
    this.#channels = channels
    this.#roster = roster
    this.#sessions = sessions
  }

  /** @throws {ChatError} CHANNEL_NOT_FOUND, NOT_IN_CHANNEL, AGENT_NOT_FOUND, AMBIGUOUS_NAME */
  route(agent: Agent, message: Message): Route {
    const { to } = message
    if (to.startsWith("#")) return this.#routeToChannel(agent, message)
    if (!to.startsWith("+")) return this.#routeToAgent(message)
    const address = to.toLowerCase()
    return { message, address, channel: undefined, to: undefined, addressees: [], recipients: 1 }
  }

  #routeToChannel(agent: Agent, message: Message): Route {
    const channel = this.#channels.find(message.to as ChannelName, agent.id)
    const { name } = channel
    if (channel.isInviteOnly && !channel.members.has(agent)) {
      throw new ChatError("NOT_IN_CHANNEL", `to: join ${name} first`)
    }
    const resolved = mayMention(message)
      ? this.#withMentions(message, (id) => this.#isMember(id, channel))
      : message
    return {
      message: resolved,
      address: name,
      channel,
      to: undefined,
      addressees: (resolved.mentions ?? none) as readonly string[] as readonly AgentId[],
      recipients: channel.recipientsOf(agent) + this.#roster.countRemoteMembers(name),
    }
  }

  #routeToAgent(message: Message): Route {
    const to = resolveAgent(message.to as AgentRef, this.#roster, "to", message.to_id)
    const recipients = (this.#roster.find(to)?.status ?? "offline") === "offline" ? 0 : 1
    const resolved = mayMention(message) ? this.#withMentions(message, (id) => id === to) : message
    return { message: resolved, address: to, channel: undefined, to, addressees: [to], recipients }
  }

  /** @throws {ChatError} AGENT_NOT_FOUND, AMBIGUOUS_NAME for a name in the field `mentions` */
  #withMentions(message: Message, isMember: (id: AgentId) => boolean): Message {
    const mentions = resolveMentions(message, this.#roster, isMember)
    const { mentions: _, ...others } = message
    // An agent id is a valid AgentRef.
    return mentions === undefined ? others : { ...others, mentions: mentions as string[] as AgentRef[] }
  }

  #isMember(id: AgentId, channel: Channel): boolean {
    const agent = this.#sessions.find(id)?.agent
    return agent === undefined ? this.#roster.isRemoteMember(channel.name, id) : channel.members.has(agent)
  }
}

const none: readonly AgentRef[] = []

function mayMention({ mentions, content }: Message): boolean {
  return mentions !== undefined || content.includes("@")
}

/** Returns at most `count` online agents that a message wakes: those it is addressed to, or else all members. */
export function agentsWoken(
  { channel, addressees, recipients }: Route,
  author: Agent,
  count: number,
): AgentId[] {
  if (channel === undefined) return recipients === 0 ? [] : [...addressees]
  if (addressees.length > 0) return addressees.slice(0, count)
  const others = [...channel.members].filter((member) => member !== author && !member.isHidden)
  return others.slice(0, count).map(({ id }) => id)
}
