import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { PassThrough } from "node:stream"
import type { Clock } from "../../src/base/clock.js"
import type { Environment } from "../../src/cli/config.js"
import type { System } from "../../src/cli/context.js"
import { runProgram } from "../../src/cli/program.js"
import { FakeClock } from "./fake-clock.js"
import { temporaryDirectory } from "./temporary.js"

/** The output and exit status of a command. */
export interface Answer {
  readonly status: number
  readonly out: string
  readonly err: string
}

/** The surroundings of a command. */
export interface RunOptions {
  readonly clock?: Clock
  /** Columns of the terminal; without it, output is not a terminal. */
  readonly columns?: number
  /** Standard output as a stream, of which commands look at the unread bytes. */
  readonly output?: PassThrough
  /** Standard input. */
  readonly input?: PassThrough
  readonly env?: Environment
  /** Waits until standard output is written. */
  readonly flush?: () => Promise<void>
  readonly surroundings?: Partial<System>
}

/** A directory in which a test runs commands in this process. */
export class CommandRoom {
  readonly dir = temporaryDirectory()
  readonly home = join(this.dir, ".agentchat")

  constructor() {
    mkdirSync(this.home, { mode: 0o700 })
  }

  path(name: string): string {
    return join(this.home, name)
  }

  write(name: string, text: string): void {
    writeFileSync(this.path(name), text)
  }

  append(name: string, text: string): void {
    appendFileSync(this.path(name), text)
  }

  read(name: string): string {
    return readFileSync(this.path(name), "utf8")
  }

  remove(name: string): void {
    rmSync(this.path(name), { force: true })
  }

  has(name: string): boolean {
    return existsSync(this.path(name))
  }

  ratings(...args: string[]): Promise<Answer> {
    return this.run(["ratings", ...args])
  }

  async run(
    args: readonly string[],
    {
      clock = new FakeClock(),
      columns,
      output = new PassThrough(),
      input = new PassThrough(),
      env = {},
      flush = () => Promise.resolve(),
      surroundings = {},
    }: RunOptions = {},
  ): Promise<Answer> {
    let out = ""
    let err = ""
    const io = {
      out: (line: string) => void (out += `${line}\n`),
      json: (value: unknown) => void (out += `${JSON.stringify(value)}\n`),
      err: (line: string) => void (err += `${line}\n`),
      outliveOutput: () => {},
      flush,
      input,
      output,
      isOutputTerminal: columns !== undefined,
      columns,
      isInputTerminal: false,
      hasColor: false,
    }
    const system = {
      version: "0.0.0",
      pid: 1,
      uid: process.getuid?.() ?? 0,
      nodePath: "",
      nodeVersion: process.version,
      scriptPath: "",
      runtimeDirs: [this.dir],
      onUncaught: () => {},
      searchPath: "",
      cwd: this.dir,
      random: () => 0,
      parentPid: () => 1,
      kill: () => {},
      interruption: () => new AbortController().signal,
      onHangup: () => {},
      ...surroundings,
    }
    const status = await runProgram(args, { io, system, clock, env })
    return { status, out, err }
  }

  /** Returns the document of `--export`. */
  async export(...args: string[]): Promise<string> {
    const { status, out, err } = await this.ratings("--export", ...args)
    if (status !== 0) throw new Error(err)
    return out
  }
}
