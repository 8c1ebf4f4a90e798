import { mkdirSync } from "node:fs"
import type { Connection } from "../client/connection.js"
import type { ChatError } from "../protocol/errors.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import { isVerb, type Verb } from "../protocol/verbs.js"
import { Deals, refuseDraft } from "./deals/deals.js"
import { AckLog } from "./delivery/acks.js"
import { DeliveryStatus } from "./delivery/delivery-status.js"
import { LineOutcomes } from "./delivery/line-outcomes.js"
import { DaemonLog } from "./files/daemon-log.js"
import type { DaemonPaths } from "./files/paths.js"
import { type DaemonGuards, makeGuards } from "./guards/daemon-guards.js"
import { News } from "./guards/news.js"
import { Inbox } from "./inbox/inbox.js"
import { lostTaskLine, type MirroredLine, mirrorLine, welcomeLine } from "./inbox/message-to-line.js"
import { type DaemonHost, type DaemonOptions, sessionOf, wantedChannels } from "./options.js"
import { Outbox } from "./outbox/outbox.js"
import { OutboxProblems } from "./outbox/problems.js"
import { OutboxSender } from "./outbox/sender.js"
import { Bookmarks } from "./session/bookmarks.js"
import { confirm, type Mark, markOf } from "./session/confirmations.js"
import { DaemonMemory } from "./session/daemon-memory.js"
import { LeasedTasks } from "./session/leased-tasks.js"
import { Memberships } from "./session/memberships.js"
import { Presence } from "./session/presence.js"
import { ReadReceipts } from "./session/read-receipts.js"
import { Entrance } from "./session/rejoin-channels.js"
import { RelayNews } from "./session/relay-events.js"
import { RelaySession } from "./session/relay-session.js"
import { factsOf } from "./status-facts.js"
import { StatusWriter } from "./status-writer.js"

/** One identity's connection mirrored to files. */
export class Daemon {
  readonly #paths: DaemonPaths
  readonly #options: DaemonOptions
  readonly #host: DaemonHost
  readonly #log: DaemonLog
  readonly #status: StatusWriter
  readonly #bookmarks: Bookmarks
  readonly #memory: DaemonMemory
  readonly #memberships: Memberships
  readonly #presence: Presence
  readonly #tasks: LeasedTasks
  readonly #unread: ReadReceipts
  readonly #cursorProblems: OutboxProblems
  readonly #inbox: Inbox
  readonly #news: News
  readonly #entrance: Entrance
  readonly #outbox: Outbox
  readonly #acks: AckLog
  readonly #ladder: DeliveryStatus
  readonly #guards: DaemonGuards
  readonly #relayNews: RelayNews
  readonly #outcomes: LineOutcomes
  readonly #pump: OutboxSender
  readonly #link: RelaySession
  /** Absent for an ephemeral daemon. */
  readonly #deals: Deals | undefined

  /** Opens every file. The pid file must be held by the caller. */
  constructor(paths: DaemonPaths, options: DaemonOptions, host: DaemonHost) {
    mkdirSync(paths.dir, { recursive: true, mode: 0o700 })
    this.#paths = paths
    this.#options = options
    this.#host = host
    const { clock } = host
    this.#log = new DaemonLog(paths.log, clock)
    this.#status = new StatusWriter(paths.status, clock, this.#log)
    const log = (line: string) => this.#log.write(line)
    const self = () => this.agentId ?? ""
    const mirror = (line: MirroredLine, mark?: Mark) => this.#mirror(line, mark)
    this.#bookmarks = Bookmarks.open(paths.bookmarks, options.server)
    this.#memory = DaemonMemory.open(paths.memory)
    this.#memberships = new Memberships(
      this.#bookmarks,
      wantedChannels(options, this.#bookmarks),
      (joined) => {
        const line = welcomeLine(joined)
        if (line !== undefined) mirror({ line })
      },
    )
    this.#presence = new Presence(this.#memory, clock, log, options.role)
    this.#tasks = new LeasedTasks(this.#memory, clock, {
      isWorking: () => this.#presence.isWorking,
      onLost: (task, reason) => {
        log(`task lost: ${task}: ${reason}`)
        mirror({ line: lostTaskLine(task, reason, clock.now()) })
      },
    })
    this.#unread = new ReadReceipts(paths.cursors, this.#memory, () => clock.monotonic())
    this.#cursorProblems = new OutboxProblems(this.#status.reporter("cursors"))
    this.#inbox = this.#openInbox(log)
    this.#news = new News(this.#inbox, this.#log, clock)
    this.#entrance = this.#makeEntrance(log)
    this.#outbox = this.#openOutbox()
    this.#acks = AckLog.open(paths.acks, this.#status.reporter("acks"))
    this.#ladder = new DeliveryStatus(this.#acks, log)
    const { guards: limits } = options
    this.#guards = makeGuards({ paths, clock, memory: this.#memory, limits, log, self, mirror })
    this.#relayNews = this.#makeRelayNews(log, self)
    this.#outcomes = new LineOutcomes({
      ladder: this.#ladder,
      news: this.#news,
      tasks: this.#tasks,
      presence: this.#presence,
      ...this.#guards,
      self,
      ...(options.echo && { echo: mirror }),
    })
    this.#pump = this.#makePump()
    this.#link = this.#makeLink()
    this.#deals = this.#openDeals(log, mirror)
  }

  /** Connects, and keeps connected until {@link stop}. */
  start(): void {
    this.#log.write(`start: ${this.#options.nick} to ${this.#options.server}`)
    this.#publish()
    this.#link.start()
  }

  /** Ends the session, leaves every line where a next run finds it, and says `stopped` in the status. */
  async stop(): Promise<void> {
    this.#lookAtReaders()
    await this.#link.stop()
    this.#deals?.close()
    await this.#inbox.close()
    this.#outbox.close()
    this.#acks.flush()
    this.#save()
    this.#publish()
    this.#status.flush()
  }

  /** The host's once-a-second look: safety net for file events, retries, upkeep. */
  sweep(): void {
    this.#inbox.tick()
    this.#outbox.sweep()
    this.#acks.flush()
    this.#deals?.tick()
    this.#lookAtReaders()
    this.#save()
    this.#pump.pump()
    this.#entrance.enterRest()
    this.#publish()
  }

  /** A person lets its own breaker go on counting from nothing. */
  resetBreaker(): void {
    this.#guards.breaker.reset()
    this.#keep()
    this.#pump.pump()
  }

  /** The daemon's address, once it has one. */
  get agentId(): string | undefined {
    return this.#options.identity?.agentId ?? this.#link.connection?.welcome.agent_id
  }

  #openInbox(log: (line: string) => void): Inbox {
    return Inbox.open({
      paths: this.#paths,
      clock: this.#host.clock,
      log,
      onDurable: (batch) => {
        this.#deals?.onDurable(batch.msgIds)
        confirm(batch, { bookmarks: this.#bookmarks, unread: this.#unread }, this.#link.connection)
      },
      onRecalled: (_id, line) => this.#unread.recall(line),
      onProblem: this.#status.reporter("inbox"),
      onPressure: (isFull) => this.#link.throttle(isFull),
    })
  }

  #openOutbox(): Outbox {
    return Outbox.open({
      paths: this.#paths,
      clock: this.#host.clock,
      onProblem: this.#status.reporter("outbox"),
      onLines: () => this.#pump.pump(),
      reject: (rejection) => this.#outcomes.refused(rejection),
    })
  }

  #makeEntrance(log: (line: string) => void): Entrance {
    return new Entrance(this.#memberships, {
      log,
      onEntered: (later) => {
        this.#status.setProblem("channels", later)
        this.#save()
      },
      onRefused: (name, error) => this.#news.notice(error.code, `cannot join ${name}: ${error.message}`),
    })
  }

  #makeRelayNews(log: (line: string) => void, self: () => string): RelayNews {
    return new RelayNews({
      memberships: this.#memberships,
      entrance: this.#entrance,
      ladder: this.#ladder,
      tasks: this.#tasks,
      ...this.#guards,
      isCompat: this.#options.compat,
      log,
      self,
      buffer: () => this.#link.connection?.welcome.limits.buffer ?? 0,
      onTask: () => this.#keep(),
      onTaskLost: ({ task, reason, ts }) => this.#mirror({ line: lostTaskLine(task, reason, ts) }),
    })
  }

  #makePump(): OutboxSender {
    return new OutboxSender(this.#outbox, this.#acks, this.#host.clock, {
      onAnswered: (line, answer) => {
        this.#outcomes.answered(line, answer)
        if (line.frame.type === "SET_PRESENCE") this.#keep()
      },
      onRejected: (line, error) => this.#outcomes.rejected(line, error),
      onHindered: this.#status.reporter("relay"),
      guard: () => this.#guards.breaker.verdict(),
      sign: (draft, key) => this.#deals?.sign(draft, key) ?? refuseDraft(),
      onStale: (proposalId) => this.#deals?.distrust(proposalId),
    })
  }

  #makeLink(): RelaySession {
    const { clock, random } = this.#host
    return new RelaySession(
      sessionOf(this.#options, clock),
      {
        onOnline: (connection) => void this.#online(connection),
        onMessage: (message) => this.#receive(message),
        onWaiting: (reason, retryInMs) => {
          const wait = `next try in ${Math.round(retryInMs)} ms`
          this.#log.write(`waiting: ${reason.code} ${reason.message}; ${wait}`)
          this.#offline(reason)
        },
        onStopped: (reason) => {
          this.#log.write(reason === undefined ? "stop: as asked" : `stop: ${reason.code} ${reason.message}`)
          this.#offline(reason)
          if (reason !== undefined) this.#host.onStopped(this.#options.name, reason)
        },
      },
      random,
    )
  }

  #openDeals(
    log: (line: string) => void,
    mirror: (line: MirroredLine, mark: Mark | undefined) => void,
  ): Deals | undefined {
    const { identity, compat } = this.#options
    if (identity === undefined || compat) return undefined
    const options = { paths: this.#paths, identity, clock: this.#host.clock, memory: this.#memory }
    return new Deals(options, {
      log,
      mirror,
      confirm: (id) => this.#link.connection?.send({ type: "RECEIVED", ids: [id] }),
      onProblem: this.#status.reporter("proposals"),
      onTaken: (message) => this.#pump.answer(message),
      onAnswerRefused: (re, { code, message }) => this.#pump.answer({ type: "ERROR", re, code, message }),
    })
  }

  async #online(connection: Connection): Promise<void> {
    const { welcome } = connection
    this.#log.write(`online: ${welcome.agent_id} on ${welcome.server} (${welcome.server_id})`)
    this.#status.setReason(undefined)
    this.#outcomes.restart()
    this.#guards.stops.attach(welcome.server_id)
    void this.#presence.repeat(connection)
    this.#tasks.attach(connection)
    this.#unread.attach(connection)
    this.#deals?.attach(connection)
    await this.#entrance.attach(connection)
    if (this.#link.connection !== connection) return
    this.#pump.attach(connection)
    this.#publish()
    this.#status.flush()
  }

  #offline(reason: ChatError | undefined): void {
    this.#pump.detach()
    this.#tasks.detach()
    this.#unread.detach()
    this.#deals?.detach()
    this.#entrance.detach()
    this.#status.setProblem("channels", undefined)
    this.#status.setReason(reason)
    this.#publish()
    this.#status.flush()
  }

  #receive(message: ServerMessage): void {
    if (isVerb(message.type)) {
      this.#deals?.receive(message as ServerMessage<Verb>)
      return
    }
    if (this.#relayNews.isForged(message)) return
    this.#relayNews.take(message)
    const answered = this.#pump.answer(message)
    const mirrored = mirrorLine(message, this.agentId ?? "")
    const serverId = this.#link.connection?.welcome.server_id ?? ""
    if (mirrored !== undefined) this.#mirror(mirrored, markOf(message, serverId))
    else if (!answered && message.type === "ERROR")
      this.#log.write(`relay: ${message.code} ${message.message}`)
  }

  #mirror({ line, msgId }: MirroredLine, mark?: Mark): void {
    this.#inbox.append(line, { msgId, mark })
  }

  /** What an agent said and what it was given must outlast a crash that comes right after. */
  #keep(): void {
    this.#save()
    this.#publish()
  }

  #save(): void {
    this.#status.setProblem("bookmarks", this.#bookmarks.save())
    this.#status.setProblem("memory", this.#memory.save())
  }

  #lookAtReaders(): void {
    this.#cursorProblems.attempt("cursors", "read", () => this.#unread.look())
  }

  #publish(): void {
    const { name, nick, server } = this.#options
    this.#status.publish(
      factsOf({
        ...{ name, nick, server, pid: this.#host.pid, agentId: this.agentId },
        link: this.#link,
        memberships: this.#memberships,
        presence: this.#presence,
        tasks: this.#tasks,
        ...this.#guards,
        outbox: this.#outbox,
        inbox: this.#inbox,
      }),
    )
  }
}
