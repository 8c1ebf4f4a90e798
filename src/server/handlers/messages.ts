import { randomBytes } from "node:crypto"
import type { Clock } from "../../base/clock.js"
import { omitUndefined } from "../../base/plain.js"
import type { Span } from "../../base/tracer.js"
import { formatJsonLine } from "../../base/visible-text.js"
import { checkAnswer } from "../../protocol/answer-check.js"
import type { ClientHandlers, ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { formatMessageId, unnamedFrameId } from "../../protocol/message-id.js"
import type { AgentId } from "../../protocol/names.js"
import { requireTask } from "../../protocol/questions.js"
import type { TargetFacts } from "../../protocol/server-messages.js"
import type { Channel } from "../channels/channel.js"
import { successionTo } from "../delivery/agent-lookup.js"
import { formatAck, formatMessage, timelySignature } from "../delivery/message-json.js"
import type { Route } from "../delivery/route.js"
import { guardInputOf } from "../guards/guard-input.js"
import type { Outcome } from "../observer.js"
import { wakeFactsOf } from "../roster/roster-record.js"
import type { RelaySettings, Services } from "../services.js"
import type { SentAck } from "../sessions/ack-table.js"
import type { Agent } from "../sessions/agent.js"
import { digestOf, repetition } from "../sessions/sent-ids.js"
import type { Session } from "../sessions/session.js"

type Message = ClientMessage<"MSG">

/** Fields by which a message differs from others. */
interface MessageIdentity {
  readonly messageId: string
  /** See {@link digestOf}. */
  readonly digest: number
  readonly hops: number
}

const bootNonceBytes = 4

type MessageServices = Pick<
  Services,
  "router" | "guards" | "direct" | "tasks" | "roster" | "sessions" | "knownAgents" | "mailboxes"
>

/** Handles MSG: to a channel, an agent or a role. */
export function messageHandlers(
  services: MessageServices,
  settings: RelaySettings,
): Pick<ClientHandlers<Session>, "MSG"> {
  const { clock, log, logMessages, tracer } = settings
  const sender = new Sender(services, clock)
  const acks = new Acknowledger(services, settings)
  const bootNonce = randomBytes(bootNonceBytes).toString("hex")
  let unnamedFrames = 0

  function handle(session: Session, frame: Message, span: Span): void {
    const { agent } = session
    requireTask(frame, checkAnswer)
    const { signed, ...unsigned } = frame
    const message = timelySignature(signed, clock.now()) === signed ? frame : unsigned
    const { sentIds } = agent.memory
    const messageId = formatMessageId(agent.id, message.id ?? unnamedFrameId(bootNonce, unnamedFrames++))
    const digest = digestOf(message)
    const handled = { message, messageId, span }
    const known = sentIds.find(messageId, digest)
    if (known instanceof Promise) {
      acks.sendLater(session, handled, known, true)
      return
    }
    if (known !== undefined) {
      acks.send(agent, handled, known, true)
      return
    }
    const ack = sender.send(agent, message, messageId, digest)
    if (ack instanceof Promise) {
      agent.markAnswered(clock.now())
      acks.sendLater(session, handled, sentIds.settle(messageId, digest, ack), false)
    } else {
      agent.markAnswered(ack.ts)
      sentIds.remember(messageId, digest, ack)
      acks.send(agent, handled, ack, false)
    }
    if (logMessages) log(formatJsonLine({ from: agent.id, to: message.to, content: message.content }))
  }

  return {
    MSG(session, { trace, ...message }) {
      const span = tracer.start("agentchat.relay", trace, { "agentchat.kind": message.kind })
      const { context } = span
      try {
        // The context of a sender ends here: recipients get that of this relay, or none.
        handle(session, context === undefined ? message : { ...message, trace: context }, span)
      } catch (error) {
        span.end(codeOf(error))
        throw error
      }
    },
  }
}

/** A message that was sent, and its span. */
interface Handled {
  readonly message: Message
  readonly messageId: string
  readonly span: Span
}

/** Acknowledges messages, and counts them. */
class Acknowledger {
  readonly #services: MessageServices
  readonly #settings: Pick<RelaySettings, "clock" | "observer">

  constructor(services: MessageServices, settings: Pick<RelaySettings, "clock" | "observer">) {
    this.#services = services
    this.#settings = settings
  }

  send(agent: Agent, handled: Handled, ack: SentAck, isDuplicate: boolean): void {
    const { message, messageId } = handled
    this.#end(handled, isDuplicate ? "duplicate" : "accepted")
    const { id, to, to_id: meant } = message
    const isOther = ack.to !== undefined && ack.to !== to
    const { roster } = this.#services
    const rotations = isOther ? successionTo(ack.to, meant ?? to, roster).rotations : undefined
    const now = this.#settings.clock.now()
    const target = ack.to === undefined || isDuplicate ? undefined : targetFacts(ack.to, this.#services, now)
    agent.sendQueue.send(formatAck(id, messageId, ack, isDuplicate, { rotations, target }))
  }

  /** Acknowledges a message when the store has. The session continues meanwhile. */
  sendLater(session: Session, handled: Handled, ack: Promise<SentAck>, isDuplicate: boolean): void {
    ack.then(
      (settled) => this.send(session.agent, handled, settled, isDuplicate || settled.isRepeated === true),
      (error: unknown) => {
        this.#end(handled, codeOf(error))
        session.refuse(error, handled.message)
      },
    )
  }

  #end({ message, span }: Handled, outcome: Outcome): void {
    this.#settings.observer.message(message, outcome)
    span.end(outcome)
  }
}

function codeOf(error: unknown): Outcome {
  return error instanceof ChatError ? error.code : "INTERNAL"
}

/** Returns what the sender of a direct message learns about its recipient; undefined for one that this relay does not know. */
function targetFacts(
  to: string,
  { roster, sessions, knownAgents, mailboxes }: MessageServices,
  now: number,
): TargetFacts | undefined {
  const facts = roster.find(to)
  if (facts === undefined) return undefined
  const { id, status, seenTs, readTs } = facts
  const memory = sessions.find(id)?.agent.memory ?? knownAgents.memoryOf(id)
  // Another relay delivers to an agent that is connected there.
  const isElsewhere = sessions.find(id) === undefined && (roster.recordOf(id)?.relay ?? null) !== null
  const unread = isElsewhere ? undefined : (memory?.delivered.unread ?? 0) + mailboxes.countUnsent(id)
  const wake = wakeFactsOf(facts, now)
  return { status, seen_ts: seenTs, ...omitUndefined({ read_ts: readTs, unread }), ...wake }
}

/** Sends a message to its recipients. Returns a promise if the message has to be stored first. */
class Sender {
  readonly #services: MessageServices
  readonly #clock: Clock

  constructor(services: MessageServices, clock: Clock) {
    this.#services = services
    this.#clock = clock
  }

  send(agent: Agent, message: Message, messageId: string, digest: number): SentAck | Promise<SentAck> {
    const { router, guards, tasks } = this.#services
    const route = router.route(agent, message)
    const hops = guards.admit(guardInputOf(route, agent, messageId))
    const { channel, to } = route
    const identity = { messageId, digest, hops }
    if (channel !== undefined) return this.#sendToChannel(agent, route, channel, identity)
    if (to !== undefined) return this.#sendToAgent(agent, route, to, identity)
    return tasks.push(agent, route.message, messageId)
  }

  #sendToChannel(
    agent: Agent,
    { message, recipients }: Route,
    channel: Channel,
    { messageId, digest, hops }: MessageIdentity,
  ): SentAck | Promise<SentAck> {
    const { name, history } = channel
    const isMember = channel.members.has(agent)
    const ts = this.#clock.now()
    if (history === undefined) {
      const ack = { ts, seq: channel.nextSeq(), recipients, isMember, hops }
      channel.publish(agent, formatMessage(agent.messagePrefix, name, message, messageId, ack), ts)
      return ack
    }
    // Without a number: the log reports the message with its number, and then it is published.
    const ack = { ts, seq: undefined, recipients, isMember, hops }
    const text = formatMessage(agent.messagePrefix, name, message, messageId, ack)
    return agent.memory.sequencer
      .run(() => history.append(messageId, text, digest))
      .then((appended) => ({ ...ack, seq: appended.seq, ...repetition(appended, digest, message) }))
  }

  #sendToAgent(
    agent: Agent,
    { message, recipients }: Route,
    to: AgentId,
    { messageId, digest, hops }: MessageIdentity,
  ): SentAck | Promise<SentAck> {
    const { direct } = this.#services
    const ack = { ts: this.#clock.now(), seq: undefined, recipients, isMember: true, hops, to }
    const text = formatMessage(agent.messagePrefix, to, message, messageId, ack)
    if (!direct.isStored(to)) {
      direct.send(to, text, messageId)
      return ack
    }
    return agent.memory.sequencer
      .run(() => direct.post(to, messageId, text, digest))
      .then((appended) => ({ ...ack, ...repetition(appended, digest, message) }))
  }
}
