import { randomInt } from "node:crypto"
import { EventEmitter } from "node:events"
import { type Clock, systemClock } from "../base/clock.js"
import { omitUndefined } from "../base/plain.js"
import type {
  DealEvent,
  DisputeOptions,
  Proposal,
  ProposalDraft,
  ProposalQuery,
} from "../proposals/deal-event.js"
import type { Receipt } from "../proposals/receipt.js"
import { type ClaimEntry, defaultClaimSeconds } from "../protocol/claims.js"
import type { ClientFrame } from "../protocol/client-messages.js"
import { ChatError } from "../protocol/errors.js"
import {
  type AgentId,
  parseAddress,
  parseAgentRef,
  parseChannel,
  parseNick,
  parseSubscription,
} from "../protocol/names.js"
import type {
  ChannelEntry,
  ChannelSettings,
  RosterEntry,
  ServerMessage,
} from "../protocol/server-messages.js"
import { answerTask } from "./answer-task.js"
import type { Connection, ConnectOptions } from "./connection.js"
import { Deals } from "./deals/deals.js"
import type { AgentChatClientEvents } from "./events.js"
import { Incoming, ReceivedIds } from "./incoming.js"
import { JoinedChannels } from "./joined-channels.js"
import type { Checked } from "./message-check.js"
import {
  type AgentChatClientOptions,
  type ClaimOptions,
  type CreateOptions,
  IdentitySource,
  type MessageSearch,
} from "./options.js"
import type { AnswerTo, RequestFrame } from "./pending.js"
import { ackOf, frameOfMessage, type SendAck, type SendOptions } from "./send-ack.js"
import { parseServerUrl } from "./server-url.js"
import { ReconnectingSession } from "./session.js"

/**
 * An agent's connection to a relay.
 *
 * Every method rejects with a {@link ChatError}: INVALID_NAME before anything is sent, the relay's own code, TIMEOUT if no
 * answer arrives within 10 s, or UNREACHABLE if there is no session. The client neither delays nor repeats requests. The
 * relay delays a `send` over its rate by up to 5 s, together with the calls after it, and rejects a longer wait with
 * RATE_LIMITED and `retryAfterMs`.
 */
export class AgentChatClient extends EventEmitter<AgentChatClientEvents> {
  readonly #clock: Clock
  readonly #identity: IdentitySource
  readonly #options: Omit<AgentChatClientOptions, "identity">
  readonly #session: ReconnectingSession
  readonly #channels = new JoinedChannels()
  /** Direct messages that listeners received; they count as received and read. */
  readonly #receipts = new ReceivedIds((ids) => {
    this.#session.connection?.send({ type: "RECEIVED", ids, retrieved: ids })
  })
  /** DELIVERY and INVITE messages whose event was emitted. */
  readonly #notices = new ReceivedIds((ids) => this.#session.connection?.send({ type: "RECEIVED", ids }))
  readonly #deals: Deals
  readonly #incoming: Incoming
  #checks: typeof import("./message-check.js") | undefined

  /** @throws {ChatError} USAGE for an invalid address, INVALID_NAME for an invalid name */
  constructor(options: AgentChatClientOptions) {
    super()
    parseServerUrl(options.server)
    parseNick(options.name)
    const { identity, ...others } = options
    this.#identity = new IdentitySource(identity)
    this.#options = others
    this.#clock = options.clock ?? systemClock
    this.#session = new ReconnectingSession(
      {
        clock: this.#clock,
        random: options.random ?? (() => randomInt(2 ** 32) / 2 ** 32),
        retry: options.reconnect === true ? "after-loss" : "never",
        connectOptions: () => this.#connectOptions(),
      },
      {
        onMessage: (message) => this.#incoming.take(message),
        onOnline: (connection, isReconnect) => {
          if (isReconnect) void this.#rejoin(connection)
        },
        onLost: (error, retryInMs) => this.#onLost(error, retryInMs !== undefined),
      },
    )
    this.#deals = new Deals({
      clock: this.#clock,
      relay: {
        serverId: () => this.#requireConnection("proposals").welcome.server_id,
        request: (frame) => this.#request(frame),
      },
      emitter: this,
      identity: () => this.#identity.require(),
      report: (error) => this.#incoming.report(error),
      confirm: (id) => this.#receipts.add(id),
    })
    this.#incoming = new Incoming(this, {
      channels: this.#channels,
      serverId: () => this.#serverId,
      deals: this.#deals,
      check: (message) => this.#check(message),
      identity: this.#identity,
      receipts: this.#receipts,
      notices: this.#notices,
    })
  }

  /** The agent's id; undefined while not connected. */
  get agentId(): AgentId | undefined {
    return this.#session.connection?.welcome.agent_id as AgentId | undefined
  }

  /** True while there is a session. */
  get isConnected(): boolean {
    return this.#session.connection !== undefined
  }

  /** The channels this client is in, or will join again with the next session. */
  get channels(): readonly string[] {
    return this.#channels.names
  }

  /**
   * Opens the session. A failed first attempt is not repeated, even with `reconnect`.
   * @returns WELCOME, with the agent's id, the relay's name and its limits
   * @throws {ChatError} UNREACHABLE, HANDSHAKE_TIMEOUT, VERIFICATION_FAILED, BAD_IDENTITY, or the relay's refusal
   */
  async connect(): Promise<ServerMessage<"WELCOME">> {
    return (await this.#session.connect()).welcome
  }

  /** Closes the session. No event follows. */
  async disconnect(): Promise<void> {
    this.#channels.clear()
    this.#deals.end(new ChatError("UNREACHABLE", "client: disconnected"))
    await this.#session.close()
  }

  /** The patterns this client joined. Channels that match appear in {@link channels}. */
  get patterns(): readonly string[] {
    return this.#channels.patterns
  }

  /**
   * Joins a channel, or with a pattern such as `#team.>` every open channel that matches, now and later. History follows as
   * `message` events with `replay: true`.
   * @param options - `since`: history after this sequence number instead of the newest messages
   * @returns JOINED, with the members
   */
  async join(channel: string, options: { readonly since?: number } = {}): Promise<ServerMessage<"JOINED">> {
    const { since } = options
    const frame = { type: "JOIN", channel: parseSubscription(channel) } as const
    return this.#joined(await this.#request(since === undefined ? frame : { ...frame, since }))
  }

  /** Leaves a channel, or a pattern and the channels joined through it. */
  async leave(channel: string): Promise<void> {
    await this.#request({ type: "LEAVE", channel: parseSubscription(channel) })
    this.#channels.left(channel)
  }

  /** Sends text to a `#channel`, an `@agent`, or one free worker of a `+role`. @returns the relay's acknowledgement */
  async send(to: string, content: string, options: SendOptions = {}): Promise<SendAck> {
    return ackOf(await this.#request(frameOfMessage(parseAddress(to), content, options)))
  }

  /** Sends text to one agent: `@id`, or `@name` if only one agent has that name. */
  async dm(agent: string, content: string, options: SendOptions = {}): Promise<SendAck> {
    return this.send(parseAgentRef(agent), content, options)
  }

  /**
   * Finds messages of the channels that this agent may read, the newest `limit` (50), oldest first.
   * @param query - such as `text`, `from`, `channel`, `since`; `before` or `after` a position of an earlier answer
   */
  async listMessages(query: MessageSearch = {}): Promise<ServerMessage<"MESSAGES">> {
    return this.#request({ type: "LIST_MESSAGES", ...query })
  }

  /** Lists the channels that are visible to this agent. */
  async listChannels(): Promise<readonly ChannelEntry[]> {
    return (await this.#request({ type: "LIST_CHANNELS" })).list
  }

  /**
   * Lists the agents in a channel, or all the relay knows.
   * @param options - `cards`: include their cards; `agent`: only this one, `@name` or `@id`
   */
  async listAgents(
    channel?: string,
    options: { readonly cards?: boolean; readonly agent?: string } = {},
  ): Promise<readonly RosterEntry[]> {
    const query = omitUndefined({
      channel: channel === undefined ? undefined : parseChannel(channel),
      cards: options.cards,
      agent: options.agent === undefined ? undefined : parseAgentRef(options.agent),
    })
    return (await this.#request({ type: "LIST_AGENTS", ...query })).roster
  }

  /** Creates a channel and joins it. Only members and invited agents see an invite-only channel. */
  async createChannel(channel: string, options: CreateOptions = {}): Promise<ServerMessage<"JOINED">> {
    const { inviteOnly = false, ...others } = options
    const create = { type: "CREATE_CHANNEL", channel: parseChannel(channel) } as const
    return this.#joined(await this.#request({ ...create, ...others, invite_only: inviteOnly }))
  }

  /** Changes the settings of a channel; absent members stay as they are. @param channel - `*` for the relay's defaults */
  async setChannel(channel: string, settings: ChannelSettings): Promise<void> {
    const name = channel === "*" ? channel : parseChannel(channel)
    await this.#request({ type: "SET_CHANNEL", channel: name, ...settings })
  }

  /** Returns what is waiting for this agent, for an `@agent` or for a `+role`. */
  async pending(target?: string): Promise<ServerMessage<"PENDING">> {
    const frame = { type: "PENDING" } as const
    if (target === undefined) return this.#request(frame)
    const name = target.startsWith("+") ? parseAddress(target) : parseAgentRef(target)
    return this.#request({ ...frame, target: name })
  }

  /** Takes a waiting task. @throws {ChatError} TASK_NOT_FOUND; LEASE_LOST if another worker has it */
  async claim(task: string): Promise<ServerMessage<"TASK">> {
    return this.#request({ type: "CLAIM", task })
  }

  /** Ends a task and sends `content` to the agent that asked. */
  async done(task: string, content?: string): Promise<void> {
    await this.#request({ type: "DONE", task, ...omitUndefined({ content }) })
  }

  /**
   * Answers a question: takes the task, signs the answer and ends the task.
   * @param answer - a choice, in any case, JSON of the schema, or a text
   * @throws {ChatError} INVALID_MSG if it does not fit, and its hint says what does; IDENTITY_REQUIRED, TASK_NOT_FOUND, LEASE_LOST
   */
  async answer(task: string, answer: string): Promise<void> {
    const { keyPair } = this.#identity.require()
    const relay = this.#requireConnection("answer")
    await answerTask(
      (frame) => relay.request(frame),
      { task, answer },
      {
        ...{ aud: relay.welcome.server_id, keyPair, ts: this.#clock.now() },
      },
    )
  }

  /** Gives a task back, for the next worker. */
  async fail(task: string, reason?: string): Promise<void> {
    await this.#request({ type: "FAIL", task, ...omitUndefined({ reason }) })
  }

  /** Renews the lease of a task. */
  async extend(task: string): Promise<void> {
    await this.#request({ type: "EXTEND", task })
  }

  /**
   * Claims files of a repository: all of the paths, or none.
   * @param repo - its remote as `host/path`, or a name
   * @param paths - up to 16, from the root of the repository; globs such as `src/**\/*.ts` too
   * @throws {ChatError} CLAIMED, naming owner, note and end; IDENTITY_REQUIRED without an identity
   */
  async claimPaths(repo: string, paths: readonly string[], options: ClaimOptions = {}): Promise<ClaimEntry> {
    const { keyPair } = this.#identity.require()
    const { signClaim } = await import("../identity/claim-signature.js")
    const { note, seconds = defaultClaimSeconds } = options
    const claim = { repo, paths, ...omitUndefined({ note }), seconds, ts: this.#clock.now() }
    const sig = signClaim({ ...claim, aud: this.#serverId }, keyPair)
    const [made] = (await this.#request({ type: "CLAIM_PATHS", ...claim, sig })).list
    if (made === undefined)
      throw new ChatError("UNSUPPORTED", "CLAIM_PATHS: the relay answered with no claim")
    return made
  }

  /** Ends own claims: of these paths, of all in a repository, or of all. @returns the paths that were claimed */
  async releasePaths(repo?: string, paths?: readonly string[]): Promise<readonly string[]> {
    const { released = [] } = await this.#request({
      type: "RELEASE_PATHS",
      ...omitUndefined({ repo, paths }),
    })
    return released
  }

  /** Lists the claims of a repository, or all, that their owners have signed. */
  async claims(repo?: string): Promise<readonly ClaimEntry[]> {
    const { list } = await this.#request({ type: "LIST_CLAIMS", ...omitUndefined({ repo }) })
    const { signedClaims } = await import("../identity/claim-signature.js")
    return signedClaims(list, this.#serverId)
  }

  /** Admits an agent to an invite-only channel. */
  async invite(channel: string, agent: string): Promise<void> {
    await this.#request({ type: "INVITE", channel: parseChannel(channel), agent: parseAgentRef(agent) })
  }

  /** Sets this agent's status. @param activity - up to 200 characters @param role - replaces the agent's role */
  async setPresence(
    status: ClientFrame<"SET_PRESENCE">["status"],
    activity?: string,
    role?: string,
  ): Promise<void> {
    await this.#request({ type: "SET_PRESENCE", status, ...omitUndefined({ activity, role }) })
  }

  /** Proposes a deal to an agent that has an identity. */
  async propose(to: string, draft: ProposalDraft): Promise<DealEvent<"PROPOSAL">> {
    const { id, ...content } = draft
    return this.#deals.send({ ...content, type: "PROPOSAL", to: parseAgentRef(to) }, id)
  }

  /** Accepts a proposal. */
  async accept(id: string, paymentCode?: string): Promise<DealEvent<"ACCEPT">> {
    return this.#deals.send({
      type: "ACCEPT",
      proposal_id: id,
      ...omitUndefined({ payment_code: paymentCode }),
    })
  }

  /** Rejects a proposal. */
  async reject(id: string, reason?: string): Promise<DealEvent<"REJECT">> {
    return this.#deals.send({ type: "REJECT", proposal_id: id, ...omitUndefined({ reason }) })
  }

  /** States that the work of a deal is done. Waits for the answer to your own proposal until it expires. */
  async complete(id: string, proof?: string): Promise<DealEvent<"COMPLETE">> {
    return this.#deals.send({ type: "COMPLETE", proposal_id: id, ...omitUndefined({ proof }) })
  }

  /** States that the work of a deal is not done, or not as agreed. */
  async dispute(id: string, reason: string, options: DisputeOptions = {}): Promise<DealEvent<"DISPUTE">> {
    return this.#deals.send({ type: "DISPUTE", proposal_id: id, reason, ...omitUndefined(options) })
  }

  /** Lists the deals that the relay has of this agent, each verified. */
  async proposals(query: ProposalQuery = {}): Promise<readonly Proposal[]> {
    return this.#deals.call((calls) => calls.proposals(query))
  }

  /**
   * Returns the receipt of a deal.
   * @throws {ChatError} PROPOSAL_NOT_FOUND; PROPOSAL_STATE until a party has completed or disputed the deal
   */
  async receipt(id: string): Promise<Receipt> {
    return this.#deals.call((calls) => calls.receipt(id))
  }

  /**
   * Sends a message that has no method of its own, such as `{type: "LIST_TASKS"}`, and returns its answer.
   * @throws {ChatError} INVALID_MSG for one that is not valid
   */
  async request<F extends RequestFrame>(frame: F): Promise<AnswerTo<F>> {
    return this.#request(frame)
  }

  /** Returns the round-trip time to the relay, in milliseconds. */
  async ping(): Promise<number> {
    const startMs = this.#clock.monotonic()
    await this.#request({ type: "PING" })
    return this.#clock.monotonic() - startMs
  }

  async #connectOptions(): Promise<ConnectOptions> {
    const { server: url } = this.#options
    const options = { ...this.#options, url, clock: this.#clock, confirmsNotices: true }
    // The curve is not needed before.
    this.#checks ??= await import("./message-check.js")
    const identity = await this.#identity.load()
    return identity === undefined ? options : { ...options, identity }
  }

  #check<M extends ServerMessage<"MSG"> | ServerMessage<"TASK">>(message: M): Checked<M> {
    if (this.#checks === undefined || this.#session.connection === undefined) {
      throw new ChatError("UNREACHABLE", "client: disconnected")
    }
    const { welcome } = this.#session.connection
    return this.#checks.checkMessage(message, this.#checks.readerOf(welcome, this.#identity.current))
  }

  async #request<F extends RequestFrame>(frame: F): Promise<AnswerTo<F>> {
    return this.#requireConnection(frame.type).request(frame)
  }

  #requireConnection(what: string): Connection {
    const { connection } = this.#session
    if (connection === undefined) throw new ChatError("UNREACHABLE", `${what}: not connected`)
    return connection
  }

  get #serverId(): string {
    return this.#session.connection?.welcome.server_id ?? ""
  }

  #joined(joined: ServerMessage<"JOINED">): ServerMessage<"JOINED"> {
    this.#channels.joined(joined, this.#serverId)
    return joined
  }

  #onLost(error: ChatError, willReconnect: boolean): void {
    if (!willReconnect) {
      this.#channels.clear()
      this.#deals.end(error)
    }
    if (error.code === "SESSION_DISPLACED") this.emit("displaced", error)
    this.emit("disconnect", error, willReconnect)
  }

  async #rejoin(connection: Connection): Promise<void> {
    const failures = await this.#channels.rejoin(connection)
    if (this.#session.connection !== connection) return
    for (const failure of failures) this.#incoming.report(failure)
    this.emit("reconnect", connection.welcome)
  }
}
