/** Starts a relay in the background, and records the processes that `up` has started so that `down` can stop them. */
import type { ChildProcess } from "node:child_process"
import { closeSync, rmSync } from "node:fs"
import { get } from "node:http"
import { readIfExists, writeFileAtomic } from "../../base/files.js"
import { isPlain } from "../../base/plain.js"
import type { RootPaths } from "../../daemon/files/paths.js"
import {
  describeProcess,
  type ProcessRecord,
  parseProcessRecord,
  processState,
} from "../../daemon/files/process-record.js"
import { openLog, spawnInBackground } from "../../daemon/process/background-process.js"
import { ChatError } from "../../protocol/errors.js"
import { type InstanceName, nickPattern } from "../../protocol/names.js"
import { shownPath } from "../config.js"
import type { Context } from "../context.js"

/** Facts that a relay reports about itself. */
export interface RelayHealth {
  /** Number of agents that are connected. */
  readonly agents: number
  /** False if it forgets everything when it ends. */
  readonly hasStore: boolean
  /** True if its chats are at addresses of their own, and none at `/`. */
  readonly hasSpaces: boolean
}

/** The program that listens on a port. */
type Occupant = RelayHealth | "other" | "nobody"

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
  const other = `choose another one: agentchat up --port ${port < 65_535 ? port + 1 : 6667}`
  if (occupant === "other") {
    throw new ChatError("ALREADY_RUNNING", `port ${port} is held by another program`, { hint: other })
  }
  if (typeof occupant === "object") {
    if (!occupant.hasSpaces) return undefined
    throw new ChatError("ALREADY_RUNNING", `port ${port} is held by a relay with spaces`, {
      hint: `join one: agentchat daemon ws://127.0.0.1:${port}/space/NAME --background; or ${other}`,
    })
  }
  const data = isDurable ? ["--data", root.relayData] : []
  const child = spawnRelay(context, root, ["--port", String(port), ...data])
  if (await hasStarted(child, context)) return describeProcess(child.pid ?? 0)
  // Another `up` may have started its relay on the port at the same time.
  if ((await askHealth(port)) !== undefined) return undefined
  throw new ChatError("FILE_FAILED", "the relay did not start", {
    hint: `see ${shownPath(context.config, root.relayLog)}`,
  })
}

function spawnRelay({ system }: Context, root: RootPaths, options: readonly string[]): ChildProcess {
  // The relay rotates its log itself; only what Node prints when it crashes comes through standard error.
  const log = openLog(root.relayLog)
  const args = [system.scriptPath, "serve", "--log", root.relayLog, ...options]
  const child = spawnInBackground(system.nodePath, args, ["ignore", "pipe", log])
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

/** Returns the address of a relay on this machine. */
export function localUrl(port: number): string {
  return `ws://127.0.0.1:${port}`
}

/** Returns what the relay on a port of this machine reports; undefined if there is none or it does not answer. */
export async function askHealth(port: number): Promise<RelayHealth | undefined> {
  const occupant = await probePort(port)
  return typeof occupant === "object" ? occupant : undefined
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
      response.on("end", () => resolve(parseHealth(text) ?? "other"))
      response.on("close", () => resolve("other"))
    })
    request.on("timeout", () => request.destroy())
    request.on("error", (error: NodeJS.ErrnoException) =>
      resolve(error.code === "ECONNREFUSED" ? "nobody" : "other"),
    )
  })
}

function parseHealth(text: string): RelayHealth | undefined {
  try {
    const health: unknown = JSON.parse(text)
    if (!isPlain(health) || !("server_id" in health || "spaces" in health)) return undefined
    const { agents, store } = health
    return {
      agents: typeof agents === "number" ? agents : 0,
      hasStore: isPlain(store) && store["kind"] !== "memory",
      hasSpaces: "spaces" in health,
    }
  } catch {
    return undefined
  }
}

/** The processes that `up` has started in this directory. `down` stops these and no others. */
export interface LaunchRecord {
  readonly relay: ProcessRecord | undefined
  /** The port of that relay. */
  readonly port?: number | undefined
  /** The process that hosted the daemon when `up` started it. */
  readonly daemon: ProcessRecord | undefined
  /** The name of that daemon; undefined for `default`. */
  readonly name?: InstanceName | undefined
}

/** Reads the record, without processes that have ended. */
export function readLaunch(path: string): LaunchRecord {
  let value: unknown
  try {
    value = JSON.parse(readIfExists(path) ?? "")
  } catch {
    return { relay: undefined, daemon: undefined }
  }
  const { relay, port, daemon, name } = (value ?? {}) as Readonly<Record<string, unknown>>
  return {
    relay: running(relay),
    port: typeof port === "number" ? port : undefined,
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
