/** Actions of a person at the page: each is one or two messages to the relay. */
import { randomUUID } from "node:crypto"
import type { Clock } from "../base/clock.js"
import { isPlain, omitUndefined } from "../base/plain.js"
import type { AgentChatClient } from "../client/client.js"
import { questionDigest, signAnswer } from "../identity/answer-signature.js"
import type { Identity } from "../identity/identity-file.js"
import { signModeration } from "../identity/moderation.js"
import { ChatError } from "../protocol/errors.js"
import { messageKinds } from "../protocol/message-kinds.js"
import { maxReason } from "../protocol/moderation.js"
import { type AgentId, parseAddress, parseAgentRef, parseChannel } from "../protocol/names.js"
import {
  Fault,
  type Fields,
  number,
  type OutputOf,
  object,
  oneOf,
  optional,
  string,
  text,
} from "../protocol/schema.js"
import type { Model } from "./model.js"
import type { RelayFeed } from "./relay-feed.js"

/** The services that actions use. */
export interface ActionContext {
  readonly client: AgentChatClient
  readonly model: Model
  readonly feed: RelayFeed
  readonly clock: Clock
  /** The key of the person; undefined if it has none. */
  readonly identity: Identity | undefined
  /** The `server_id` of the relay. */
  readonly serverId: () => string
}

interface Action<F extends Fields> {
  readonly fields: F
  readonly run: (context: ActionContext, body: OutputOf<F>) => Promise<object>
}

function action<F extends Fields>(fields: F, run: Action<F>["run"]): Action<F> {
  return { fields, run }
}

const id = text(130, 1)
const name = text(128, 1)
const reason = text(maxReason, 1)

/** Every action by its name in the address. The answer is what the page gets. */
const actions = {
  send: action(
    {
      to: name,
      text: string,
      re: optional(id),
      kind: optional(oneOf(messageKinds)),
      id: optional(text(64, 1)),
    },
    async ({ client, feed }, { to, text: content, re, ...options }) => {
      const address = parseAddress(to)
      const ack = await client.send(address, content, { ...options, ...omitUndefined({ inReplyTo: re }) })
      const conversation = address.startsWith("@") ? (ack.to ?? address) : address
      const { seq, ts } = ack
      const message = { id: ack.id, conversation, text: content, ts, mentions: [] }
      if (!address.startsWith("+")) {
        const to = address.startsWith("@") ? [conversation] : []
        feed.takeOwn({ ...message, ...omitUndefined({ seq, re, kind: options.kind }) }, to)
      }
      return { id: ack.id, conversation, recipients: ack.recipients, target: ack.target ?? null }
    },
  ),
  read: action({ conversation: name, ts: number(0) }, ({ model, clock }, { conversation, ts }) => {
    return Promise.resolve({ changed: model.markRead(conversation, Math.min(ts, clock.now())) })
  }),
  settle: action({ message: id }, ({ model }, { message }) => {
    model.settle(message)
    return Promise.resolve({})
  }),
  open: action({ agent: name }, async ({ client, model }, { agent }) => {
    const [entry] = await client.listAgents(undefined, { agent: parseAgentRef(agent) })
    if (entry === undefined) throw new ChatError("AGENT_NOT_FOUND", `agent: there is no ${agent} here`)
    model.openThread(entry.id, entry.name)
    return { conversation: entry.id }
  }),
  create: action({ channel: name }, async ({ client, feed }, { channel }) => {
    await client.createChannel(parseChannel(channel))
    await feed.look()
    return { conversation: channel }
  }),
  answer: action({ task: id, text: string }, async (context, { task, text: answer }) => {
    const { client, feed, clock, identity, serverId } = context
    if (identity === undefined)
      throw new ChatError("IDENTITY_REQUIRED", "task: only an agent with a key answers one")
    // The whole of the question, which the answer is signed for.
    const { type: _type, ...question } = await client.claim(task)
    const facts = { aud: serverId(), task, question: questionDigest(question), answer, ts: clock.now() }
    await client.request({ type: "DONE", task, content: answer, answer: signAnswer(facts, identity.keyPair) })
    await feed.lookAtTasks()
    return {}
  }),
  decide: action(
    { deal: id, verb: oneOf(["ACCEPT", "REJECT", "COMPLETE", "DISPUTE"]), text: optional(text(2_000)) },
    async ({ client, feed }, { deal, verb, text: words = "" }) => {
      const more = words === "" ? undefined : words
      if (verb === "ACCEPT") await client.accept(deal)
      else if (verb === "REJECT") await client.reject(deal, more)
      else if (verb === "COMPLETE") await client.complete(deal, more)
      else if (more === undefined)
        throw new ChatError("INVALID_MSG", "text: is missing; say what was not done")
      else await client.dispute(deal, more)
      await feed.lookAtDeals()
      return {}
    },
  ),
  reset: action({ scope: optional(text(200, 1)) }, async ({ client, feed }, { scope }) => {
    const { lifted = [] } = await client.request({ type: "RESET_GUARD", ...omitUndefined({ scope }) })
    await feed.lookAtGuards()
    return { lifted }
  }),
  moderate: action(
    {
      action: oneOf(["kick", "ban", "unban", "mute", "unmute", "close", "reopen"]),
      agent: optional(name),
      channel: optional(name),
      reason,
      forMs: optional(number(1)),
    },
    moderate,
  ),
} as const

async function moderate(
  { client, clock, identity, serverId }: ActionContext,
  body: {
    readonly action: "kick" | "ban" | "unban" | "mute" | "unmute" | "close" | "reopen"
    readonly agent?: string
    readonly channel?: string
    readonly reason: string
    readonly forMs?: number
  },
): Promise<object> {
  if (identity === undefined)
    throw new ChatError("IDENTITY_REQUIRED", "only an operator of the relay may do this", {
      hint: "start the page with the operator's key: agentchat web --identity operator.json",
    })
  const { agent, channel, forMs, ...rest } = body
  const ts = clock.now()
  const target = agent === undefined ? undefined : await idOf(client, agent)
  const until = forMs === undefined ? undefined : ts + forMs
  const named = channel === undefined ? undefined : parseChannel(channel)
  const facts = { ...rest, id: randomUUID(), aud: serverId(), ts }
  const statement = signModeration(
    { ...facts, ...omitUndefined({ agent: target, channel: named, until }) },
    identity.keyPair,
  )
  const { state } = await client.request({ type: "MODERATE", statement })
  return { done: state === "done" }
}

async function idOf(client: AgentChatClient, agent: string): Promise<AgentId> {
  const [entry] = await client.listAgents(undefined, { agent: parseAgentRef(agent) })
  return (entry?.id ?? agent.toLowerCase()) as AgentId
}

/**
 * Carries out an action.
 * @throws {ChatError} NOT_FOUND for an unknown one; INVALID_MSG, naming the field; the refusal of the relay
 */
export async function runAction(context: ActionContext, name: string, body: unknown): Promise<object> {
  if (!Object.hasOwn(actions, name))
    throw new ChatError("NOT_FOUND", `there is no action ${name.slice(0, 40)}`)
  const { fields, run } = actions[name as keyof typeof actions] as unknown as Action<Fields>
  const unknown = isPlain(body) ? Object.keys(body).find((key) => !Object.hasOwn(fields, key)) : undefined
  if (unknown !== undefined)
    throw new ChatError("INVALID_MSG", `${unknown.slice(0, 40)}: is no field of ${name}`)
  const read = object(fields).read(body)
  if (read instanceof Fault) throw new ChatError("INVALID_MSG", `${read.path}: ${read.problem}`)
  return run(context, read)
}
