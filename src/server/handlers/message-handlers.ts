import { formatJsonLine } from "../../base/visible-text.js"
import type { ClientHandlers, ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import {
  type AgentId,
  type AgentRef,
  type Channel as ChannelName,
  persistentIdPattern,
  roleRefPattern,
} from "../../protocol/names.js"
import { resolveAgent } from "../address.js"
import type { Agent, AgentMemory } from "../agent.js"
import type { Channel } from "../channel.js"
import type { House } from "../house.js"
import { resolveMentions } from "../mentions.js"
import { formatAck, formatMessage } from "../message-text.js"
import { payloadOf, textOf } from "../payload.js"
import type { Receipt } from "../sent-ids.js"
import type { Session } from "../session.js"

type Message = ClientMessage<"MSG">

/** What is said, what has arrived, and what waits. */
export function messageHandlers(house: House): Pick<ClientHandlers<Session>, "MSG" | "RECEIVED" | "PENDING"> {
  const { clock, log, logMessages } = house.options
  return {
    MSG(session, message) {
      const { agent } = session
      const { sent } = agent.memory
      const messageId = messageIdOf(agent, message.id ?? house.nextFrameId())
      const known = sent.find(messageId)
      if (known !== undefined) {
        acknowledge(agent, message, messageId, known, true)
        return
      }
      const pending = sent.findPending(messageId)
      if (pending !== undefined) {
        whenSettled(session, message, messageId, pending, true)
        return
      }
      const outcome = take(house, agent, message, messageId)
      if (outcome instanceof Promise) {
        agent.noteSaid(clock.now())
        whenSettled(session, message, messageId, sent.settle(messageId, outcome), false)
      } else {
        agent.noteSaid(outcome.ts)
        sent.remember(messageId, outcome)
        acknowledge(agent, message, messageId, outcome, false)
      }
      if (logMessages) log(formatJsonLine({ from: agent.id, to: message.to, content: message.content }))
    },

    RECEIVED({ agent, channels }, { ids, up_to, retrieved }) {
      if (ids !== undefined) agent.mailbox?.confirm(ids)
      for (const channel of channels) {
        const seq = up_to?.[channel.name]
        if (seq !== undefined && channel.isDurable)
          house.bookmarks.advance(agent.id, channel.name, Math.min(seq, channel.seq))
      }
      if (retrieved === undefined) return
      agent.noteRead(clock.now())
      for (const id of retrieved) house.tellAuthor(id, "retrieved", agent.id)
    },

    async PENDING(session, { id, target = session.agent.id }) {
      if (roleRefPattern.test(target)) {
        session.send({ type: "PENDING", target, ...house.tasks.pending(target.slice(1)) }, id)
        return
      }
      const agent = resolveAgent(target as AgentRef, house.roster, "target")
      const { count, ids, oldestTs } = await house.mail.waitingFor(agent, session.agent.id)
      const oldest = oldestTs === undefined ? {} : { oldest_ts: oldestTs }
      session.send({ type: "PENDING", target: agent, count, ids, ...oldest }, id)
    },
  }
}

/** Sends a message where its address says. @returns a promise where that depends on a store */
function take(house: House, agent: Agent, message: Message, messageId: string): Receipt | Promise<Receipt> {
  if (message.to.startsWith("#")) return post(house, agent, message, messageId)
  if (message.to.startsWith("+")) return house.tasks.push(agent, message, messageId)
  return write(house, agent, message, messageId)
}

/** Joined, not a template: that would be a view of the whole frame and keep it for as long as the id. */
function messageIdOf(agent: Agent, frameId: string): string {
  return [agent.id.slice(1), frameId].join(".")
}

function acknowledge(
  agent: Agent,
  { id }: Message,
  messageId: string,
  receipt: Receipt,
  isDuplicate: boolean,
) {
  agent.outgoing.send(formatAck(id, messageId, receipt, isDuplicate))
}

/** Answers when the store has; meanwhile the session goes on. */
function whenSettled(
  session: Session,
  message: Message,
  messageId: string,
  receipt: Promise<Receipt>,
  isDuplicate: boolean,
): void {
  receipt.then(
    (settled) =>
      acknowledge(session.agent, message, messageId, settled, isDuplicate || settled.isRepeated === true),
    (error: unknown) => {
      if (!(error instanceof ChatError)) throw error
      session.refuse(error, message.id)
    },
  )
}

/** Says something in a channel. */
function post(house: House, agent: Agent, message: Message, messageId: string): Receipt | Promise<Receipt> {
  const channel = house.channels.find(message.to as ChannelName, agent.id)
  const isMember = channel.members.has(agent)
  if (channel.isInviteOnly && !isMember) {
    throw new ChatError("NOT_IN_CHANNEL", `to: join ${channel.name} first`)
  }
  const marked = mark(house, message, (id) => isMemberOf(house, id, channel))
  const receipt = {
    ts: house.options.clock.now(),
    seq: undefined,
    recipients: house.recipientsOf(channel, agent),
    isMember,
    hops: hopsOf(house, message),
  }
  if (channel.history === undefined) {
    const settled = { ...receipt, seq: channel.claimSeq() }
    channel.publish(agent, formatMessage(agent.sender, channel.name, marked, messageId, settled))
    return settled
  }
  const text = textOf(formatMessage(agent.sender, channel.name, marked, messageId, receipt))
  const { history } = channel
  return agent.memory.lane
    .run(() => history.append(messageId, text))
    .then(({ seq, isDuplicate }) => ({ ...receipt, seq, ...(isDuplicate && { isRepeated: true }) }))
}

/** Sends something to one agent: live, and if it has a key also into its mail until it confirms. */
function write(house: House, agent: Agent, message: Message, messageId: string): Receipt | Promise<Receipt> {
  const to = resolveAgent(message.to as AgentRef, house.roster)
  const marked = mark(house, message, (id) => id === to)
  const receipt = {
    ts: house.options.clock.now(),
    seq: undefined,
    recipients: (house.roster.find(to)?.status ?? "offline") === "offline" ? 0 : 1,
    to,
    isMember: true,
    hops: hopsOf(house, message),
  }
  const text = textOf(formatMessage(agent.sender, to, marked, messageId, receipt))
  if (!persistentIdPattern.test(to)) {
    house.hand(to, payloadOf(text))
    return receipt
  }
  return agent.memory.lane
    .run(() => house.mail.post(to, messageId, text))
    .then(({ isDuplicate }) => ({ ...receipt, ...(isDuplicate && { isRepeated: true }) }))
}

/** The message with everybody it means by id; a name nobody bears refuses all of it. */
function mark({ roster }: House, message: Message, has: (id: AgentId) => boolean): Message {
  const mentions = resolveMentions(message, { has }, roster)
  if (mentions === undefined && message.mentions === undefined) return message
  // An agent id is an address of the same form as a name.
  return { ...message, mentions: mentions as AgentRef[] | undefined }
}

function isMemberOf({ hub, roster }: House, id: AgentId, channel: Channel): boolean {
  const agent = hub.find(id)?.agent
  return agent === undefined ? roster.isElsewhereIn(channel.name, id) : channel.members.has(agent)
}

/** One more than the message that is answered; 1 when that is not remembered. */
function hopsOf({ hub, residents }: House, { in_reply_to: answered }: Message): number {
  if (answered === undefined) return 0
  const dot = answered.indexOf(".")
  if (dot < 0) return 1
  const author = `@${answered.slice(0, dot)}` as AgentId
  const memory: AgentMemory | undefined = hub.find(author)?.agent.memory ?? residents.memoryOf(author)
  return 1 + (memory?.sent.find(answered)?.hops ?? 0)
}
