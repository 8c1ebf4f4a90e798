import { randomBytes } from "node:crypto"
import { formatJsonLine } from "../../base/visible-text.js"
import type { ClientHandlers, ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { formatMessageId, unnamedFrameId } from "../../protocol/message-id.js"
import type { AgentId } from "../../protocol/names.js"
import type { Channel } from "../channels/channel.js"
import { formatAck, formatMessage } from "../delivery/message-json.js"
import { guardInputOf } from "../guards/guard-input.js"
import type { RelaySettings, Services } from "../services.js"
import type { Agent } from "../sessions/agent.js"
import type { SentAck } from "../sessions/sent-ids.js"
import type { Session } from "../sessions/session.js"
import { payloadOf, textOf } from "../wire/frame-encoder.js"

type Message = ClientMessage<"MSG">

/** A message that has passed the guards. */
interface Admitted {
  readonly agent: Agent
  readonly message: Message
  readonly messageId: string
  /** The ack, still without a sequence number. */
  readonly ack: SentAck
}

const bootNonceBytes = 4

/** Handles MSG: to a channel, an agent or a role. */
export function messageHandlers(
  { router, guards, direct, tasks }: Pick<Services, "router" | "guards" | "direct" | "tasks">,
  { clock, log, logMessages }: RelaySettings,
): Pick<ClientHandlers<Session>, "MSG"> {
  const bootNonce = randomBytes(bootNonceBytes).toString("hex")
  let unnamedFrames = 0

  /** Sends a message to its recipients. @returns a promise if it has to be stored first */
  function send(agent: Agent, message: Message, messageId: string): SentAck | Promise<SentAck> {
    const route = router.route(agent, message)
    const { channel, to, recipients } = route
    const hops = guards.admit(guardInputOf(route, agent.id, messageId))
    const isMember = channel === undefined || channel.members.has(agent)
    const ack = { ts: clock.now(), seq: undefined, recipients, isMember, hops }
    const admitted = { agent, message: route.message, messageId, ack }
    if (channel !== undefined) return sendToChannel(admitted, channel)
    if (to !== undefined) return sendToAgent(admitted, to)
    return tasks.push(agent, route.message, messageId)
  }

  function sendToAgent(
    { agent, message, messageId, ack }: Admitted,
    to: AgentId,
  ): SentAck | Promise<SentAck> {
    const withRecipient = { ...ack, to }
    const text = textOf(formatMessage(agent.messagePrefix, to, message, messageId, ack))
    if (!direct.isStored(to)) {
      direct.send(to, payloadOf(text))
      return withRecipient
    }
    return agent.memory.sequencer
      .run(() => direct.post(to, messageId, text))
      .then(({ isDuplicate }) => ({ ...withRecipient, ...(isDuplicate && { isRepeated: true }) }))
  }

  return {
    MSG(session, message) {
      const { agent } = session
      const { sentIds } = agent.memory
      const messageId = formatMessageId(agent.id, message.id ?? unnamedFrameId(bootNonce, unnamedFrames++))
      const known = sentIds.find(messageId)
      if (known !== undefined) {
        acknowledge(agent, message, messageId, known, true)
        return
      }
      const pending = sentIds.findPending(messageId)
      if (pending !== undefined) {
        acknowledgeLater(session, message, messageId, pending, true)
        return
      }
      const ack = send(agent, message, messageId)
      if (ack instanceof Promise) {
        agent.markAnswered(clock.now())
        acknowledgeLater(session, message, messageId, sentIds.settle(messageId, ack), false)
      } else {
        agent.markAnswered(ack.ts)
        sentIds.remember(messageId, ack)
        acknowledge(agent, message, messageId, ack, false)
      }
      if (logMessages) log(formatJsonLine({ from: agent.id, to: message.to, content: message.content }))
    },
  }
}

function acknowledge(agent: Agent, { id }: Message, messageId: string, ack: SentAck, isDuplicate: boolean) {
  agent.sendQueue.send(formatAck(id, messageId, ack, isDuplicate))
}

/** Acknowledges a message when the store has. The session continues meanwhile. */
function acknowledgeLater(
  session: Session,
  message: Message,
  messageId: string,
  ack: Promise<SentAck>,
  isDuplicate: boolean,
): void {
  ack.then(
    (settled) =>
      acknowledge(session.agent, message, messageId, settled, isDuplicate || settled.isRepeated === true),
    (error: unknown) => {
      if (!(error instanceof ChatError)) throw error
      session.sendError(error, message.id)
    },
  )
}

function sendToChannel(
  { agent, message, messageId, ack }: Admitted,
  channel: Channel,
): SentAck | Promise<SentAck> {
  const { history, name } = channel
  if (history === undefined) {
    const settled = { ...ack, seq: channel.nextSeq() }
    const payload = formatMessage(agent.messagePrefix, name, message, messageId, settled)
    channel.publish(agent, payload, ack.ts)
    return settled
  }
  // Without a number: ChannelLogs reports the message with its number, and then it is published.
  const text = textOf(formatMessage(agent.messagePrefix, name, message, messageId, ack))
  return agent.memory.sequencer
    .run(() => history.append(messageId, text))
    .then(({ seq, isDuplicate }) => ({ ...ack, seq, ...(isDuplicate && { isRepeated: true }) }))
}
