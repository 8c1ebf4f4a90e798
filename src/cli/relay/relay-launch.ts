/** A relay on this machine, in the background. */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, openSync } from "node:fs"
import { get } from "node:http"
import { join } from "node:path"
import type { RootPaths } from "../../daemon/files/paths.js"
import { describeProcess, type ProcessRecord } from "../../daemon/process/process-record.js"
import { ChatError } from "../../protocol/errors.js"
import type { Context } from "../context.js"
import { shownPath } from "../output/shown-path.js"

/** Who answers on a port. */
type Occupant = "agentchat" | "other" | "nobody"

const probeMs = 2_000
const startMs = 10_000
const largestHealthBytes = 64 * 1024

/**
 * Makes sure that a relay answers on `port` of this machine.
 * @param isDurable - whether one that has to be started keeps what it is told on disk, in `relay-data`
 * @returns the process, when one had to be started
 * @throws {ChatError} ALREADY_RUNNING when something else holds the port; FILE_FAILED when it did not start
 */
export async function ensureRelay(
  context: Context,
  root: RootPaths,
  port: number,
  isDurable: boolean,
): Promise<ProcessRecord | undefined> {
  const occupant = await whoAnswers(port)
  if (occupant === "agentchat") return undefined
  if (occupant === "other") {
    throw new ChatError("ALREADY_RUNNING", `port ${port} is held by another program`, {
      hint: `choose another one: agentchat up --port ${port < 65_535 ? port + 1 : 6667}`,
    })
  }
  const data = isDurable ? ["--data", join(root.root, "relay-data")] : []
  const child = spawnRelay(context, root, ["--port", String(port), ...data])
  if (await announces(child, context)) return describeProcess(child.pid ?? 0)
  // Two `up` at once: the other one's relay has the port.
  if ((await whoAnswers(port)) === "agentchat") return undefined
  throw new ChatError("FILE_FAILED", "the relay did not start", {
    hint: `see ${shownPath(context.config, root.relayLog)}`,
  })
}

function spawnRelay({ system }: Context, root: RootPaths, options: readonly string[]): ChildProcess {
  const log = openSync(root.relayLog, "a", 0o600)
  const child = spawn(system.nodePath, [system.scriptPath, "serve", ...options], {
    detached: true,
    stdio: ["ignore", "pipe", log],
  })
  closeSync(log)
  child.unref()
  return child
}

/** Whether the relay says its one line, which it does once it listens, before it ends or the time is over. */
function announces(child: ChildProcess, { clock }: Context): Promise<boolean> {
  return new Promise((resolve) => {
    const settle = (isListening: boolean) => {
      timer.cancel()
      child.stdout?.destroy()
      resolve(isListening)
    }
    const timer = clock.setTimer(() => settle(false), startMs)
    child.stdout?.once("data", () => settle(true))
    child.once("exit", () => settle(false))
    child.once("error", () => settle(false))
  })
}

function whoAnswers(port: number): Promise<Occupant> {
  return new Promise((resolve) => {
    const request = get({ host: "127.0.0.1", port, path: "/health", timeout: probeMs }, (response) => {
      let text = ""
      response.setEncoding("utf8")
      response.on("data", (chunk: string) => {
        text += chunk
        if (text.length > largestHealthBytes) request.destroy()
      })
      response.on("end", () => resolve(isHealth(text) ? "agentchat" : "other"))
      response.on("close", () => resolve("other"))
    })
    request.on("timeout", () => request.destroy())
    request.on("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code === "ECONNREFUSED" ? "nobody" : "other"),
    )
  })
}

function isHealth(text: string): boolean {
  try {
    const health: unknown = JSON.parse(text)
    return typeof health === "object" && health !== null && "server_id" in health
  } catch {
    return false
  }
}
