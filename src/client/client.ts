import { randomInt } from "node:crypto"
import { EventEmitter } from "node:events"
import { type Clock, systemClock } from "../base/clock.js"
import type { Receipt } from "../proposals/receipt.js"
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
import { Confirmations } from "./confirmations.js"
import type { Connection, ConnectOptions } from "./connection.js"
import type { DealEvent, DisputeOptions, Offer, Proposal, ProposalQuery } from "./deals/deal-event.js"
import { DealGate } from "./deals/deal-gate.js"
import type { AgentChatClientEvents } from "./events.js"
import { Incoming } from "./incoming.js"
import { JoinedChannels } from "./joined-channels.js"
import type { AgentChatClientOptions, CreateOptions } from "./options.js"
import { OwnIdentity } from "./own-identity.js"
import type { AnswerTo, RequestFrame } from "./pending.js"
import { ackOf, frameOfMessage, type SendAck, type SendOptions } from "./send-ack.js"
import { parseServerUrl } from "./server-url.js"
import { ReconnectingSession } from "./session.js"

/**
 * An agent's connection to a relay.
 *
 * Every method rejects with a {@link ChatError}: INVALID_NAME before anything is sent, the relay's own code,
 * TIMEOUT when no answer came within 10 s, UNREACHABLE when there is no session. Nothing is held back here or sent
 * again in silence: over its rate the relay delays what `send` sends by up to 5 s, and calls after that wait behind it;
 * what would wait longer rejects with RATE_LIMITED and `retryAfterMs`.
 */
export class AgentChatClient extends EventEmitter<AgentChatClientEvents> {
  readonly #clock: Clock
  readonly #self: OwnIdentity
  readonly #options: Omit<AgentChatClientOptions, "identity">
  readonly #session: ReconnectingSession
  readonly #channels = new JoinedChannels()
  /** Direct mail that listeners have had; who listened has read it: both rungs at once. */
  readonly #confirmations = new Confirmations((ids) => {
    this.#session.connection?.send({ type: "RECEIVED", ids, retrieved: ids })
  })
  readonly #deals: DealGate
  readonly #incoming: Incoming

  /** @throws {ChatError} USAGE or INVALID_NAME for an address or a name that cannot be right */
  constructor(options: AgentChatClientOptions) {
    super()
    parseServerUrl(options.server)
    parseNick(options.name)
    const { identity, ...others } = options
    this.#self = new OwnIdentity(identity)
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
    this.#deals = new DealGate({
      clock: this.#clock,
      emitter: this,
      identity: () => this.#self.require(),
      serverId: () => this.#requireConnection("proposals").welcome.server_id,
      request: (frame) => this.#request(frame),
      report: (error) => this.#incoming.report(error),
      confirm: (id) => this.#confirmations.add(id),
    })
    this.#incoming = new Incoming(this, {
      channels: this.#channels,
      serverId: () => this.#serverId,
      deals: this.#deals,
      self: this.#self,
      confirmations: this.#confirmations,
    })
  }

  /** The id others see, once connected. */
  get agentId(): AgentId | undefined {
    return this.#session.connection?.welcome.agent_id as AgentId | undefined
  }

  /** Whether a session stands. */
  get isConnected(): boolean {
    return this.#session.connection !== undefined
  }

  /** The channels this client is in, or will enter again with the next session. */
  get channels(): readonly string[] {
    return this.#channels.names
  }

  /**
   * Opens the session. A first try that fails is not repeated, even with `reconnect`.
   * @returns WELCOME: own id, the relay's name and its limits
   * @throws {ChatError} UNREACHABLE, HANDSHAKE_TIMEOUT, VERIFICATION_FAILED, BAD_IDENTITY, or the relay's refusal
   */
  async connect(): Promise<ServerMessage<"WELCOME">> {
    return (await this.#session.connect()).welcome
  }

  /** Ends the session in order; no event follows. */
  async disconnect(): Promise<void> {
    this.#channels.clear()
    this.#deals.end(new ChatError("UNREACHABLE", "client: disconnected"))
    await this.#session.close()
  }

  /** The patterns this client entered: channels that fit come to {@link channels} by themselves. */
  get patterns(): readonly string[] {
    return this.#channels.patterns
  }

  /**
   * Enters a channel, or with a pattern such as `#team.>` every open channel that fits, now and later; history
   * follows as `message` events with `replay: true`.
   * @param options - `since`: history after this sequence number instead of the newest few
   * @returns who is there
   */
  async join(channel: string, options: { readonly since?: number } = {}): Promise<ServerMessage<"JOINED">> {
    const { since } = options
    const frame = { type: "JOIN", channel: parseSubscription(channel) } as const
    return this.#entered(await this.#request(since === undefined ? frame : { ...frame, since }))
  }

  /** Leaves a channel, or a pattern and the channels it brought. */
  async leave(channel: string): Promise<void> {
    await this.#request({ type: "LEAVE", channel: parseSubscription(channel) })
    this.#channels.left(channel)
  }

  /** Sends text to a `#channel`, an `@agent`, or one free worker of a `+role`. @returns proof that the relay has it */
  async send(to: string, content: string, options: SendOptions = {}): Promise<SendAck> {
    return ackOf(await this.#request(frameOfMessage(parseAddress(to), content, options)))
  }

  /** Sends text to one agent: `@id`, or `@name` if one agent alone bears it. */
  async dm(agent: string, content: string, options: SendOptions = {}): Promise<SendAck> {
    return this.send(parseAgentRef(agent), content, options)
  }

  /** The channels one may see. */
  async listChannels(): Promise<readonly ChannelEntry[]> {
    return (await this.#request({ type: "LIST_CHANNELS" })).list
  }

  /**
   * Who is in a channel, or known to the relay.
   * @param options - `cards`: what each tells of itself too; `agent`: only this one, `@name` or `@id`
   */
  async listAgents(
    channel?: string,
    options: { readonly cards?: boolean; readonly agent?: string } = {},
  ): Promise<readonly RosterEntry[]> {
    const { cards, agent } = options
    const answer = await this.#request({
      type: "LIST_AGENTS",
      ...(channel === undefined ? {} : { channel: parseChannel(channel) }),
      ...(cards === undefined ? {} : { cards }),
      ...(agent === undefined ? {} : { agent: parseAgentRef(agent) }),
    })
    return answer.roster
  }

  /** Makes a channel and enters it. An invite-only one is seen by its members and those they invite, nobody else. */
  async createChannel(channel: string, options: CreateOptions = {}): Promise<ServerMessage<"JOINED">> {
    const { inviteOnly = false, ...others } = options
    const create = { type: "CREATE_CHANNEL", channel: parseChannel(channel) } as const
    return this.#entered(await this.#request({ ...create, ...others, invite_only: inviteOnly }))
  }

  /** Changes what a channel tells newcomers; what is left out stays. @param channel - `*`: the relay's defaults */
  async setChannel(channel: string, settings: ChannelSettings): Promise<void> {
    const name = channel === "*" ? channel : parseChannel(channel)
    await this.#request({ type: "SET_CHANNEL", channel: name, ...settings })
  }

  /** What waits for oneself, for an `@agent` or for a `+role`. */
  async pending(target?: string): Promise<ServerMessage<"PENDING">> {
    const frame = { type: "PENDING" } as const
    if (target === undefined) return this.#request(frame)
    const name = target.startsWith("+") ? parseAddress(target) : parseAgentRef(target)
    return this.#request({ ...frame, target: name })
  }

  /** Takes a task that waits. @throws {ChatError} TASK_NOT_FOUND; LEASE_LOST when another has it */
  async claim(task: string): Promise<ServerMessage<"TASK">> {
    return this.#request({ type: "CLAIM", task })
  }

  /** Ends a task; `content` goes to who asked. */
  async done(task: string, content?: string): Promise<void> {
    await this.#request({ type: "DONE", task, ...(content === undefined ? {} : { content }) })
  }

  /** Gives a task back, for the next worker. */
  async fail(task: string, reason?: string): Promise<void> {
    await this.#request({ type: "FAIL", task, ...(reason === undefined ? {} : { reason }) })
  }

  /** Renews the lease of a task. */
  async extend(task: string): Promise<void> {
    await this.#request({ type: "EXTEND", task })
  }

  /** Lets an agent into an invite-only channel. */
  async invite(channel: string, agent: string): Promise<void> {
    await this.#request({ type: "INVITE", channel: parseChannel(channel), agent: parseAgentRef(agent) })
  }

  /** Says what one is doing. @param activity - up to 200 characters @param role - the work one does from now on */
  async setPresence(
    status: ClientFrame<"SET_PRESENCE">["status"],
    activity?: string,
    role?: string,
  ): Promise<void> {
    await this.#request({
      type: "SET_PRESENCE",
      status,
      ...(activity === undefined ? {} : { activity }),
      ...(role === undefined ? {} : { role }),
    })
  }

  /** Proposes something to an agent with a key, signed. */
  async propose(to: string, offer: Offer): Promise<DealEvent<"PROPOSAL">> {
    return this.#deals.act((deals) => deals.propose(to, offer))
  }

  /** Takes a proposal. */
  async accept(id: string, paymentCode?: string): Promise<DealEvent<"ACCEPT">> {
    return this.#deals.act((deals) => deals.accept(id, paymentCode))
  }

  /** Turns a proposal down. */
  async reject(id: string, reason?: string): Promise<DealEvent<"REJECT">> {
    return this.#deals.act((deals) => deals.reject(id, reason))
  }

  /** Says that a deal is carried out. One's own proposal that nobody has answered yet is waited for while it can be. */
  async complete(id: string, proof?: string): Promise<DealEvent<"COMPLETE">> {
    return this.#deals.complete(id, proof)
  }

  /** Says that a deal is not carried out, or not as agreed. */
  async dispute(id: string, reason: string, options: DisputeOptions = {}): Promise<DealEvent<"DISPUTE">> {
    return this.#deals.act((deals) => deals.dispute(id, reason, options))
  }

  /** One's own proposals, made and received, as far as the relay still has them. */
  async proposals(query: ProposalQuery = {}): Promise<readonly Proposal[]> {
    return this.#deals.act((deals) => deals.proposals(query))
  }

  /** What proves a deal to anybody. @throws {ChatError} PROPOSAL_NOT_FOUND; PROPOSAL_STATE while there is nothing to prove */
  async receipt(id: string): Promise<Receipt> {
    return this.#deals.act((deals) => deals.receipt(id))
  }

  /** @returns milliseconds to the relay and back */
  async ping(): Promise<number> {
    const startMs = this.#clock.monotonic()
    await this.#request({ type: "PING" })
    return this.#clock.monotonic() - startMs
  }

  async #connectOptions(): Promise<ConnectOptions> {
    const options = { ...this.#options, url: this.#options.server, clock: this.#clock }
    const identity = await this.#self.load()
    return identity === undefined ? options : { ...options, identity }
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

  #entered(joined: ServerMessage<"JOINED">): ServerMessage<"JOINED"> {
    this.#channels.entered(joined, this.#serverId)
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
    const failures = await this.#channels.enterAgain(connection)
    if (this.#session.connection !== connection) return
    for (const failure of failures) this.#incoming.report(failure)
    this.emit("reconnect", connection.welcome)
  }
}
