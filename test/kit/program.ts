import { type ChildProcess, spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { isRunning } from "../../src/daemon/files/process-record.js"
import { until } from "./condition.js"
import { liftedGuardsPath } from "./guards.js"

/** The built program, as a user runs it. */
export const programPath = join(import.meta.dirname, "../../dist/bin/agentchat.js")

/** A line of an inbox. */
export interface InboxRecord {
  readonly seq: number
  readonly type: string
  readonly [field: string]: unknown
}

/** The result of a finished command. */
export interface Outcome {
  readonly status: number | null
  readonly stdout: string
  readonly stderr: string
}

/** An agent's working directory with the program and its daemons' files. */
export class Workspace {
  readonly dir: string
  readonly env: NodeJS.ProcessEnv

  constructor(dir = mkdtempSync(join(tmpdir(), "agentchat-ws-"))) {
    this.dir = dir
    const { AGENTCHAT_SERVER: _server, AGENTCHAT_HOME: _home, ...env } = process.env
    this.env = { ...env, NO_COLOR: "1" }
  }

  /** Runs `agentchat …args` here and waits for its end. */
  run(...args: string[]): Outcome {
    const { status, stdout, stderr } = spawnSync(process.execPath, [programPath, ...args], {
      cwd: this.dir,
      env: this.env,
      encoding: "utf8",
      timeout: 30_000,
    })
    return { status, stdout, stderr }
  }

  /** Like {@link run}, and fails unless the command succeeds. */
  must(...args: string[]): string {
    const { status, stdout, stderr } = this.run(...args)
    if (status !== 0) throw new Error(`agentchat ${args.join(" ")}: exit ${status}\n${stdout}${stderr}`)
    return stdout
  }

  /** Runs a shell script here. */
  sh(script: string): ChildProcess {
    return spawn("sh", ["-c", script], { cwd: this.dir, env: this.env, stdio: ["ignore", "pipe", "inherit"] })
  }

  /** A file of the daemon `name`. */
  file(name: string, file: string): string {
    return join(this.dir, ".agentchat", "daemons", name, file)
  }

  /** Returns every inbox line of `name`, closed segments first. */
  inbox(name: string): InboxRecord[] {
    const segments = this.file(name, "inbox")
    const sealed = existsSync(segments)
      ? readdirSync(segments).filter((entry) => entry.endsWith(".jsonl"))
      : []
    const paths = sealed
      .sort((a, b) => Number.parseInt(a, 10) - Number.parseInt(b, 10))
      .map((entry) => join(segments, entry))
    return [...paths, this.file(name, "inbox.jsonl")].flatMap(readJsonLines)
  }

  /** Returns the contents of the messages in the inbox of `name`. */
  contents(name: string): string[] {
    return this.inbox(name)
      .filter(({ type }) => type === "MSG")
      .map(({ content }) => String(content))
  }

  /** Reads status.json of `name`; undefined if there is none. */
  status(name: string): Record<string, unknown> | undefined {
    try {
      return JSON.parse(readFileSync(this.file(name, "status.json"), "utf8")) as Record<string, unknown>
    } catch {
      return undefined
    }
  }

  /** Kills what runs in the background and removes the directory. */
  dispose(): void {
    killBackground(join(this.dir, ".agentchat"))
    rmSync(this.dir, { recursive: true, force: true, maxRetries: 10 })
  }
}

/** Kills the relay and the daemons of a home directory, which is faster than asking each to stop. */
export function killBackground(home: string): void {
  const daemons = join(home, "daemons")
  const names = existsSync(daemons) ? readdirSync(daemons) : []
  const files = ["relay.json", "host.json", ...names.map((name) => join("daemons", name, "daemon.json"))]
  for (const path of files.map((file) => join(home, file)).filter(existsSync)) {
    const pid = /"pid":(\d+)/.exec(readFileSync(path, "utf8"))?.[1]
    if (pid !== undefined) kill(Number(pid))
  }
}

/** Kills the process of a daemon without warning, and waits for its end: a second one cannot start before that. */
export async function killDaemon(workspace: Workspace, name: string): Promise<void> {
  const { pid } = JSON.parse(readFileSync(workspace.file(name, "daemon.json"), "utf8")) as { pid: number }
  process.kill(pid, "SIGKILL")
  await until("the end of the daemon", () => !isRunning(pid))
}

function kill(pid: number): void {
  try {
    if (pid !== process.pid) process.kill(pid, "SIGKILL")
  } catch {
    // It has ended already.
  }
}

function readJsonLines(path: string): InboxRecord[] {
  if (!existsSync(path)) return []
  const text = readFileSync(path, "utf8")
  // A killed process may leave part of a line.
  return text
    .slice(0, text.lastIndexOf("\n") + 1)
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as InboxRecord)
}

/** A relay in a process of its own. */
export class RelayProcess {
  #child: ChildProcess | undefined
  #port = 0
  readonly #args: readonly string[]
  readonly #logFile: string | undefined

  private constructor(args: readonly string[], logFile?: string) {
    this.#args = args
    this.#logFile = logFile
  }

  /** Starts a relay whose guards stop nobody, unless `args` contain `--guards`; `--guards /dev/null` keeps the defaults. */
  static async start(...args: string[]): Promise<RelayProcess> {
    const relay = new RelayProcess(withGuards(args))
    await relay.restart()
    return relay
  }

  /** Starts a relay that logs to a file, across restarts. */
  static async startLogging(logFile: string, ...args: string[]): Promise<RelayProcess> {
    const relay = new RelayProcess(withGuards(args), logFile)
    await relay.restart()
    return relay
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#port}`
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** Starts it again on the same port. */
  async restart(): Promise<void> {
    const args = [programPath, "serve", "--port", String(this.#port), ...this.#args]
    const stderr = this.#logFile === undefined ? "inherit" : openSync(this.#logFile, "a")
    const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", stderr] })
    this.#child = child
    if (typeof stderr === "number") closeSync(stderr)
    if (child.stdout === null) throw new Error("the relay has no stdout")
    for await (const line of createInterface({ input: child.stdout })) {
      const port = /ws:\/\/[^\s]+:(\d+)/.exec(line)?.[1]
      if (port === undefined) continue
      this.#port = Number(port)
      return
    }
    throw new Error("the relay ended before it listened")
  }

  /** `SIGKILL` unless another signal is named; waits for its end. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child
    if (child?.exitCode !== null || child.signalCode !== null) return
    child.kill(signal)
    await once(child, "exit")
  }
}

function withGuards(args: readonly string[]): string[] {
  return args.includes("--guards") ? [...args] : ["--guards", liftedGuardsPath, ...args]
}
