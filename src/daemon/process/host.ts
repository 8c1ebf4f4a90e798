import type { Clock, Timer } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import { Daemon } from "../daemon.js"
import type { RootPaths } from "../files/paths.js"
import type { DaemonOptions } from "../options.js"
import { type DaemonStart, prepareStart } from "../options.js"
import { claimPidFile, heartbeatMs, releasePidFile, touchPidFile } from "./pid-file.js"
import type { ProcessRecord } from "./process-record.js"

/** Milliseconds between two looks at all files: the only timer of an idle process. */
const sweepMs = 1_000

/** What a host needs of its process. */
export interface HostOptions {
  readonly root: RootPaths
  readonly clock: Clock
  readonly random: () => number
  readonly process: ProcessRecord
  /** The socket orders come in by; "" when there is none. */
  readonly socket: string
  /** The last daemon is gone; `reason` when it stopped by itself. */
  onEmpty(reason: ChatError | undefined): void
}

/** The daemons of one process, swept by one timer. */
export class Host {
  readonly #options: HostOptions
  readonly #daemons = new Map<InstanceName, Daemon>()
  /** Names that are being started or stopped: to this process the pid file is its own either way. */
  readonly #changing = new Set<InstanceName>()
  #timer: Timer | undefined
  #lastTouchMs = 0

  constructor(options: HostOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#daemons.size
  }

  /** Starts a daemon here. @throws {ChatError} ALREADY_RUNNING, or what its options or files refuse */
  async start(start: DaemonStart): Promise<void> {
    const options = await prepareStart(this.#options.root, start)
    const { name } = options
    if (this.#daemons.has(name) || this.#changing.has(name)) {
      throw new ChatError(
        "ALREADY_RUNNING",
        `daemon ${name} runs already in process ${this.#options.process.pid}`,
        { hint: `agentchat daemon --stop --name ${name}` },
      )
    }
    this.#changing.add(name)
    try {
      await this.#open(options)
    } finally {
      this.#changing.delete(name)
      this.#endIfEmpty(undefined)
    }
    this.#timer ??= this.#nextSweep()
  }

  async #open(options: DaemonOptions): Promise<void> {
    const { root, clock, random, process, socket } = this.#options
    const paths = root.instance(options.name)
    const agentId = options.identity?.agentId
    const holder = { process, socket, server: options.server, ...(agentId === undefined ? {} : { agentId }) }
    await claimPidFile(paths.pid, holder, clock.now())
    try {
      const host = {
        clock,
        random,
        pid: process.pid,
        onStopped: (name: InstanceName, reason: ChatError | undefined) => {
          void this.#remove(name, reason)
        },
      }
      const daemon = new Daemon(paths, options, host)
      this.#daemons.set(options.name, daemon)
      daemon.start()
    } catch (error) {
      releasePidFile(paths.pid, process)
      throw error
    }
  }

  /** Stops one daemon and leaves the others. @throws {ChatError} NOT_FOUND */
  async stop(name: string): Promise<void> {
    if (!this.#daemons.has(name as InstanceName))
      throw new ChatError("NOT_FOUND", `no daemon ${name} runs here`)
    await this.#remove(name as InstanceName, undefined)
  }

  /** Lets a daemon's own breaker begin anew. @throws {ChatError} NOT_FOUND */
  resetGuard(name: string): void {
    const daemon = this.#daemons.get(name as InstanceName)
    if (daemon === undefined) throw new ChatError("NOT_FOUND", `no daemon ${name} runs here`)
    daemon.resetBreaker()
  }

  /** Stops all of them. */
  async stopAll(): Promise<void> {
    await Promise.all([...this.#daemons.keys()].map((name) => this.#remove(name, undefined)))
  }

  async #remove(name: InstanceName, reason: ChatError | undefined): Promise<void> {
    const daemon = this.#daemons.get(name)
    if (daemon === undefined) return
    this.#daemons.delete(name)
    this.#changing.add(name)
    try {
      await daemon.stop()
    } finally {
      releasePidFile(this.#options.root.instance(name).pid, this.#options.process)
      this.#changing.delete(name)
    }
    this.#endIfEmpty(reason)
  }

  #endIfEmpty(reason: ChatError | undefined): void {
    if (this.#daemons.size > 0 || this.#changing.size > 0) return
    this.#timer?.cancel()
    this.#timer = undefined
    this.#options.onEmpty(reason)
  }

  #nextSweep(): Timer {
    return this.#options.clock.setTimer(() => {
      this.#sweep()
      this.#timer = this.#nextSweep()
    }, sweepMs)
  }

  #sweep(): void {
    for (const daemon of this.#daemons.values()) daemon.sweep()
    const { clock, root } = this.#options
    if (clock.monotonic() - this.#lastTouchMs < heartbeatMs) return
    this.#lastTouchMs = clock.monotonic()
    for (const name of this.#daemons.keys()) touchPidFile(root.instance(name).pid, clock.now())
  }
}
