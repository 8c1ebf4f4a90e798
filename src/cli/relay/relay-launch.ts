/** Starts a relay in the background, and records the processes that `up` has started so that `down` can stop them. */
import { type ChildProcess, spawn } from "node:child_process"
import { closeSync, openSync, readFileSync, rmSync } from "node:fs"
import { get } from "node:http"
import { join } from "node:path"
import { writeFileAtomic } from "../../base/atomic-file.js"
import type { RootPaths } from "../../daemon/files/paths.js"
import {
  describeProcess,
  type ProcessRecord,
  parseProcessRecord,
  processState,
} from "../../daemon/files/process-record.js"
import { ChatError } from "../../protocol/errors.js"
import { type InstanceName, nickPattern } from "../../protocol/names.js"
import { shownPath } from "../config.js"
import type { Context } from "../context.js"

/** The kind of server that listens on a port. */
type Occupant = "agentchat" | "other" | "nobody"

const probeMs = 2_000
const startMs = 10_000
const maxHealthBytes = 64 * 1024

/**
 * Starts a relay on a port of this machine unless one listens there.
 * @param isDurable - whether a new relay stores its state on disk, in `relay-data`
 * @returns the process of the relay if it was started
 * @throws {ChatError} ALREADY_RUNNING if another program holds the port; FILE_FAILED if the relay does not start
 */
export async function ensureRelay(
  context: Context,
  root: RootPaths,
  port: number,
  isDurable: boolean,
): Promise<ProcessRecord | undefined> {
  const occupant = await probePort(port)
  if (occupant === "agentchat") return undefined
  if (occupant === "other") {
    throw new ChatError("ALREADY_RUNNING", `port ${port} is held by another program`, {
      hint: `choose another one: agentchat up --port ${port < 65_535 ? port + 1 : 6667}`,
    })
  }
  const data = isDurable ? ["--data", join(root.root, "relay-data")] : []
  const child = spawnRelay(context, root, ["--port", String(port), ...data])
  if (await hasStarted(child, context)) return describeProcess(child.pid ?? 0)
  // Another `up` may have started its relay on the port at the same time.
  if ((await probePort(port)) === "agentchat") return undefined
  throw new ChatError("FILE_FAILED", "the relay did not start", {
    hint: `see ${shownPath(context.config, root.relayLog)}`,
  })
}

function spawnRelay({ system }: Context, root: RootPaths, options: readonly string[]): ChildProcess {
  // The relay rotates its log itself; only what Node prints when it crashes comes through standard error.
  const log = openSync(root.relayLog, "a", 0o600)
  const child = spawn(system.nodePath, [system.scriptPath, "serve", "--log", root.relayLog, ...options], {
    detached: true,
    stdio: ["ignore", "pipe", log],
  })
  closeSync(log)
  child.unref()
  return child
}

/** Waits for the line that a relay prints once it listens. @returns false if it exits first, or on timeout */
function hasStarted(child: ChildProcess, { clock }: Context): Promise<boolean> {
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

function probePort(port: number): Promise<Occupant> {
  return new Promise((resolve) => {
    const request = get({ host: "127.0.0.1", port, path: "/health", timeout: probeMs }, (response) => {
      let text = ""
      response.setEncoding("utf8")
      response.on("data", (chunk: string) => {
        text += chunk
        if (text.length > maxHealthBytes) request.destroy()
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

/** The processes that `up` has started in this directory. `down` stops these and no others. */
export interface LaunchRecord {
  readonly relay: ProcessRecord | undefined
  /** The process that hosted the daemon when `up` started it. */
  readonly daemon: ProcessRecord | undefined
  /** The name of that daemon; undefined for `default`. */
  readonly name?: InstanceName | undefined
}

/** Reads the record, without processes that have ended. */
export function readLaunch(path: string): LaunchRecord {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, "utf8"))
  } catch {
    return { relay: undefined, daemon: undefined }
  }
  const { relay, daemon, name } = (value ?? {}) as Readonly<Record<string, unknown>>
  return {
    relay: running(relay),
    daemon: running(daemon),
    name: typeof name === "string" && nickPattern.test(name) ? (name as InstanceName) : undefined,
  }
}

function running(value: unknown): ProcessRecord | undefined {
  const record = parseProcessRecord(value)
  return record !== undefined && processState(record) === "alive" ? record : undefined
}

/** Replaces the record; an empty one removes the file. */
export function writeLaunch(path: string, record: LaunchRecord): void {
  if (record.relay === undefined && record.daemon === undefined) rmSync(path, { force: true })
  else writeFileAtomic(path, `${JSON.stringify({ v: 1, ...record })}\n`)
}

/** Adds processes to the record. */
export function recordLaunch(path: string, started: Partial<LaunchRecord>): void {
  writeLaunch(path, { ...readLaunch(path), ...started })
}
