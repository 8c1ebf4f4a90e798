import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { PassThrough } from "node:stream"
import type { Environment } from "../../../src/cli/config.js"
import type { System } from "../../../src/cli/context.js"
import { openHome } from "../../../src/daemon/files/home.js"
import type { DaemonPaths } from "../../../src/daemon/files/paths.js"
import { describeProcess } from "../../../src/daemon/files/process-record.js"
import { claimRecord } from "../../../src/daemon/process/pid-file.js"
import type { Harness } from "../../../src/harness/harness.js"
import { listSessions, readSession, type SessionRecord } from "../../../src/harness/sessions.js"
import type { InstanceName } from "../../../src/protocol/names.js"
import { CommandRoom, type RunOptions } from "../../kit/command-room.js"
import { FakeClock } from "../../kit/fake-clock.js"

/** The agent id of every daemon here. */
export const self = "@0123456789abcdef"
const other = "@fedcba9876543210"

/** Standard output of a hook, its exit status, and the output as JSON. */
interface HookOutcome {
  readonly status: number
  readonly out: string
  readonly err: string
}

interface HookOptions {
  readonly env?: Environment
  readonly system?: Partial<System>
  /** Value of `--claims`. */
  readonly claims?: string
  /** True to wait in the background. */
  readonly rewake?: boolean
}

/** A directory with daemons that seem to run, and in which hooks are run in this process. */
export class HookRoom extends CommandRoom {
  readonly clock = new FakeClock()
  #seq = 0

  get root() {
    return openHome(this.home, process.getuid?.() ?? 0)
  }

  paths(agent: string): DaemonPaths {
    return this.root.instance(agent as InstanceName)
  }

  /** Runs a hook. @param payload - an object, whose `/CWD` means this directory, or the text on standard input */
  async hook(
    harness: Harness | "unknown",
    event: string,
    payload: object | string,
    { env = {}, system = {}, claims, rewake = false }: HookOptions = {},
  ): Promise<HookOutcome> {
    const input = new PassThrough()
    const text = typeof payload === "string" ? payload : JSON.stringify(payload)
    input.end(text.replaceAll("/CWD", this.dir))
    const options = [...(claims === undefined ? [] : ["--claims", claims]), ...(rewake ? ["--rewake"] : [])]
    return this.run(["hook", event, "--harness", harness, ...options], {
      clock: this.clock,
      input,
      env,
      surroundings: system,
    })
  }

  /** Runs a command line with a text on standard input. */
  input(text: string, args: readonly string[], env: Environment): Promise<HookOutcome> {
    const input = new PassThrough()
    input.end(text)
    return this.run(args, { clock: this.clock, input, env })
  }

  /** Runs a hook whose standard output breaks before all of it is written. */
  failingHook(args: readonly string[], payload: string, env: Environment): Promise<HookOutcome> {
    const input = new PassThrough()
    input.end(payload)
    const flush = () => Promise.reject(new Error("broken pipe"))
    return this.run(args, { clock: this.clock, input, env, flush })
  }

  /** Makes a daemon seem to run. */
  async daemon(agent: string, { connected = true } = {}): Promise<void> {
    const paths = this.paths(agent)
    mkdirSync(paths.outboxDrop, { recursive: true, mode: 0o700 })
    await claimRecord(paths.record, { process: describeProcess(process.pid), socket: "" }, this.clock)
    const status = { v: 1, state: connected ? "ready" : "waiting", connected, agent_id: self, updated: 1 }
    writeFileSync(paths.status, JSON.stringify({ ...status, server: "ws://127.0.0.1:1" }))
  }

  /** Appends lines to the inbox of a daemon: the members of messages, from another agent unless they say otherwise. */
  receive(agent: string, ...lines: object[]): void {
    for (const line of lines) {
      this.#seq += 1
      const message = { type: "MSG", from: other, name: "bob", to: self, ts: this.clock.now(), ...line }
      appendFileSync(this.paths(agent).inbox, `${JSON.stringify({ seq: this.#seq, ...message })}\n`)
    }
  }

  /** The status and activity that the daemon was asked to report last. */
  presence(agent: string): Readonly<Record<string, unknown>> | undefined {
    const { outboxDrop } = this.paths(agent)
    const [name] = readdirSync(outboxDrop)
    return name === undefined
      ? undefined
      : (JSON.parse(readFileSync(join(outboxDrop, name), "utf8")) as Record<string, unknown>)
  }

  /** Returns the daemon that a command chooses; undefined if it cannot choose. */
  async whoami(options: RunOptions): Promise<unknown> {
    const { out } = await this.run(["whoami", "--json"], options)
    return (JSON.parse(out) as { readonly daemon?: string }).daemon
  }

  session(id: string): SessionRecord | undefined {
    return readSession(this.root, id)
  }

  get sessions(): SessionRecord[] {
    return listSessions(this.root)
  }
}

/** Returns the text that a hook in the shape of Claude Code puts into the context. */
export function contextIn(out: string): string {
  const { hookSpecificOutput } = JSON.parse(out) as { hookSpecificOutput?: { additionalContext?: string } }
  return hookSpecificOutput?.additionalContext ?? ""
}
