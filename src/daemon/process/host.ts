import { type Clock, delay, type Timer } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import { Daemon } from "../daemon.js"
import type { RootPaths } from "../files/paths.js"
import { type DaemonOptions, type DaemonStart, prepareStart } from "../options.js"
import { controlSocketPath, serveControl } from "./control-socket.js"
import { claimPidFile, heartbeatMs, releasePidFile, touchPidFile } from "./pid-file.js"
import { describeProcess, type ProcessRecord } from "./process-record.js"

/** Milliseconds between two sweeps of all daemons, and the longer pause while all of them are idle. */
const sweepMs = 1_000
const idleSweepMs = 2_000
/** Milliseconds an ending process waits for clients to read their last reply. */
const lastReplyMs = 1_000

/** The environment of a host process. */
export interface HostEnvironment {
  readonly root: RootPaths
  /** True if further daemons of this directory may join this process. */
  readonly shared: boolean
  readonly clock: Clock
  /** Uniform in [0, 1). */
  readonly random: () => number
  readonly pid: number
  readonly uid: number
  /** Where the control socket may be created: `$XDG_RUNTIME_DIR`, or the directory for temporary files. */
  readonly runtimeDir: string
}

/** A process that hosts daemons and takes requests on its control socket. */
export interface HostProcess {
  readonly host: Host
  /** Resolves when the last daemon has ended, with the error if it stopped because of one. */
  readonly ended: Promise<ChatError | undefined>
  /** Gives up the host's pid file and closes the socket once its clients have their replies. */
  readonly close: () => Promise<void>
}

/**
 * Makes the calling process a host of daemons.
 * @throws {ChatError} ALREADY_RUNNING when `shared` and another process hosts this directory
 */
export async function openHostProcess(environment: HostEnvironment): Promise<HostProcess> {
  const { root, shared, clock, random, pid, uid, runtimeDir } = environment
  const self = describeProcess(pid)
  const socket = controlSocketPath(runtimeDir, uid, root.root, pid)
  const { promise: ended, resolve: end } = withResolvers<ChatError | undefined>()
  const host = new Host({ root, clock, random, process: self, socket, onEmpty: end })
  const server = await serveControl(socket, async (request) => {
    if (request.op === "start") await host.start(request.start)
    else if (request.op === "stop") await host.stop(request.name)
    else host.resetGuard(request.name)
  })
  const close = async () => {
    if (shared) releasePidFile(root.host, self)
    await Promise.race([new Promise((resolve) => server.close(resolve)), delay(clock, lastReplyMs)])
  }
  try {
    if (shared) await claimPidFile(root.host, { process: self, socket }, clock.now())
  } catch (error) {
    await close()
    throw error
  }
  return { host, ended, close }
}

/** Options of {@link Host}. */
interface HostOptions {
  readonly root: RootPaths
  readonly clock: Clock
  readonly random: () => number
  readonly process: ProcessRecord
  /** Path of the control socket. */
  readonly socket: string
  /** Called when the last daemon has ended; `reason` is the error if it stopped because of one. */
  onEmpty(reason: ChatError | undefined): void
}

/** The daemons of one process, swept by one timer. */
class Host {
  readonly #options: HostOptions
  readonly #daemons = new Map<InstanceName, Daemon>()
  /** Daemons being started or stopped. Their pid files do not show it: this process holds them in both cases. */
  readonly #changing = new Set<InstanceName>()
  #timer: Timer | undefined
  #lastTouchMs = 0

  constructor(options: HostOptions) {
    this.#options = options
  }

  get size(): number {
    return this.#daemons.size
  }

  /** Starts a daemon in this process. @throws {ChatError} ALREADY_RUNNING, or the error of its options or files */
  async start(start: DaemonStart): Promise<void> {
    const options = await prepareStart(this.#options.root, start)
    const { name } = options
    if (this.#daemons.has(name) || this.#changing.has(name)) {
      const message = `daemon ${name} is already running in process ${this.#options.process.pid}`
      throw new ChatError("ALREADY_RUNNING", message, { hint: `agentchat daemon --stop --name ${name}` })
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

  /** Stops one daemon. @throws {ChatError} NOT_FOUND */
  async stop(name: string): Promise<void> {
    if (!this.#daemons.has(name as InstanceName)) throw notRunning(name)
    await this.#remove(name as InstanceName, undefined)
  }

  /** Resets the breaker of one daemon. @throws {ChatError} NOT_FOUND */
  resetGuard(name: string): void {
    const daemon = this.#daemons.get(name as InstanceName)
    if (daemon === undefined) throw notRunning(name)
    daemon.resetBreaker()
  }

  /** Stops all daemons. */
  async stopAll(): Promise<void> {
    await Promise.all([...this.#daemons.keys()].map((name) => this.#remove(name, undefined)))
  }

  async #open(options: DaemonOptions): Promise<void> {
    const { root, clock, random, process, socket } = this.#options
    const paths = root.instance(options.name)
    const agentId = options.identity?.agentId
    const holder = { process, socket, server: options.server, ...(agentId === undefined ? {} : { agentId }) }
    await claimPidFile(paths.pid, holder, clock.now())
    try {
      const onStopped = (name: InstanceName, reason: ChatError) => void this.#remove(name, reason)
      const daemon = new Daemon(paths, options, { clock, random, pid: process.pid, onStopped })
      this.#daemons.set(options.name, daemon)
      daemon.start()
    } catch (error) {
      releasePidFile(paths.pid, process)
      throw error
    }
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
    const isIdle = [...this.#daemons.values()].every((daemon) => daemon.isIdle)
    const sweep = () => {
      this.#sweep()
      this.#timer = this.#nextSweep()
    }
    return this.#options.clock.setTimer(sweep, isIdle ? idleSweepMs : sweepMs)
  }

  #sweep(): void {
    for (const daemon of this.#daemons.values()) daemon.sweep()
    const { clock, root } = this.#options
    if (clock.monotonic() - this.#lastTouchMs < heartbeatMs) return
    this.#lastTouchMs = clock.monotonic()
    for (const name of this.#daemons.keys()) touchPidFile(root.instance(name).pid, clock.now())
  }
}

function notRunning(name: string): ChatError {
  return new ChatError("NOT_FOUND", `no daemon ${name} is running here`)
}

function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => {}
  const promise = new Promise<T>((settle) => {
    resolve = settle
  })
  return { promise, resolve }
}
