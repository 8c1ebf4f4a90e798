import { noTracer, type Tracer } from "../base/tracer.js"
import type { Connection } from "../client/connection.js"
import { ReconnectingSession } from "../client/session.js"
import { signAnswer } from "../identity/answer-signature.js"
import { signClaim } from "../identity/claim-signature.js"
import { defaultClaimSeconds } from "../protocol/claims.js"
import type { ClientMessage } from "../protocol/client-messages.js"
import { ChatError } from "../protocol/errors.js"
import { signatureSkewMs } from "../protocol/limits.js"
import type { ServerMessage, ServerType } from "../protocol/server-messages.js"
import { isVerb, type Verb } from "../protocol/verbs.js"
import { ClaimMirror } from "./claims/claim-mirror.js"
import { Approvals } from "./deals/approvals.js"
import { Deals, refuseDraft } from "./deals/deals.js"
import { AckLog } from "./delivery/acks.js"
import { AnswerEffects } from "./delivery/answer-effects.js"
import { DeliveryStatus } from "./delivery/delivery-status.js"
import { NamePins } from "./delivery/name-pins.js"
import { Senders } from "./delivery/senders.js"
import { EventLog } from "./files/append-log.js"
import { FileProblems } from "./files/file-problems.js"
import type { DaemonPaths } from "./files/paths.js"
import { describeProcess } from "./files/process-record.js"
import { ActiveStops } from "./guards/active-stops.js"
import { CircuitBreaker, workingDirectoryOf } from "./guards/circuit-breaker.js"
import type { InboxConsumer } from "./hooks/inbox-consumer.js"
import type { DurableBatch } from "./inbox/group-commit.js"
import { Inbox } from "./inbox/inbox.js"
import { noticeLine } from "./inbox/message-to-line.js"
import { connectOptionsOf, type DaemonHost, type DaemonOptions, initialChannels } from "./options.js"
import type { OutboxWait } from "./outbox/limits.js"
import { Outbox } from "./outbox/outbox.js"
import { OutboxSender } from "./outbox/sender.js"
import { Bookmarks } from "./session/bookmarks.js"
import { Channels, type JoinFailures } from "./session/channels.js"
import { DaemonMemory } from "./session/daemon-memory.js"
import { LeasedTasks } from "./session/leased-tasks.js"
import { Presence } from "./session/presence.js"
import { ReadReceipts } from "./session/read-receipts.js"
import { RelayMessages, type VerifiedAnswer } from "./session/relay-messages.js"
import type { OutboxStatus } from "./status.js"
import { type DaemonFacts, StatusWriter } from "./status-writer.js"
import { Bell } from "./wake/bell.js"

/** A daemon is idle once it is online and its status has not changed for this long. */
const idleMs = 10_000

/** Messages that change the status; others show in it after the next sweep. */
/** Ids in one RECEIVED frame. */
const idsPerFrame = 1_000
const statusTypes: ReadonlySet<ServerType> = new Set(["JOINED", "LEFT", "TASK_LOST", "GUARD"])

/** The connection of one identity to a relay, mirrored to files. */
export class Daemon {
  readonly #options: DaemonOptions
  readonly #host: DaemonHost
  readonly #log: EventLog
  readonly #status: StatusWriter
  readonly #session: ReconnectingSession
  readonly #bookmarks: Bookmarks
  readonly #memory: DaemonMemory
  readonly #presence: Presence
  readonly #receipts: ReadReceipts
  readonly #cursorProblems: FileProblems
  readonly #wakeProblems: FileProblems
  readonly #inbox: Inbox
  readonly #tasks: LeasedTasks
  readonly #channels: Channels
  readonly #stops: ActiveStops
  readonly #breaker: CircuitBreaker
  readonly #bell: Bell
  readonly #acks: AckLog
  readonly #answerEffects: AnswerEffects
  readonly #outbox: Outbox
  readonly #approvals: Approvals
  readonly #sender: OutboxSender
  readonly #senders: Senders
  readonly #messages: RelayMessages
  /** Undefined for an ephemeral daemon and with `compat`. */
  readonly #deals: Deals | undefined
  readonly #claims: ClaimMirror
  readonly #paths: DaemonPaths
  #hooks: readonly InboxConsumer[] = []
  #isStopped = false
  /** Set when an accepted line changed the state, until that is saved. */
  #isStateChanged = false

  /**
   * Opens the files and wires the services. The caller must hold the directory, which exists.
   * @throws {ChatError} FILE_FAILED when a file exists and cannot be read
   */
  constructor(paths: DaemonPaths, options: DaemonOptions, host: DaemonHost) {
    const { clock } = host
    this.#paths = paths
    this.#options = options
    this.#host = host
    this.#log = new EventLog(paths.log, clock, options.log)
    this.#status = new StatusWriter(paths.status, clock, this.#log)
    this.#session = this.#createSession()
    const log = (line: string) => this.#log.write(line)
    const self = () => this.agentId ?? ""

    this.#bookmarks = Bookmarks.open(paths.bookmarks, options.server)
    const bookmarks = this.#bookmarks
    this.#memory = DaemonMemory.open(paths.memory)
    const memory = this.#memory
    this.#presence = new Presence(memory, clock, log, options.role)
    const presence = this.#presence
    this.#receipts = new ReadReceipts({ cursors: paths.cursors, bookmarks, memory, clock })
    this.#cursorProblems = new FileProblems(this.#status.reporter("cursors"))
    this.#wakeProblems = new FileProblems(this.#status.reporter("wake"))

    this.#inbox = Inbox.open({
      ...{ paths, clock, log, requireHome: () => host.requireHome() },
      onDurable: (batch) => this.#onDurable(batch),
      onRecalled: (_id, line) => this.#receipts.recall(line),
      onProblem: this.#status.reporter("inbox"),
      onPressure: (isFull) => this.#session.setPaused(isFull),
    })
    const inbox = this.#inbox
    const wanted = initialChannels(options, bookmarks)
    bookmarks.setWanted(wanted)
    this.#channels = new Channels({ bookmarks, wanted, inbox, now: () => clock.now(), log })
    const channels = this.#channels
    this.#tasks = new LeasedTasks({ memory, clock, presence, inbox, log })
    const tasks = this.#tasks
    const guardContext = { clock, memory, inbox, log, self }
    const stops = (this.#stops = new ActiveStops(guardContext))
    const home = workingDirectoryOf(paths.dir)
    const breaker = new CircuitBreaker(guardContext, stops, options.guards, home)
    this.#breaker = breaker
    this.#bell = this.#openBell(paths, log)
    const bell = this.#bell

    const saveState = () => !this.#isStateChanged || this.#save()
    this.#acks = new AckLog(paths.acks, this.#status.reporter("acks"), saveState)
    const deliveryStatus = new DeliveryStatus(this.#acks, (ids) => this.#confirmNotices(ids), log)
    this.#answerEffects = new AnswerEffects({
      ...{ deliveryStatus, inbox, tasks, presence, stops, breaker, bell, clock, self, log },
      isEcho: options.echo,
      onStateChanged: () => {
        this.#isStateChanged = true
        this.#publish()
      },
    })
    this.#outbox = this.#openOutbox(paths)
    this.#approvals = this.#openApprovals(paths)
    this.#sender = this.#createSender()
    this.#senders = new Senders({ memory, inbox, clock, log, identity: options.identity })
    this.#messages = new RelayMessages({
      ...{ channels, deliveryStatus, tasks, stops, breaker, inbox, log, tracer: this.#tracer },
      ...{ sender: this.#sender, senders: this.#senders, onAnswer: (answer) => this.#onAnswer(answer) },
    })
    this.#deals = this.#openDeals(paths, log)
    this.#claims = new ClaimMirror(paths, this.#status.reporter("claims"))
  }

  /** Connects, and stays connected until {@link stop}. */
  start(): void {
    this.#log.write(`start: ${this.#options.nick} to ${this.#options.server}`)
    // Errors are reported by onLost.
    this.#session.connect().catch(() => {})
    this.#openHooks().catch((error: unknown) => {
      if (!(error instanceof ChatError)) throw error
      this.#status.setProblem("hooks", error)
    })
    this.#publish()
  }

  /** @throws {ChatError} FILE_FAILED, BAD_IDENTITY */
  async #openHooks(): Promise<void> {
    const { on_message: command, webhook, notify } = this.#options
    if ((command ?? webhook ?? notify) === undefined) return
    const { openHooks } = await import("./hooks/open-hooks.js")
    if (this.#isStopped) return
    this.#hooks = openHooks(this.#options, {
      paths: this.#paths,
      clock: this.#host.clock,
      lastSeq: this.#inbox.lastSeq,
      self: () => this.agentId ?? "",
      log: (line) => this.#log.write(line, "warn"),
    })
    for (const hook of this.#hooks) hook.poke()
  }

  /**
   * Ends the session, saves the state and sets the status to `stopped`. Unsent lines stay for the next run.
   * @param isHomeOurs - false to leave the files as they are: another daemon may use them
   */
  async stop(reason?: ChatError, isHomeOurs = true): Promise<void> {
    if (isHomeOurs) this.#checkReaders()
    else this.#status.close()
    const isStopped = this.#session.state === "stopped"
    const closed = this.#session.close()
    if (!isStopped) {
      if (isHomeOurs) this.#log.write(`stop: ${reason?.message ?? "as asked"}`)
      this.#offline(reason)
    }
    await closed
    this.#deals?.close()
    this.#isStopped = true
    for (const hook of this.#hooks) hook.close()
    this.#bell.close()
    await this.#inbox.close(isHomeOurs)
    this.#outbox.close(isHomeOurs)
    if (!isHomeOurs) return
    this.#acks.flush()
    this.#save()
    this.#publish()
  }

  /** True if nothing happened for a while and nothing waits to be done. */
  get isIdle(): boolean {
    const isDone = this.#outbox.pending === 0 && this.#inbox.heldBytes === 0
    return isDone && this.#session.state === "online" && this.#status.unchangedMs > idleMs
  }

  /** Finds changes that no file event reported and retries what failed. The host calls it about once a second. */
  sweep(): void {
    this.#inbox.sweep()
    this.#outbox.sweep()
    this.#acks.flush()
    this.#deals?.sweep()
    this.#approvals.sweep()
    this.#claims.sweep()
    for (const hook of this.#hooks) hook.poke()
    this.#checkReaders()
    this.#wakeProblems.attempt("echoes", "read", () => this.#bell.sweep())
    this.#save()
    this.#sender.send()
    void this.#channels.retryJoins().then((failures) => this.#onJoined(failures))
    this.#publish()
  }

  /** Returns a function that sets or clears the problem of one part in the status. */
  reporter(where: string): (problem: ChatError | undefined) => void {
    return this.#status.reporter(where)
  }

  /** Lets the daemon's own breaker count from zero again. */
  resetBreaker(): void {
    this.#breaker.reset()
    this.#saveNow()
    this.#sender.send()
  }

  /** Rings the agent's session. @returns how @throws {ChatError} why it cannot be rung */
  async testWake(): Promise<string> {
    try {
      return await this.#bell.test()
    } finally {
      this.#publish()
    }
  }

  /** The agent's id; undefined for an ephemeral daemon that never was online. */
  get agentId(): string | undefined {
    // A relay of the first AgentChat derives another id from the same key.
    return this.#session.connection?.welcome.agent_id ?? this.#options.identity?.agentId
  }

  #createSession(): ReconnectingSession {
    const { clock, random } = this.#host
    const connectOptions = connectOptionsOf(this.#options, clock)
    return new ReconnectingSession(
      {
        ...{ clock, random, retry: "always" },
        connectOptions: () => Promise.resolve(connectOptions),
        lastServerId: () => this.#bookmarks.serverId,
      },
      {
        onOnline: (connection) => void this.#onOnline(connection),
        onMessage: (message) => this.#receive(message),
        onLost: (reason, retryInMs) => this.#onLost(reason, retryInMs),
      },
    )
  }

  #openOutbox(paths: DaemonPaths): Outbox {
    const { clock } = this.#host
    return new Outbox({
      ...{ paths, clock, requireHome: () => this.#host.requireHome() },
      onProblem: this.#status.reporter("outbox"),
      onLines: () => this.#sender.send(),
      reject: (rejection) => this.#answerEffects.rejectedUnsent(rejection),
    })
  }

  #openApprovals({ outbox }: DaemonPaths): Approvals {
    return new Approvals({
      ...{ memory: this.#memory, outbox, now: () => this.#host.clock.now(), self: () => this.agentId ?? "" },
      problems: new FileProblems(this.#status.reporter("approvals")),
      dealOf: (id) => this.#deals?.get(id),
      isRequired: this.#options.approve_deals === true,
    })
  }

  get #tracer(): Tracer {
    return this.#host.tracer ?? noTracer
  }

  #createSender(): OutboxSender {
    return new OutboxSender({
      outbox: this.#outbox,
      clock: this.#host.clock,
      acks: this.#acks,
      effects: this.#answerEffects,
      breaker: this.#breaker,
      names: new NamePins(this.#memory),
      approvals: this.#approvals,
      tracer: this.#tracer,
      signer: {
        sign: (draft, key) => this.#deals?.sign(draft, key) ?? refuseDraft(),
        signClaim: (frame) => this.#signClaim(frame),
        signAnswer: (frame) => this.#signAnswer(frame),
        signMessage: (frame) => this.#session.connection?.signed(frame) ?? frame,
        markStale: (proposalId) => this.#deals?.markStale(proposalId),
      },
      onUnavailable: this.#status.reporter("relay"),
    })
  }

  #openBell(paths: DaemonPaths, log: (line: string) => void): Bell {
    const { clock, findSession } = this.#host
    const { identity, name, compat } = this.#options
    return new Bell({
      ...{ paths, clock, memory: this.#memory, log, identity: compat ? undefined : identity },
      self: () => this.agentId ?? "",
      lastSeq: () => this.#inbox.lastSeq,
      findSession: async () => findSession?.(name),
      onEcho: () => {
        this.#checkReaders()
        this.#publish()
      },
    })
  }

  #openDeals(paths: DaemonPaths, log: (line: string) => void): Deals | undefined {
    const { identity, compat } = this.#options
    if (identity === undefined || compat) return undefined
    const { clock, pid } = this.#host
    const owner = { process: describeProcess(pid), now: () => clock.now() }
    const options = { paths, identity, clock, memory: this.#memory, owner }
    return new Deals(options, {
      log,
      mirror: ({ line, msgId }, mark) => this.#inbox.append(line, { msgId, mark }),
      confirm: (id) => this.#session.connection?.send({ type: "RECEIVED", ids: [id] }),
      onProblem: this.#status.reporter("proposals"),
      onRecorded: (message) => this.#sender.answer(message),
      onAnswerRefused: (re, { code, message }) => this.#sender.answer({ type: "ERROR", re, code, message }),
    })
  }

  /** Signs a claim for the relay of this session. Without a key it stays as it is, and the relay refuses it. */
  #signClaim(frame: ClientMessage<"CLAIM_PATHS">): ClientMessage<"CLAIM_PATHS"> {
    const { identity } = this.#options
    const aud = this.#session.connection?.welcome.server_id
    if (identity === undefined || aud === undefined) return frame
    const claim = { ...frame, seconds: frame.seconds ?? defaultClaimSeconds, ts: this.#host.clock.now() }
    return { ...claim, sig: signClaim({ ...claim, aud }, identity.keyPair) }
  }

  /** Signs the answer to a task that needs that, if the question is known. */
  #signAnswer(frame: ClientMessage<"DONE">): ClientMessage<"DONE"> {
    const { identity } = this.#options
    const aud = this.#session.connection?.welcome.server_id
    const { task, content: answer = "" } = frame
    const question = this.#tasks.questionOf(task)
    if (identity === undefined || aud === undefined || question === undefined) return frame
    const ts = this.#host.clock.now()
    return { ...frame, answer: signAnswer({ aud, task, question, answer, ts }, identity.keyPair) }
  }

  async #onOnline(connection: Connection): Promise<void> {
    const { welcome } = connection
    this.#log.write(`online: ${welcome.agent_id} on ${welcome.server} (${welcome.server_id})`)
    this.#status.setReason(undefined)
    this.#answerEffects.restart()
    this.#stops.onConnected(welcome.server_id)
    this.#senders.attach(connection)
    this.#checkClock(welcome.ts - this.#host.clock.now())
    this.#breaker.attach(welcome)
    void this.#presence.resend(connection)
    this.#tasks.attach(connection)
    this.#receipts.attach(connection)
    this.#bell.attach(connection)
    this.#deals?.attach(connection)
    void this.#claims.attach(connection)
    this.#onJoined(await this.#channels.attach(connection))
    // Lines may be meant for channels, so they are sent once the channels are joined.
    if (this.#session.connection !== connection) return
    this.#sender.attach(connection)
    this.#publish()
  }

  /** Notes a clock that is so wrong that the relay leaves signatures out. */
  #checkClock(aheadMs: number): void {
    if (Math.abs(aheadMs) <= signatureSkewMs.relay) return
    const minutes = `${Math.round(Math.abs(aheadMs) / 60_000)} minutes ${aheadMs > 0 ? "ahead" : "behind"}`
    this.#log.write(`clock: the relay's is ${minutes}, so others see your messages as unverified`)
  }

  #onLost(reason: ChatError, retryInMs: number | undefined): void {
    const { code, message } = reason
    if (retryInMs === undefined) this.#log.write(`stop: ${code} ${message}`, "error")
    else this.#log.write(`waiting: ${code} ${message}; next try in ${Math.round(retryInMs)} ms`, "warn")
    this.#offline(reason)
    if (retryInMs === undefined) this.#host.onStopped(this.#options.name, reason)
  }

  #offline(reason: ChatError | undefined): void {
    this.#sender.detach()
    this.#senders.detach()
    this.#tasks.detach()
    this.#receipts.detach()
    this.#bell.detach()
    this.#deals?.detach()
    this.#claims.detach()
    this.#channels.detach()
    this.#status.setProblem("channels", undefined)
    this.#status.setReason(reason)
    this.#publish()
  }

  #receive(message: ServerMessage): void {
    if (message.type === "CLAIMS_CHANGED") this.#claims.receive(message)
    if (isVerb(message.type)) this.#deals?.receive(message as ServerMessage<Verb>)
    else if (this.#session.connection !== undefined) {
      this.#messages.receive(message, this.#session.connection.welcome)
    }
    if (message.type === "TASK_EXPIRED") this.#approvals.onAnswer(message.task, undefined)
    // A task must survive a crash that comes right after it.
    if (message.type === "TASK") this.#saveNow()
    else if (statusTypes.has(message.type)) this.#publish()
  }

  #confirmNotices(ids: readonly string[]): void {
    for (let from = 0; from < ids.length; from += idsPerFrame) {
      this.#session.connection?.send({ type: "RECEIVED", ids: ids.slice(from, from + idsPerFrame) })
    }
  }

  #onDurable(batch: DurableBatch): void {
    this.#deals?.onDurable(batch.msgIds)
    this.#receipts.confirm(batch)
    this.#bell.onDurable()
    for (const hook of this.#hooks) hook.poke()
  }

  #onJoined(failures: JoinFailures | undefined): void {
    if (failures === undefined) return
    for (const [name, { code, message }] of failures.refused) {
      this.#notify(code, `cannot join ${name}: ${message}`)
    }
    if (failures.reset.length > 0) {
      const names = failures.reset.join(", ")
      this.#notify(
        "STORE_RESET",
        `${names}: the relay's store was emptied or restored; messages may be missing there`,
      )
    }
    this.#status.setProblem("channels", failures.temporary)
    this.#save()
  }

  /** Keeps the answer to a question with choices. */
  #onAnswer({ question, task, answer, by, aud, ts, sig }: VerifiedAnswer): void {
    const decision = { v: 1, type: "DECISION", task, question, answer, by, aud, ts, sig } as const
    this.#approvals.onAnswer(task, answer)
    if ("choices" in (JSON.parse(question) as object)) this.#deals?.addDecision(decision)
  }

  #notify(code: string, text: string): void {
    this.#log.write(`notice: ${text}`)
    this.#inbox.append(noticeLine(code, text, this.#host.clock.now()))
  }

  #checkReaders(): void {
    this.#cursorProblems.attempt("cursors", "read", () => this.#receipts.checkReaders())
  }

  #saveNow(): void {
    this.#save()
    this.#publish()
  }

  /** @returns whether everything is on disk */
  #save(): boolean {
    const problems = { bookmarks: this.#bookmarks.save(), memory: this.#memory.save() }
    for (const [where, problem] of Object.entries(problems)) this.#status.setProblem(where, problem)
    const isSaved = Object.values(problems).every((problem) => problem === undefined)
    if (isSaved) this.#isStateChanged = false
    return isSaved
  }

  #outboxStatus(): OutboxStatus {
    const { pending, unreadBytes, unfinished } = this.#outbox
    const waits: OutboxWait[] = pending > 0 || unreadBytes > 0 ? this.#reasonsToWait() : []
    if (unfinished !== undefined) {
      const message = `the last line has ${unfinished.bytes} bytes and no newline`
      waits.unshift({ reason: "unfinished line", message, since: unfinished.sinceMs })
    }
    return { pending, unread_bytes: unreadBytes, waits }
  }

  #reasonsToWait(): OutboxWait[] {
    const { connection, state } = this.#session
    const { wait } = this.#sender
    const offline = connection === undefined ? (this.#status.reason?.message ?? state) : undefined
    const relay = offline ?? this.#status.problemOf("relay")?.message
    const disk = this.#status.problemOf("outbox") ?? this.#status.problemOf("acks")
    const waits: OutboxWait[] = []
    if (relay !== undefined && (wait === undefined || wait.reason === "guard"))
      waits.push({ reason: "relay", message: relay })
    if (disk !== undefined) waits.push({ reason: "disk", message: disk.message })
    if (wait !== undefined) waits.push(wait)
    return waits
  }

  #publish(): void {
    this.#status.publish(this.#facts())
  }

  #facts(): DaemonFacts {
    const { name, nick, server, compat, identityFile: identity = null } = this.#options
    const { connection, state } = this.#session
    return {
      name,
      nick,
      agent_id: this.agentId ?? null,
      server,
      identity,
      compat,
      server_id: connection?.welcome.server_id ?? null,
      operator: connection === undefined ? null : isOperator(connection.welcome),
      rights: connection?.welcome.rights ?? null,
      state,
      connected: connection !== undefined,
      pid: this.#host.pid,
      channels: this.#channels.names,
      durable: this.#channels.durable,
      patterns: this.#channels.patterns,
      presence: this.#presence.current ?? null,
      tasks: this.#tasks.ids,
      guards: this.#stops.list,
      breaker: this.#breaker.usage,
      wake: this.#bell.status,
      outbox: this.#outboxStatus(),
      inbox: { seq: this.#inbox.lastSeq, lines: this.#inbox.lines, held_bytes: this.#inbox.heldBytes },
    }
  }
}

function isOperator({ operators, agent_id: self }: ServerMessage<"WELCOME">): boolean {
  return operators?.includes(self) === true
}
