import { formatJsonLine } from "../../base/visible-text.js"
import type { ClientHandlers, ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { formatMessageId } from "../../protocol/message-id.js"
import { type AgentId, type AgentRef, persistentIdPattern, roleRefPattern } from "../../protocol/names.js"
import type { Channel } from "../channels/channel.js"
import { resolveAgent } from "../delivery/agent-lookup.js"
import { formatAck, formatMessage } from "../delivery/message-json.js"
import { findRoute, guardInputOf } from "../delivery/route.js"
import type { RelayState } from "../relay-state.js"
import type { Agent } from "../sessions/agent.js"
import type { SentAck } from "../sessions/sent-ids.js"
import type { Session } from "../sessions/session.js"
import { payloadOf, textOf } from "../wire/payload.js"

type Message = ClientMessage<"MSG">

/** What is said, what has arrived, and what waits. */
export function messageHandlers(
  house: RelayState,
): Pick<ClientHandlers<Session>, "MSG" | "RECEIVED" | "PENDING"> {
  const { clock, log, logMessages } = house.options
  return {
    MSG(session, message) {
      const { agent } = session
      const { sent } = agent.memory
      const messageId = formatMessageId(agent.id, message.id ?? house.nextFrameId())
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
      for (const id of retrieved) house.courier.tellAuthor(id, "retrieved", agent.id)
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

/** A message that the guards let pass, with what they worked out. */
interface Aimed {
  readonly message: Message
  readonly messageId: string
  readonly recipients: number
  readonly hops: number
}

/** Sends a message where its address says. @returns a promise where that depends on a store */
function take(
  house: RelayState,
  agent: Agent,
  message: Message,
  messageId: string,
): SentAck | Promise<SentAck> {
  const aim = findRoute(house, agent, message)
  const { hops, kind } = house.guards.admit(guardInputOf(aim, agent, messageId))
  const { channel, to, recipients } = aim
  const passed = kind === aim.message.kind ? aim.message : { ...aim.message, kind }
  const aimed = { message: passed, messageId, recipients, hops }
  if (channel !== undefined) return post(house, agent, aimed, channel)
  if (to !== undefined) return write(house, agent, aimed, to)
  return house.tasks.push(agent, passed, messageId)
}

function acknowledge(
  agent: Agent,
  { id }: Message,
  messageId: string,
  receipt: SentAck,
  isDuplicate: boolean,
) {
  agent.outgoing.send(formatAck(id, messageId, receipt, isDuplicate))
}

/** Answers when the store has; meanwhile the session goes on. */
function whenSettled(
  session: Session,
  message: Message,
  messageId: string,
  receipt: Promise<SentAck>,
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
function post(house: RelayState, agent: Agent, aimed: Aimed, channel: Channel): SentAck | Promise<SentAck> {
  const { message, messageId } = aimed
  const receipt = receiptOf(house, aimed, channel.members.has(agent))
  if (channel.history === undefined) {
    const settled = { ...receipt, seq: channel.claimSeq() }
    channel.publish(agent, formatMessage(agent.sender, channel.name, message, messageId, settled), settled.ts)
    return settled
  }
  const text = textOf(formatMessage(agent.sender, channel.name, message, messageId, receipt))
  const { history } = channel
  return agent.memory.lane
    .run(() => history.append(messageId, text))
    .then(({ seq, isDuplicate }) => ({ ...receipt, seq, ...(isDuplicate && { isRepeated: true }) }))
}

/** Sends something to one agent: live, and if it has a key also into its mail until it confirms. */
function write(house: RelayState, agent: Agent, aimed: Aimed, to: AgentId): SentAck | Promise<SentAck> {
  const { message, messageId } = aimed
  const receipt = { ...receiptOf(house, aimed, true), to }
  const text = textOf(formatMessage(agent.sender, to, message, messageId, receipt))
  if (!persistentIdPattern.test(to)) {
    house.courier.hand(to, payloadOf(text))
    return receipt
  }
  return agent.memory.lane
    .run(() => house.mail.post(to, messageId, text))
    .then(({ isDuplicate }) => ({ ...receipt, ...(isDuplicate && { isRepeated: true }) }))
}

function receiptOf(house: RelayState, { recipients, hops }: Aimed, isMember: boolean): SentAck {
  return { ts: house.options.clock.now(), seq: undefined, recipients, isMember, hops }
}
