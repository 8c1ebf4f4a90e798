import { appendFileSync, existsSync, mkdirSync, readFileSync } from "node:fs"
import { onTestFinished } from "vitest"
import { Daemon } from "../../src/daemon/daemon.js"
import { type DaemonPaths, rootPaths } from "../../src/daemon/files/paths.js"
import type { DaemonHost, DaemonOptions } from "../../src/daemon/options.js"
import type { DaemonStatus } from "../../src/daemon/status.js"
import type { Identity } from "../../src/identity/identity-file.js"
import { type Channel, parseInstanceName, parseNick } from "../../src/protocol/names.js"
import { until } from "./condition.js"
import { FakeClock } from "./fake-clock.js"
import { newIdentity } from "./identity.js"
import { temporaryDirectory } from "./temporary.js"

type Line = Readonly<Record<string, unknown>>

/** A daemon's directory, and the daemons that run in it one after the other. */
export class DaemonHarness {
  readonly paths: DaemonPaths
  readonly clock: FakeClock
  readonly identity: Identity = newIdentity()
  #daemon: Daemon | undefined

  /** @param place - the `.agentchat` directory, and the daemon's name in it */
  constructor(clock = new FakeClock(), { root = temporaryDirectory(), name = "a" } = {}) {
    this.clock = clock
    this.paths = rootPaths(root).instance(parseInstanceName(name))
  }

  /** Own agent id. */
  get self(): string {
    return this.identity.agentId
  }

  /** Starts a daemon on `relay`; it is stopped when the test ends, or the next one starts. */
  async start(
    relay: { readonly url: string },
    options: Partial<DaemonOptions> = {},
    host: Pick<DaemonHost, "findSession"> = {},
  ): Promise<void> {
    await this.stop()
    mkdirSync(this.paths.dir, { recursive: true })
    const daemon = new Daemon(
      this.paths,
      {
        name: this.paths.name,
        server: relay.url,
        nick: parseNick("bob"),
        identity: this.identity,
        defaultChannels: ["#general" as Channel],
        compat: false,
        echo: false,
        ...options,
      },
      { clock: this.clock, random: () => 0.5, pid: 1, requireHome: () => {}, onStopped: () => {}, ...host },
    )
    this.#daemon = daemon
    onTestFinished(() => daemon.stop())
    daemon.start()
  }

  async stop(): Promise<void> {
    await this.#daemon?.stop()
    this.#daemon = undefined
  }

  /** Does what the host does once a second. */
  sweep(): void {
    this.#daemon?.sweep()
  }

  /** Rings the agent's session, as `agentchat wake test` does. */
  testWake(): Promise<string> {
    if (this.#daemon === undefined) throw new Error("no daemon runs")
    return this.#daemon.testWake()
  }

  /** Resets the circuit breaker, as a person at the terminal does. */
  resetBreaker(): void {
    this.#daemon?.resetBreaker()
  }

  /** Appends a line to the outbox. */
  write(line: Line): void {
    appendFileSync(this.paths.outbox, `${JSON.stringify(line)}\n`)
    this.sweep()
  }

  get inbox(): Line[] {
    return readLines(this.paths.inbox)
  }

  get acks(): Line[] {
    return readLines(this.paths.acks)
  }

  /** Returns the lines of receipts.jsonl. */
  get receipts(): string[] {
    if (!existsSync(this.paths.receipts)) return []
    return readFileSync(this.paths.receipts, "utf8").split("\n").slice(0, -1)
  }

  get status(): DaemonStatus {
    return JSON.parse(readFileSync(this.paths.status, "utf8")) as DaemonStatus
  }

  get log(): string {
    return readFileSync(this.paths.log, "utf8")
  }

  /** Waits for `count` inbox lines of this type. */
  lines(type: string, count = 1): Promise<Line[]> {
    return until(`${count} lines ${type}`, () => {
      const found = this.inbox.filter((line) => line["type"] === type)
      return found.length >= count && found
    })
  }

  /** Waits for `count` lines of acks.jsonl with this state. */
  acksWith(state: string, count = 1): Promise<Line[]> {
    return until(`${count} acks ${state}`, () => {
      const found = this.acks.filter((line) => line["state"] === state)
      return found.length >= count && found
    })
  }
}

function readLines(path: string): Line[] {
  if (!existsSync(path)) return []
  return readFileSync(path, "utf8")
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as Line)
}
