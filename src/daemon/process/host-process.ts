import { type Clock, delay } from "../../base/clock.js"
import type { ChatError } from "../../protocol/errors.js"
import type { RootPaths } from "../files/paths.js"
import { type ControlRequest, controlSocketPath, serveControl } from "./control-socket.js"
import { Host } from "./host.js"
import { claimPidFile, releasePidFile } from "./pid-file.js"
import { describeProcess } from "./process-record.js"

/** Milliseconds an ending process waits for somebody to take its last answer. */
const lastAnswerMs = 1_000

/** What a host needs to know of the process it lives in. */
export interface HostSurroundings {
  readonly root: RootPaths
  /** Whether further daemons of this directory may join this process. */
  readonly shared: boolean
  readonly clock: Clock
  readonly random: () => number
  readonly pid: number
  readonly uid: number
  /** Where the control socket may stand: `$XDG_RUNTIME_DIR`, or the directory for temporary files. */
  readonly runtimeDir: string
}

/** A host that takes orders on its socket. */
export interface HostProcess {
  readonly host: Host
  /** Resolves when the last daemon is gone, with the reason when it stopped by itself. */
  readonly ended: Promise<ChatError | undefined>
  /** Gives up the pid file of the host and its socket, once whoever asked on it has the answer. */
  readonly close: () => Promise<void>
}

/**
 * Makes the calling process a host of daemons.
 * @throws {ChatError} ALREADY_RUNNING when `shared` and another process hosts this directory
 */
export async function openHostProcess(surroundings: HostSurroundings): Promise<HostProcess> {
  const { root, shared, clock, random, pid, uid, runtimeDir } = surroundings
  const self = describeProcess(pid)
  const socket = controlSocketPath(runtimeDir, uid, root.root, pid)
  let end: (reason: ChatError | undefined) => void = () => undefined
  const ended = new Promise<ChatError | undefined>((resolve) => {
    end = resolve
  })
  const host = new Host({ root, clock, random, process: self, socket, onEmpty: end })
  const server = await serveControl(socket, async (request: ControlRequest) => {
    if (request.op === "start") await host.start(request.start)
    else if (request.op === "stop") await host.stop(request.name)
    else host.resetGuard(request.name)
  })
  const close = async () => {
    if (shared) releasePidFile(root.host, self)
    await Promise.race([new Promise((resolve) => server.close(resolve)), delay(clock, lastAnswerMs)])
  }
  try {
    if (shared) await claimPidFile(root.host, { process: self, socket }, clock.now())
  } catch (error) {
    await close()
    throw error
  }
  return { host, ended, close }
}
