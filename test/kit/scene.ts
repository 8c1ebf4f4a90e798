import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { agentchat } from "./command-server.js"
import { liftedGuardsPath } from "./guards.js"
import { RelayProcess, Workspace } from "./program.js"
import { SharedProcess } from "./shared-process.js"

/** Time limit for something to arrive or to be noticed on a loaded machine. */
export const patienceMs = 60_000

/** Options of a relay whose rate limit nobody reaches. */
const unlimited = ["--rate", "100000/s", "--burst", "100000"] as const

/**
 * Real relays and daemons that end with a test. Nothing here blocks the event loop, so that tests of one file can run at
 * the same time.
 */
export class Scene {
  readonly #defer: (cleanup: () => Promise<void>, timeoutMs?: number) => void

  /** @param defer - the `onTestFinished` of the test's context */
  constructor(defer: (cleanup: () => Promise<void>, timeoutMs?: number) => void) {
    this.#defer = defer
  }

  async relay(...args: string[]): Promise<RelayProcess> {
    const relay = await RelayProcess.start(...unlimited, ...args)
    this.#defer(() => relay.kill())
    return relay
  }

  /** Starts a relay in the shared process, for a test that does not kill it. @returns its URL */
  sharedRelay(...args: string[]): Promise<string> {
    return SharedProcess.get().relay(["--guards", liftedGuardsPath, ...unlimited, ...args], tmpdir())
  }

  /** Starts a daemon in a workspace of its own and in the shared process, for a test that does not kill it. */
  async sharedAgent(url: string, name: string, ...args: string[]): Promise<Workspace> {
    const workspace = new Workspace()
    const home = join(workspace.dir, ".agentchat")
    this.#defer(async () => {
      await SharedProcess.get().closeHost(home)
      workspace.dispose()
    })
    await SharedProcess.get().openHost(home)
    await startDaemon(workspace, url, name, ...args)
    return workspace
  }

  /** Starts a daemon in a workspace and a process of its own. */
  async agent(url: string, name: string, ...args: string[]): Promise<Workspace> {
    const workspace = new Workspace()
    this.#defer(() => {
      workspace.dispose()
      return Promise.resolve()
    })
    await startDaemon(workspace, url, name, ...args)
    return workspace
  }

  directory(): string {
    const dir = mkdtempSync(join(tmpdir(), "agentchat-test-"))
    this.#defer(() => {
      rmSync(dir, { recursive: true, force: true })
      return Promise.resolve()
    })
    return dir
  }
}

/** Starts a daemon in a workspace, or again after it has ended. */
export async function startDaemon(
  workspace: Workspace,
  url: string,
  name: string,
  ...args: string[]
): Promise<void> {
  const { status } = await agentchat(workspace, "daemon", url, "--background", "--name", name, ...args)
  if (status !== 0) throw new Error(`the daemon of ${name} does not start: exit ${status}`)
}
