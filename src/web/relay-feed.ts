import { type Clock, repeat, type Timer } from "../base/clock.js"
import { omitUndefined } from "../base/plain.js"
import type { AgentChatClient } from "../client/client.js"
import { type Checked, checkMessage } from "../client/message-check.js"
import { ChatError } from "../protocol/errors.js"
import { persistentIdPattern } from "../protocol/names.js"
import type { RosterEntry, ServerMessage, TaskEntry } from "../protocol/server-messages.js"
import type { DealBook } from "./deals.js"
import type { AgentFacts, Model } from "./model.js"
import type { AgentState, MessageRow, TaskRow } from "./shapes.js"

/** Channels that are joined at most, and messages of each that are fetched first. */
const maxChannels = 500
const fetchedMessages = 200
/** Milliseconds between two looks at what the relay does not report by itself. */
const lookMs = 3_000
/** Mailboxes that are asked for at each look: all agents in turn. */
const mailboxesPerLook = 10
/** Pages of deals read at one look. */
const dealPages = 20

/** The source of a feed, and where it writes. */
export interface FeedOptions {
  readonly client: AgentChatClient
  /** Address of the relay, as it is shown. */
  readonly url: string
  readonly model: Model
  readonly deals: DealBook
  readonly clock: Clock
  readonly hasKey: boolean
  /** Called with the `server_id` of the relay before anything of it is shown. */
  readonly onServer: (serverId: string) => void
  /** Reports a failure that no person waits for. */
  readonly log: (line: string) => void
}

/** A message of the person, without what its being its own says. */
type OwnMessage = Omit<MessageRow, "isMine" | "isForMe" | "stages" | "parts" | "from" | "name" | "verified">

/** Follows a relay, and folds what it says into the model. */
export class RelayFeed {
  readonly #options: FeedOptions
  #looking: Timer | undefined
  #isClosed = false
  /** The mailbox asked for last. */
  #lastMailbox = ""

  constructor(options: FeedOptions) {
    this.#options = options
    this.#listen()
  }

  /** Connects. @throws {ChatError} as {@link AgentChatClient.connect} */
  async start(): Promise<void> {
    const { client, clock } = this.#options
    this.#onWelcome(await client.connect())
    await this.#joinAll()
    await this.look()
    this.#looking = repeat(clock, lookMs, () => this.#lookAgain())
  }

  async close(): Promise<void> {
    this.#isClosed = true
    this.#looking?.cancel()
    await this.#options.client.disconnect()
  }

  /** The `server_id` of the relay; empty before the first session. */
  get serverId(): string {
    return this.#serverId
  }
  #serverId = ""

  /** Asks the relay for everything that it does not report by itself. */
  async look(): Promise<void> {
    const looks = [
      this.lookAtAgents(),
      this.lookAtTasks(),
      this.lookAtDeals(),
      this.lookAtGuards(),
      this.#lookAtChannels(),
      this.#lookAtClaims(),
      this.#lookAtMail(),
    ]
    for (const outcome of await Promise.allSettled(looks)) {
      if (outcome.status === "rejected") this.#onFailure(outcome.reason)
    }
  }

  async lookAtAgents(): Promise<void> {
    const { client, model } = this.#options
    model.setAgents((await client.listAgents(undefined, { cards: true })).map(factsOf))
  }

  async lookAtTasks(): Promise<void> {
    const { client, model, clock } = this.#options
    const { list } = await client.request({ type: "LIST_TASKS" })
    model.setTasks(list.map((task) => taskRowOf(task, clock.now())))
  }

  async lookAtDeals(): Promise<void> {
    const { client, deals } = this.#options
    if (!this.#options.hasKey && !this.#mayOversee) return
    const more = this.#mayOversee ? { all: true } : {}
    let since = deals.lastTs
    for (let page = 0; page < dealPages; page++) {
      const answer = await client.request({ type: "LIST_PROPOSALS", since, ...more })
      for (const entry of answer.list) deals.take(entry)
      const last = answer.list.at(-1)?.statements.at(-1)?.ts ?? 0
      if (answer.more !== true || !(last > since)) break
      since = last
    }
    this.showDeals()
  }

  /** Brings what is known of deals into the model. */
  showDeals(): void {
    const { deals, model, clock } = this.#options
    const nameOf = (id: string) => (id === model.me.id ? model.me.name : model.agent(id)?.name)
    model.setDeals(deals.rows(model.me.id, clock.now(), nameOf))
    model.setRatings(deals.ratings(nameOf))
  }

  async lookAtGuards(): Promise<void> {
    const { client, model, clock } = this.#options
    const own = await client.request({ type: "LIST_GUARDS" })
    const stopped = model.me.isOperator
      ? (await client.request({ type: "LIST_GUARDS", stopped: true })).list
      : []
    const rows = new Map([...own.list, ...stopped].map((row) => [`${row.layer} ${row.scope}`, row]))
    const now = clock.now()
    model.setGuards(
      Array.from(rows.values(), (row) =>
        row.free_in_ms === undefined
          ? row
          : { ...row, freeTs: Math.round((now + row.free_in_ms) / 1_000) * 1_000 },
      ),
    )
  }

  /** Takes a message that the person has sent. */
  takeOwn(message: OwnMessage, to: string[]): void {
    const { model } = this.#options
    const { id: from, name } = model.me
    const { hasKey: verified } = this.#options
    const own = { ...message, from, name, verified, isMine: true, isForMe: false, parts: 0, stages: [] }
    model.addMessage(own, this.#titleOf(message.conversation), to)
    model.markRead(message.conversation, message.ts)
  }

  get #mayOversee(): boolean {
    return this.#options.model.me.isOperator || this.#isAdmin
  }
  #isAdmin = false

  #listen(): void {
    const { client, model, clock } = this.#options
    client.on("message", (message) => this.#takeMessage(message))
    client.on("delivery", ({ msg_id: id, state, by, ts, method, reason }) =>
      model.addStage(id, { state, by, ts, ...omitUndefined({ method, reason }) }),
    )
    client.on("presence", ({ agent, status, activity, role, ts }) =>
      model.setPresence(agent, { state: stateOf(status), sinceTs: ts, ...omitUndefined({ activity, role }) }),
    )
    for (const event of ["agent_joined", "channel_changed"] as const) client.on(event, () => this.#lookSoon())
    for (const event of ["proposal", "accept", "reject", "complete", "dispute"] as const)
      client.on(event, () => void this.lookAtDeals().catch((error: unknown) => this.#onFailure(error)))
    for (const event of ["task", "task_lost", "task_expired"] as const)
      client.on(event, () => void this.lookAtTasks().catch((error: unknown) => this.#onFailure(error)))
    client.on("guard", () => void this.lookAtGuards().catch((error: unknown) => this.#onFailure(error)))
    client.on("disconnect", (error) => this.#setOffline(error.message))
    client.on("reconnect", (welcome) => {
      this.#onWelcome(welcome)
      void this.#joinAll()
        .then(() => this.look())
        .catch((error: unknown) => this.#onFailure(error))
    })
    this.#setOffline(undefined, clock.now())
  }

  #setOffline(problem: string | undefined, sinceTs = this.#options.clock.now()): void {
    const { model, url } = this.#options
    const more = problem === undefined ? {} : { problem }
    model.setRelay({ url, name: this.#name, isOnline: false, sinceTs, ...more })
  }
  #name = ""

  #onWelcome(welcome: ServerMessage<"WELCOME">): void {
    const { agent_id: id, name, server, server_id: serverId, operators = [], rights } = welcome
    const { model, url, clock, hasKey, onServer } = this.#options
    if (serverId !== this.#serverId) onServer(serverId)
    this.#serverId = serverId
    this.#name = server
    this.#isAdmin = rights?.profile === "admin"
    const isReader = rights !== undefined && (rights.profile === "observer" || rights.profile === "admin")
    model.setMe({ id, name, isOperator: operators.includes(id), canWrite: !isReader, hasKey })
    model.setRelay({ url, name: server, isOnline: true, sinceTs: clock.now() })
  }

  async #lookAgain(): Promise<void> {
    if (!this.#isClosed && this.#options.client.isConnected) await this.look()
  }

  #lookSoon(): void {
    void this.lookAtAgents().catch((error: unknown) => this.#onFailure(error))
  }

  /** Reports what is no loss of the session, which is reported already. */
  #onFailure(error: unknown): void {
    if (!(error instanceof ChatError)) throw error
    if (error.code !== "UNREACHABLE" && !this.#isClosed) this.#options.log(error.message)
  }

  /** Joins every channel, with its newest messages, and those that will be created. */
  async #joinAll(): Promise<void> {
    await this.#lookAtChannels()
    const { client } = this.#options
    if (!client.patterns.includes("#>"))
      await client.join("#>").catch((error: unknown) => this.#onFailure(error))
  }

  async #lookAtChannels(): Promise<void> {
    const { client, model } = this.#options
    const channels = await client.listChannels()
    const joined = new Set(client.channels)
    for (const { name, agents, invite_only: isPrivate, settings, seq = 0 } of channels.slice(
      0,
      maxChannels,
    )) {
      model.setChannel(name, { agents, isPrivate, ...omitUndefined({ description: settings?.description }) })
      if (joined.has(name)) continue
      try {
        await client.join(name, { since: Math.max(0, seq - fetchedMessages) })
      } catch (error) {
        this.#onFailure(error)
      }
    }
    const names = new Set<string>(channels.map(({ name }) => name))
    for (const key of [...model.conversations.keys()])
      if (key.startsWith("#") && !names.has(key)) model.removeChannel(key)
  }

  async #lookAtClaims(): Promise<void> {
    const { client, model } = this.#options
    model.setClaims((await client.request({ type: "LIST_CLAIMS" })).list)
  }

  async #lookAtMail(): Promise<void> {
    const { client, model } = this.#options
    const ids = [...model.agents].filter((id) => persistentIdPattern.test(id)).sort()
    const start = ids.findIndex((id) => id > this.#lastMailbox)
    const turn = [...ids.slice(Math.max(0, start)), ...ids.slice(0, Math.max(0, start))].slice(
      0,
      mailboxesPerLook,
    )
    this.#lastMailbox = turn.at(-1) ?? ""
    for (const id of turn) {
      const { count, oldest_ts: oldestTs } = await client.pending(id)
      model.setMail(id, count, oldestTs)
    }
  }

  /** Returns the row of a message as the relay keeps it, with its signature checked. */
  rowOf(message: ServerMessage<"MSG">): MessageRow {
    const { me } = this.#options.model
    const reader = { serverId: this.#serverId, ids: [me.id], names: [me.name], isOlder: false }
    try {
      return this.#rowOf(checkMessage(message, reader))
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      return this.#rowOf({ ...message, verified: false })
    }
  }

  #rowOf(message: Checked<ServerMessage<"MSG">>): MessageRow {
    const { from, to, name, mentions = [], content, parts = [], msg_id: id, ts, verified } = message
    const { me } = this.#options.model
    const isDirect = to.startsWith("@")
    const isMine = from === me.id
    const conversation = isDirect ? (isMine ? to : from) : to
    const isForMe = !isMine && (isDirect || mentions.includes(me.id) || mentions.includes(`@${me.name}`))
    const { seq, kind, in_reply_to: re } = message
    return {
      ...{ id, conversation, from, name, ts, mentions, isMine, isForMe, verified },
      ...{ text: content, parts: parts.length, stages: [] },
      ...omitUndefined({ seq, kind, re }),
    }
  }

  #takeMessage(message: Checked<ServerMessage<"MSG">>): void {
    const row = this.#rowOf(message)
    const { conversation, isMine, name, mentions } = row
    const isDirect = message.to.startsWith("@")
    const title = isDirect && !isMine ? name : this.#titleOf(conversation)
    this.#options.model.addMessage(row, title, isDirect ? [message.to] : mentions)
  }

  #titleOf(conversation: string): string {
    if (conversation.startsWith("#")) return conversation
    return this.#options.model.agent(conversation)?.name ?? conversation.slice(1)
  }
}

/** Returns a row of the roster. */
function factsOf(entry: RosterEntry): AgentFacts {
  const { id, name, status, activity, role, since, seen_ts, read_ts, answered_ts, attention, wakeable } =
    entry
  const wake = wakeable && {
    method: wakeable.method,
    provenTs: wakeable.proven_ts,
    expiresTs: wakeable.expires_ts,
    latencyMs: wakeable.latency_ms,
  }
  const description = typeof entry.card?.description === "string" ? entry.card.description : undefined
  return {
    ...{
      id,
      name,
      state: entry.stale === true ? "stale" : stateOf(status),
      claims: entry.claims?.length ?? 0,
    },
    ...omitUndefined({ activity, role, description, attention, wake }),
    // The relay hears of a connected agent all the time.
    ...(status === "offline" && omitUndefined({ seenTs: seen_ts })),
    ...omitUndefined({ sinceTs: since, readTs: read_ts, answeredTs: answered_ts }),
  }
}

function stateOf(status: string): AgentState {
  const states: readonly string[] = ["working", "waiting", "idle", "away"]
  return states.includes(status) ? (status as AgentState) : "offline"
}

function taskRowOf({ lease_ms: lease, ...task }: TaskEntry, now: number): TaskRow {
  // To a second, so that a look which finds nothing new changes nothing.
  return lease === undefined ? task : { ...task, leaseUntilTs: Math.round((now + lease) / 1_000) * 1_000 }
}
