import { mkdirSync } from "node:fs"
import type { Clock } from "../base/clock.js"
import type { Connection } from "../client/connection.js"
import { ChatError } from "../protocol/errors.js"
import type { Channel, ChannelPattern } from "../protocol/names.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import { isVerb, type Verb } from "../protocol/verbs.js"
import { AckLog } from "./acks.js"
import { Bookmarks } from "./bookmarks.js"
import { confirm, type Mark, markOf } from "./confirmations.js"
import { type DaemonGuards, makeGuards } from "./daemon-guards.js"
import { DaemonLog } from "./daemon-log.js"
import { DaemonMemory } from "./daemon-memory.js"
import { type DaemonHost, type DaemonOptions, sessionOf } from "./daemon-options.js"
import { Deals, refuseDraft } from "./deals.js"
import { Entrance } from "./entrance.js"
import { HeldTasks } from "./held-tasks.js"
import { Inbox } from "./inbox.js"
import type { InstancePaths } from "./instance-paths.js"
import { Ladder } from "./ladder.js"
import { LineOutcomes } from "./line-outcomes.js"
import { Memberships } from "./memberships.js"
import { lostTaskLine, type MirroredLine, mirrorLine, welcomeLine } from "./mirror.js"
import { News } from "./news.js"
import { Outbox } from "./outbox.js"
import { OutboxProblems } from "./outbox-problems.js"
import { OutboxPump } from "./outbox-pump.js"
import { OwnPresence } from "./own-presence.js"
import { RelayLink } from "./relay-link.js"
import { RelayNews } from "./relay-news.js"
import { StatusBoard } from "./status-board.js"
import { UnreadMail } from "./unread-mail.js"

/** One identity's connection mirrored to files. */
export class Daemon {
  readonly #options: DaemonOptions
  readonly #host: DaemonHost
  readonly #inbox: Inbox
  readonly #outbox: Outbox
  readonly #pump: OutboxPump
  readonly #acks: AckLog
  readonly #bookmarks: Bookmarks
  readonly #memberships: Memberships
  readonly #link: RelayLink
  readonly #log: DaemonLog
  readonly #news: News
  readonly #status: StatusBoard
  readonly #memory: DaemonMemory
  readonly #presence: OwnPresence
  readonly #tasks: HeldTasks
  readonly #unread: UnreadMail
  readonly #ladder: Ladder
  readonly #cursorProblems: OutboxProblems
  readonly #entrance: Entrance
  /** Absent for an ephemeral daemon. */
  readonly #deals: Deals | undefined
  readonly #guards: DaemonGuards
  readonly #outcomes: LineOutcomes
  readonly #relayNews: RelayNews

  /** Opens every file. The pid file must be held by the caller. */
  constructor(paths: InstancePaths, options: DaemonOptions, host: DaemonHost) {
    mkdirSync(paths.dir, { recursive: true, mode: 0o700 })
    this.#options = options
    this.#host = host
    const { clock } = host
    this.#log = new DaemonLog(paths.log, clock)
    this.#status = new StatusBoard(paths.status, clock, this.#log)
    const log = (line: string) => {
      this.#log.write(line)
    }
    this.#bookmarks = Bookmarks.open(paths.bookmarks, options.server)
    this.#memberships = new Memberships(this.#bookmarks, this.#wantedChannels(), (joined) => {
      const line = welcomeLine(joined)
      if (line !== undefined) this.#mirror({ line })
    })
    this.#memory = DaemonMemory.open(paths.memory)
    this.#presence = new OwnPresence(this.#memory, clock, log, options.role)
    this.#tasks = new HeldTasks(this.#memory, clock, {
      isWorking: () => this.#presence.isWorking,
      onLost: (task, reason) => {
        this.#log.write(`task lost: ${task}: ${reason}`)
        this.#mirror({ line: lostTaskLine(task, reason, clock.now()) })
      },
    })
    this.#unread = new UnreadMail(paths.cursors, this.#memory, () => clock.monotonic())
    this.#cursorProblems = new OutboxProblems((problem) => {
      this.#status.setProblem("cursors", problem)
    })
    this.#inbox = this.#openInbox(paths, clock)
    this.#news = new News(this.#inbox, this.#log, clock)
    this.#entrance = this.#makeEntrance(log)
    this.#outbox = this.#openOutbox(paths, clock)
    this.#acks = AckLog.open(paths.acks, (problem) => {
      this.#status.setProblem("acks", problem)
    })
    this.#ladder = new Ladder(this.#acks, log)
    this.#guards = makeGuards({
      ...{ paths, clock, memory: this.#memory, limits: options.guards, log },
      self: () => this.agentId ?? "",
      mirror: (line) => {
        this.#mirror(line)
      },
    })
    this.#relayNews = this.#makeRelayNews(log)
    this.#outcomes = new LineOutcomes({
      ladder: this.#ladder,
      news: this.#news,
      tasks: this.#tasks,
      presence: this.#presence,
      ...this.#guards,
      self: () => this.agentId ?? "",
      ...(options.echo && {
        echo: (line) => {
          this.#mirror(line)
        },
      }),
    })
    this.#pump = this.#makePump(clock)
    this.#link = this.#makeLink(clock)
    this.#deals = this.#openDeals(paths, clock, log)
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

  #wantedChannels(): readonly (Channel | ChannelPattern)[] {
    const { channels, defaultChannels } = this.#options
    const remembered = [...this.#bookmarks.channels, ...this.#bookmarks.patterns] as Channel[]
    return channels ?? (remembered.length > 0 ? remembered : defaultChannels)
  }

  #openInbox(paths: InstancePaths, clock: Clock): Inbox {
    return Inbox.open({
      paths,
      clock,
      onDurable: (batch) => {
        this.#deals?.onDurable(batch.msgIds)
        confirm(batch, { bookmarks: this.#bookmarks, unread: this.#unread }, this.#link.connection)
      },
      onRecalled: (_id, line) => {
        this.#unread.recall(line)
      },
      log: (line) => {
        this.#log.write(line)
      },
      onProblem: (problem) => {
        this.#status.setProblem("inbox", problem)
      },
      onPressure: (full) => {
        if (full) this.#link.connection?.pause()
        else this.#link.connection?.resume()
      },
    })
  }

  #openDeals(paths: InstancePaths, clock: Clock, log: (line: string) => void): Deals | undefined {
    const { identity, compat } = this.#options
    if (identity === undefined || compat) return undefined
    const options = { paths, identity, clock, memory: this.#memory }
    return new Deals(options, {
      log,
      mirror: (line, mark) => {
        this.#mirror(line, mark)
      },
      confirm: (id) => {
        this.#link.connection?.send({ type: "RECEIVED", ids: [id] })
      },
      onProblem: (problem) => {
        this.#status.setProblem("proposals", problem)
      },
      onTaken: (message) => {
        this.#pump.answer(message)
      },
      onAnswerRefused: (re, { code, message }) => {
        this.#pump.answer({ type: "ERROR", re, code, message })
      },
    })
  }

  #makePump(clock: Clock): OutboxPump {
    return new OutboxPump(this.#outbox, this.#acks, clock, {
      onAnswered: (line, answer) => {
        this.#outcomes.answered(line, answer)
        if (line.frame.type === "SET_PRESENCE") this.#keep()
      },
      onRejected: (line, error) => {
        this.#outcomes.rejected(line, error)
      },
      onHindered: (error) => {
        this.#status.setProblem("relay", error)
      },
      guard: () => this.#guards.breaker.verdict(),
      sign: (draft, key) => this.#deals?.sign(draft, key) ?? refuseDraft(),
      onStale: (proposalId) => this.#deals?.distrust(proposalId),
    })
  }

  #makeRelayNews(log: (line: string) => void): RelayNews {
    return new RelayNews({
      memberships: this.#memberships,
      entrance: this.#entrance,
      ladder: this.#ladder,
      tasks: this.#tasks,
      ...this.#guards,
      isCompat: this.#options.compat,
      log,
      self: () => this.agentId ?? "",
      buffer: () => this.#link.connection?.welcome.limits.buffer ?? 0,
      onTask: () => {
        this.#keep()
      },
      onTaskLost: ({ task, reason, ts }) => {
        this.#mirror({ line: lostTaskLine(task, reason, ts) })
      },
    })
  }

  #makeEntrance(log: (line: string) => void): Entrance {
    return new Entrance(this.#memberships, {
      log,
      onEntered: (later) => {
        this.#status.setProblem("channels", later)
        this.#save()
      },
      onRefused: (name, error) => {
        this.#news.notice(error.code, `cannot join ${name}: ${error.message}`)
      },
    })
  }

  #openOutbox(paths: InstancePaths, clock: Clock): Outbox {
    return Outbox.open({
      paths,
      clock,
      onProblem: (problem) => {
        this.#status.setProblem("outbox", problem)
      },
      onLines: () => {
        this.#pump.pump()
      },
      reject: (rejection) => {
        this.#news.refused(rejection)
      },
    })
  }

  #makeLink(clock: Clock): RelayLink {
    const events = {
      onOnline: (connection: Connection) => void this.#online(connection),
      onMessage: (message: ServerMessage) => {
        this.#receive(message)
      },
      onWaiting: (reason: ChatError, retryInMs: number) => {
        this.#log.write(`waiting: ${reason.code} ${reason.message}; next try in ${Math.round(retryInMs)} ms`)
        this.#offline(reason)
      },
      onStopped: (reason: ChatError | undefined) => {
        this.#log.write(reason === undefined ? "stop: as asked" : `stop: ${reason.code} ${reason.message}`)
        this.#offline(reason)
        if (reason !== undefined) this.#host.onStopped(this.#options.name, reason)
      },
    }
    return new RelayLink(sessionOf(this.#options, clock), events, this.#host.random)
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
    this.#inbox.append(line, {
      ...(msgId === undefined ? {} : { msgId }),
      ...(mark === undefined ? {} : { mark }),
    })
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
    this.#cursorProblems.attempt("cursors", "read", () => {
      this.#unread.look()
    })
  }

  #publish(): void {
    const { name, nick, server } = this.#options
    const connection = this.#link.connection
    this.#status.publish({
      name,
      nick,
      agent_id: this.agentId ?? null,
      server,
      server_id: connection?.welcome.server_id ?? null,
      state: this.#link.state,
      connected: connection !== undefined,
      pid: this.#host.pid,
      channels: this.#memberships.channels,
      durable: this.#memberships.durable,
      patterns: this.#memberships.patterns,
      presence: this.#presence.said ?? null,
      tasks: this.#tasks.ids,
      guards: this.#guards.stops.list,
      breaker: this.#guards.breaker.usage,
      outbox: { pending: this.#outbox.pending },
      inbox: { seq: this.#inbox.lastSeq, lines: this.#inbox.lines, held_bytes: this.#inbox.heldBytes },
    })
  }
}
