import { mkdirSync } from "node:fs"
import type { Clock } from "../base/clock.js"
import type { Connection } from "../client/connection.js"
import type { Identity } from "../identity/identity-file.js"
import { ChatError } from "../protocol/errors.js"
import type { Channel, InstanceName, Nick } from "../protocol/names.js"
import type { ServerMessage } from "../protocol/server-messages.js"
import { AckLog } from "./acks.js"
import { Bookmarks } from "./bookmarks.js"
import { confirm, type Mark, markOf } from "./confirmations.js"
import { DaemonLog } from "./daemon-log.js"
import { Inbox } from "./inbox.js"
import type { InstancePaths } from "./instance-paths.js"
import { Memberships } from "./memberships.js"
import { echoLine, type MirroredLine, mirrorLine } from "./mirror.js"
import { News } from "./news.js"
import { Outbox, type OutboxLine } from "./outbox.js"
import { OutboxPump } from "./outbox-pump.js"
import { RelayLink } from "./relay-link.js"
import { StatusBoard } from "./status-board.js"

/** How one daemon is run. */
export interface DaemonOptions {
  readonly name: InstanceName
  /** WebSocket URL of the relay. */
  readonly server: string
  readonly nick: Nick
  /** Absent for an ephemeral daemon. */
  readonly identity?: Identity
  /** Channels to be in; absent: those of the last run, else the default ones. */
  readonly channels?: readonly Channel[]
  readonly defaultChannels: readonly Channel[]
  readonly role?: string
  readonly compat: boolean
  /** Whether own messages also stand in the inbox, marked `"self": true`. */
  readonly echo: boolean
}

/** What a daemon borrows from the process that hosts it. */
export interface DaemonHost {
  readonly clock: Clock
  readonly random: () => number
  readonly pid: number
  /** The daemon stopped by itself. */
  onStopped(name: InstanceName, reason: ChatError | undefined): void
}

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
  /** Channels posted to from outside, told of once per session. */
  readonly #foreign = new Set<string>()

  /** Opens every file. The pid file must be held by the caller. */
  constructor(paths: InstancePaths, options: DaemonOptions, host: DaemonHost) {
    mkdirSync(paths.dir, { recursive: true, mode: 0o700 })
    this.#options = options
    this.#host = host
    const { clock } = host
    this.#log = new DaemonLog(paths.log, clock)
    this.#status = new StatusBoard(paths.status, clock, this.#log)
    this.#bookmarks = Bookmarks.open(paths.bookmarks, options.server)
    const remembered = this.#bookmarks.channels as Channel[]
    const channels = options.channels ?? (remembered.length > 0 ? remembered : options.defaultChannels)
    this.#memberships = new Memberships(this.#bookmarks, channels)
    this.#inbox = this.#openInbox(paths, clock)
    this.#news = new News(this.#inbox, this.#log, clock)
    this.#outbox = this.#openOutbox(paths, clock)
    this.#acks = AckLog.open(paths.acks, (problem) => {
      this.#status.setProblem("acks", problem)
    })
    this.#pump = new OutboxPump(this.#outbox, this.#acks, clock, {
      onAnswered: (line, answer) => {
        this.#answered(line, answer)
      },
      onRejected: (line, error) => {
        this.#news.rejected(line, error)
      },
    })
    this.#link = this.#makeLink(clock)
  }

  /** Connects, and keeps connected until {@link stop}. */
  start(): void {
    this.#log.write(`start: ${this.#options.nick} to ${this.#options.server}`)
    this.#publish()
    this.#link.start()
  }

  /** Ends the session, leaves every line where a next run finds it, and says `stopped` in the status. */
  async stop(): Promise<void> {
    await this.#link.stop()
    await this.#inbox.close()
    this.#outbox.close()
    this.#acks.flush()
    this.#bookmarks.save()
    this.#publish()
    this.#status.flush()
  }

  /** The host's once-a-second look: safety net for file events, retries, upkeep. */
  sweep(): void {
    this.#inbox.tick()
    this.#outbox.sweep()
    this.#acks.flush()
    this.#saveBookmarks()
    this.#pump.pump()
    this.#publish()
  }

  /** The daemon's address, once it has one. */
  get agentId(): string | undefined {
    return this.#options.identity?.agentId ?? this.#link.connection?.welcome.agent_id
  }

  #openInbox(paths: InstancePaths, clock: Clock): Inbox {
    return Inbox.open({
      paths,
      clock,
      onDurable: ({ marks }) => {
        confirm(marks as Mark[], this.#bookmarks, this.#link.connection)
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
    const { server, nick, identity, role, compat } = this.#options
    const options = {
      url: server,
      name: nick,
      compat,
      clock,
      ...(identity === undefined ? {} : { identity }),
      ...(role === undefined ? {} : { role }),
    }
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
    return new RelayLink(options, events, this.#host.random)
  }

  async #online(connection: Connection): Promise<void> {
    const { welcome } = connection
    this.#log.write(`online: ${welcome.agent_id} on ${welcome.server} (${welcome.server_id})`)
    this.#status.setReason(undefined)
    this.#foreign.clear()
    const failures = await this.#memberships.enterAll(connection)
    if (this.#link.connection !== connection) return
    for (const [channel, error] of failures)
      this.#news.notice(error.code, `cannot join ${channel}: ${error.message}`)
    this.#saveBookmarks()
    this.#pump.attach(connection)
    this.#publish()
    this.#status.flush()
  }

  #offline(reason: ChatError | undefined): void {
    this.#pump.detach()
    this.#status.setReason(reason)
    this.#publish()
    this.#status.flush()
  }

  #receive(message: ServerMessage): void {
    this.#note(message)
    const answered = this.#pump.answer(message)
    const mirrored = mirrorLine(message, this.agentId ?? "")
    const serverId = this.#link.connection?.welcome.server_id ?? ""
    if (mirrored !== undefined) this.#mirror(mirrored, markOf(message, serverId))
    else if (!answered && message.type === "ERROR")
      this.#log.write(`relay: ${message.code} ${message.message}`)
  }

  /** What a message means for the daemon itself. */
  #note(message: ServerMessage): void {
    if (message.type === "JOINED") {
      const replayed = this.#link.connection?.welcome.limits.buffer ?? 0
      this.#memberships.entered(message, replayed)
    }
    if (message.type === "LEFT") this.#memberships.left(message.channel as Channel)
    if (message.type === "DELIVERY") this.#delivered(message)
  }

  #mirror({ line, msgId }: MirroredLine, mark?: Mark): void {
    this.#inbox.append(line, {
      ...(msgId === undefined ? {} : { msgId }),
      ...(mark === undefined ? {} : { mark }),
    })
  }

  #saveBookmarks(): void {
    this.#status.setProblem("bookmarks", this.#bookmarks.save())
  }

  #delivered(message: ServerMessage<"DELIVERY">): void {
    const { msg_id, state, by, ts } = message
    this.#acks.append({ id: msg_id.slice(msg_id.indexOf(".") + 1), msg_id, state, ts, by })
  }

  #answered(line: OutboxLine, answer: ServerMessage): void {
    if (answer.type !== "ACK" || line.frame.type !== "MSG") return
    const { to, content } = line.frame
    if (answer.member === false && !this.#foreign.has(to)) {
      this.#foreign.add(to)
      this.#news.notice("NOT_IN_CHANNEL", `sent to ${to}, but you are not in it and will not see answers`, to)
    }
    if (this.#options.echo && answer.msg_id !== undefined) {
      this.#mirror(echoLine({ to, content }, answer.msg_id, answer.ts, this.agentId ?? ""))
    }
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
      outbox: { pending: this.#outbox.pending },
      inbox: { seq: this.#inbox.lastSeq, lines: this.#inbox.lines, held_bytes: this.#inbox.heldBytes },
    })
  }
}
