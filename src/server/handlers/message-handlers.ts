import { formatJsonLine } from "../../base/visible-text.js"
import type { ClientHandlers, ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentId, AgentRef, Channel as ChannelName } from "../../protocol/names.js"
import { resolveAgent } from "../address.js"
import type { Agent, AgentMemory } from "../agent.js"
import type { House } from "../house.js"
import { formatAck, formatMessage } from "../message-text.js"
import { payloadOf, textOf } from "../payload.js"
import type { Receipt } from "../sent-ids.js"
import type { Session } from "../session.js"

type Message = ClientMessage<"MSG">

/** What is said, and what has arrived. */
export function messageHandlers(house: House): Pick<ClientHandlers<Session>, "MSG" | "RECEIVED"> {
  const { clock, log, logMessages } = house.options
  return {
    MSG({ agent }, message) {
      const { sent } = agent.memory
      const messageId = messageIdOf(agent, message.id ?? house.nextFrameId())
      const known = sent.find(messageId)
      if (known !== undefined) {
        acknowledge(agent, message, messageId, known, true)
        return
      }
      const receipt = message.to.startsWith("#")
        ? post(house, agent, message, messageId)
        : write(house, agent, message, messageId)
      sent.remember(messageId, receipt)
      acknowledge(agent, message, messageId, receipt, false)
      if (logMessages) log(formatJsonLine({ from: agent.id, to: message.to, content: message.content }))
    },

    RECEIVED({ agent }, { ids }) {
      const { mailbox } = agent.memory
      if (mailbox === undefined || ids === undefined) return
      for (const id of ids) {
        const letter = mailbox.confirm(id)
        if (letter === undefined) continue
        house.hub
          .find(letter.from)
          ?.agent.send({ type: "DELIVERY", msg_id: id, state: "mirrored", by: agent.id, ts: clock.now() })
      }
    },
  }
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

/** Says something in a channel. */
function post(house: House, agent: Agent, message: Message, messageId: string): Receipt {
  const channel = house.channels.find(message.to as ChannelName, agent.id)
  const isMember = channel.members.has(agent)
  if (channel.isInviteOnly && !isMember) {
    throw new ChatError("NOT_IN_CHANNEL", `to: join ${channel.name} first`)
  }
  const receipt = {
    ts: house.options.clock.now(),
    seq: channel.claimSeq(),
    recipients: channel.recipientsOf(agent),
    isMember,
    hops: hopsOf(house, message),
  }
  channel.publish(agent, formatMessage(agent.sender, channel.name, message, messageId, receipt))
  return receipt
}

/** Sends something to one agent: live, and if it has a key also into the mailbox until it confirms. */
function write(house: House, agent: Agent, message: Message, messageId: string): Receipt {
  const to = resolveAgent(message.to as AgentRef, house.hub, house.residents)
  const session = house.hub.find(to)
  const receipt = {
    ts: house.options.clock.now(),
    seq: undefined,
    recipients: session === undefined ? 0 : 1,
    isMember: true,
    hops: hopsOf(house, message),
  }
  // Joined for the mailbox: a piece may be a view of the whole frame it came in.
  const payload = payloadOf(textOf(formatMessage(agent.sender, to, message, messageId, receipt)))
  const mailbox = house.residents.memoryOf(to)?.mailbox
  if (session?.confirmsMail !== false) mailbox?.put({ messageId, from: agent.id, payload })
  session?.outgoing.send(payload)
  return receipt
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
