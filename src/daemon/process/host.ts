import { lstatSync } from "node:fs"
import type { Server } from "node:net"
import { type Clock, delay, type Timer } from "../../base/clock.js"
import { omitUndefined, stackOf } from "../../base/plain.js"
import { ChatError } from "../../protocol/errors.js"
import type { InstanceName } from "../../protocol/names.js"
import { Daemon } from "../daemon.js"
import { asFileProblem, FileProblems, isFileError } from "../files/file-problems.js"
import { checkOutboxLinks } from "../files/home.js"
import type { RootPaths } from "../files/paths.js"
import { describeProcess, type ProcessRecord } from "../files/process-record.js"
import { refuseNewer } from "../files/state-file.js"
import { type DaemonHost, type DaemonOptions, type DaemonStart, prepareStart } from "../options.js"
import { type ControlRequest, controlSocketPath, removeDeadSockets, serveControl } from "./control-socket.js"
import { type Claim, claimHome, heartbeatMs, type Loss } from "./pid-file.js"

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
  /** As in {@link DaemonHost} */
  readonly findSession?: DaemonHost["findSession"]
  readonly tracer?: DaemonHost["tracer"]
  /** Where the control socket may be created; see {@link controlSocketPath}. */
  readonly runtimeDirs: readonly (string | undefined)[]
  /** Gets what a person should know and no file of a daemon can say. */
  readonly log: (line: string) => void
}

/**
 * Makes the calling process a host of daemons.
 * @throws {ChatError} ALREADY_RUNNING when `shared` and another process hosts this directory; FILE_FAILED
 */
export async function openHostProcess(environment: HostEnvironment): Promise<Host> {
  const { root, shared, clock, pid, log } = environment
  const self = describeProcess(pid)
  const socket = controlSocketPath({ ...environment, root: root.root }, log)
  await removeDeadSockets(socket)
  const host = new Host(environment, self, socket)
  await host.listen()
  try {
    if (shared) host.claim = await claimHome({ record: root.host }, { process: self, socket }, clock)
  } catch (error) {
    await host.close()
    throw error
  }
  return host
}

/** The problem of a sweep that failed; the next sweep that succeeds clears it. */
const sweeping = ["files", "read and written"] as const

/** A daemon of this process, and its claim on its directory. */
interface Hosted {
  readonly start: DaemonStart
  readonly daemon: Daemon
  readonly claim: Claim
  readonly problems: FileProblems
}

/**
 * The daemons of one process, swept by one timer, and the control socket. An error of one file or one daemon is reported
 * as a problem of that daemon and tried again with the next sweep; it never ends the process.
 */
export class Host {
  readonly #environment: HostEnvironment
  readonly #process: ProcessRecord
  /** Path of the control socket. */
  readonly #socket: string
  readonly #daemons = new Map<InstanceName, Hosted>()
  /** Daemons being started or stopped. Their pid files do not show it: this process holds them in both cases. */
  readonly #changing = new Set<InstanceName>()
  /** Claims of stopped daemons whose files could not be removed yet. */
  readonly #unreleased = new Set<Claim>()
  #server: Server | undefined
  #isListening = false
  /** Daemons that are stopped and will start again. */
  #restarts = 0
  #timer: Timer | undefined
  #lastTouchMs = 0
  #end: (reason: ChatError | undefined) => void = () => {}

  /** Resolves when the last daemon has ended, with the error if it stopped because of one. */
  readonly ended = new Promise<ChatError | undefined>((resolve) => {
    this.#end = resolve
  })
  /** Shows other starts that they may join this process. */
  claim: Claim | undefined

  constructor(environment: HostEnvironment, process: ProcessRecord, socket: string) {
    this.#environment = environment
    this.#process = process
    this.#socket = socket
  }

  get size(): number {
    return this.#daemons.size
  }

  /** Opens the control socket. */
  async listen(): Promise<void> {
    this.#server = await serveControl(this.#socket, (request) => this.#handle(request))
  }

  /** Gives up the directory and closes the socket once its clients have their replies. */
  async close(): Promise<void> {
    if (this.claim !== undefined) this.#release(this.claim)
    const server = this.#server
    if (server === undefined) return
    const closed = new Promise((resolve) => server.close(resolve))
    await Promise.race([closed, delay(this.#environment.clock, lastReplyMs)])
  }

  /** Starts a daemon in this process. @throws {ChatError} ALREADY_RUNNING, or the error of its options or files */
  async start(start: DaemonStart): Promise<void> {
    const options = await prepareStart(this.#environment.root, start)
    const { name } = options
    if (this.#daemons.has(name) || this.#changing.has(name)) {
      const message = `daemon ${name} is already running in process ${this.#process.pid}`
      throw new ChatError("ALREADY_RUNNING", message, { hint: `agentchat daemon --stop --name ${name}` })
    }
    this.#changing.add(name)
    try {
      await this.#open(start, options)
    } finally {
      this.#changing.delete(name)
      this.#endIfEmpty(undefined)
    }
    this.#timer ??= this.#nextSweep()
  }

  /** Stops all daemons. */
  async stopAll(): Promise<void> {
    await Promise.all([...this.#daemons.keys()].map((name) => this.#remove(name, undefined, true)))
  }

  /**
   * Reports an error that no daemon expected, and continues: the other daemons of this process are not at fault. Ends
   * with the next sweep if it is an error of the file system.
   */
  onUncaught(error: unknown): void {
    this.#environment.log(`uncaught: ${stackOf(error)}`)
    const problem = problemOf(error)
    for (const { problems } of this.#daemons.values()) {
      if (isFileError(error)) problems.set(...sweeping, problem)
      else problems.set("process", "continued", problem)
    }
  }

  /** Does at once what is due with the next sweep. */
  sweep(): void {
    for (const claim of [...this.#unreleased]) this.#release(claim)
    const { clock } = this.#environment
    const isTouchDue = clock.monotonic() - this.#lastTouchMs >= heartbeatMs
    if (isTouchDue) this.#lastTouchMs = clock.monotonic()
    for (const [name, hosted] of this.#daemons) this.#sweepOne(name, hosted, isTouchDue)
    this.#keepShared()
    this.#keepListening()
  }

  #sweepOne(name: InstanceName, { daemon, claim, problems }: Hosted, isTouchDue: boolean): void {
    let loss: Loss | undefined
    problems.attempt("daemon.pid", "checked", () => {
      loss = claim.check()
    })
    if (loss !== undefined) {
      const reason = new ChatError("NOT_FOUND", `stopped, because ${loss.reason}`)
      this.#environment.log(`daemon ${name}: ${reason.message}`)
      void this.#remove(name, reason, loss.isHomeOurs)
      return
    }
    try {
      problems.attempt(...sweeping, () => daemon.sweep())
      if (isTouchDue) {
        problems.attempt("daemon.json", "touched", () => claim.touch(this.#environment.clock.now()))
      }
    } catch (error) {
      this.onUncaught(error)
    }
  }

  async #handle(request: ControlRequest): Promise<void> {
    if (request.op === "start") await this.start(request.start)
    else {
      const hosted = this.#daemons.get(request.name as InstanceName)
      if (hosted === undefined) {
        throw new ChatError("NOT_FOUND", `no daemon ${request.name} is running here`)
      }
      if (request.op === "stop") await this.#remove(request.name as InstanceName, undefined, true)
      else if (request.op === "restart") await this.#restart(request.name as InstanceName, hosted.start)
      else if (request.op === "test-wake") await hosted.daemon.testWake()
      else hosted.daemon.resetBreaker()
    }
  }

  /** Starts a daemon anew, so that it reads its identity again. @throws {ChatError} as {@link start}; it is stopped then */
  async #restart(name: InstanceName, start: DaemonStart): Promise<void> {
    this.#restarts++
    let problem: ChatError | undefined
    try {
      await this.#remove(name, undefined, true)
      await this.start(start)
    } catch (error) {
      if (error instanceof ChatError) problem = error
      throw error
    } finally {
      this.#restarts--
      this.#endIfEmpty(problem)
    }
  }

  async #open(start: DaemonStart, options: DaemonOptions): Promise<void> {
    const { root, clock, random, findSession, tracer } = this.#environment
    const paths = root.instance(options.name)
    checkOutboxLinks(paths)
    refuseNewer([paths.outboxCursor, paths.bookmarks, paths.memory])
    const { pid, record } = paths
    const agentId = options.identity?.agentId
    const holder = {
      process: this.#process,
      socket: this.#socket,
      server: options.server,
      ...(agentId === undefined ? {} : { agentId }),
    }
    const claim = await claimHome({ record, pid }, holder, clock)
    try {
      const daemon = new Daemon(paths, options, {
        ...{ clock, random, pid: this.#process.pid },
        ...omitUndefined({ findSession, tracer }),
        requireHome: () => claim.requireHome(),
        onStopped: (name, reason) => void this.#remove(name, reason, true),
      })
      const problems = new FileProblems(daemon.reporter("process"))
      this.#daemons.set(options.name, { start, daemon, claim, problems })
      daemon.start()
    } catch (error) {
      this.#release(claim)
      throw error
    }
  }

  /** @param isHomeOurs - false if another daemon may use the directory: then nothing may be written */
  async #remove(name: InstanceName, reason: ChatError | undefined, isHomeOurs: boolean): Promise<void> {
    const hosted = this.#daemons.get(name)
    if (hosted === undefined) return
    this.#daemons.delete(name)
    this.#changing.add(name)
    try {
      await hosted.daemon.stop(reason, isHomeOurs)
    } catch (error) {
      this.onUncaught(error)
    }
    this.#release(hosted.claim)
    this.#changing.delete(name)
    this.#endIfEmpty(reason)
  }

  #release(claim: Claim): void {
    try {
      claim.release()
      this.#unreleased.delete(claim)
    } catch (error) {
      if (!isFileError(error)) throw error
      this.#unreleased.add(claim)
    }
  }

  #endIfEmpty(reason: ChatError | undefined): void {
    if (this.#daemons.size + this.#changing.size + this.#restarts > 0) return
    this.#timer?.cancel()
    this.#timer = undefined
    this.#end(reason)
  }

  #nextSweep(): Timer {
    const isIdle = [...this.#daemons.values()].every(({ daemon }) => daemon.isIdle)
    const sweep = () => {
      this.#timer = this.#nextSweep()
      try {
        this.sweep()
      } catch (error) {
        this.onUncaught(error)
      }
    }
    return this.#environment.clock.setTimer(sweep, isIdle ? idleSweepMs : sweepMs)
  }

  /** Writes host.json again if it was removed. A host that was replaced by another one takes no further daemons. */
  #keepShared(): void {
    try {
      if (this.claim?.check() !== undefined) this.claim = undefined
    } catch (error) {
      if (!isFileError(error)) throw error
      // Concerns no daemon that runs, and the next sweep tries again.
    }
  }

  /** Opens the control socket again if its file was removed, as by a cleaner of temporary files. */
  #keepListening(): void {
    if (this.#isListening || lstatSync(this.#socket, { throwIfNoEntry: false })?.isSocket() === true) return
    this.#isListening = true
    this.#server?.close()
    try {
      controlSocketPath({ ...this.#environment, root: this.#environment.root.root })
    } catch {
      // The directory cannot be made now; the next sweep tries again.
    }
    this.listen()
      .catch(() => {})
      .finally(() => {
        this.#isListening = false
      })
  }
}

function problemOf(error: unknown): ChatError {
  if (isFileError(error)) return asFileProblem(error, error.path ?? "files")
  const message = `unexpected error: ${error instanceof Error ? error.message : String(error)}`
  return new ChatError("UNSUPPORTED", message, {
    hint: "see host.log; start the daemon again if it misbehaves",
  })
}
