import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs"
import { createServer, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join, resolve } from "node:path"
import { CommandServer } from "../kit/command-server.js"
import { until } from "../kit/condition.js"
import { killBackground, programPath } from "../kit/program.js"
import { SharedProcess } from "../kit/shared-process.js"

/** The output of a program, and its exit status. */
interface Outcome {
  readonly stdout: string
  readonly stderr: string
  /** Undefined while it runs; the name of the signal if one ended it. */
  readonly status: number | string | undefined
}

/** A program in a process of its own. */
class Run implements Outcome {
  stdout = ""
  stderr = ""
  status: number | string | undefined
  readonly child: ChildProcess
  readonly ended: Promise<void>

  constructor(child: ChildProcess, input: string | undefined) {
    this.child = child
    child.stdout?.setEncoding("utf8").on("data", (text: string) => (this.stdout += text))
    child.stderr?.setEncoding("utf8").on("data", (text: string) => (this.stderr += text))
    child.stdin?.on("error", () => {})
    if (input !== undefined) child.stdin?.end(input)
    this.ended = once(child, "close").then(([code, signal]) => {
      this.status = (code as number | null) ?? (signal as string)
    })
  }
}

/** A parsed line of a script. */
export interface Step {
  readonly isNegated: boolean
  readonly verb: string
  readonly words: readonly string[]
}

/** A running script: its directory, its variables, and the outcome of its last program. */
export class ScriptSession {
  readonly variables = new Map<string, string>()
  readonly #root: string
  readonly #env: NodeJS.ProcessEnv
  readonly #background = new Map<string, Run>()
  readonly #directories: Set<string>
  readonly #strangers: Server[] = []
  readonly #commands = CommandServer.take()
  readonly #homes = new Set<string>()
  #hasProcesses = false
  #dir: string
  #input: string | undefined
  #last: Outcome | undefined

  constructor() {
    this.#root = mkdtempSync(join(tmpdir(), "agentchat-script-"))
    this.#dir = this.#root
    this.#directories = new Set([this.#root])
    const { NO_COLOR: _noColor, FORCE_COLOR: _forceColor, ...env } = process.env
    this.#env = { ...env, TERM: "xterm" }
    this.variables.set("PROGRAM", programPath)
    this.variables.set("NODE", process.execPath)
  }

  async run({ verb, words, isNegated }: Step): Promise<void> {
    const step = this.#steps[verb]
    if (step === undefined) throw new Error(`unknown step: ${verb}`)
    await step(words, isNegated)
  }

  /** Ends every program that the script started, and removes its directory. */
  async end(): Promise<void> {
    this.#commands.giveBack()
    for (const home of this.#homes) await SharedProcess.get().closeHost(home)
    for (const dir of this.#directories) killBackground(join(dir, ".agentchat"))
    for (const run of this.#background.values()) {
      if (run.status === undefined) run.child.kill("SIGKILL")
      await run.ended
    }
    for (const server of this.#strangers) server.close()
    rmSync(this.#root, { recursive: true, force: true, maxRetries: 10 })
  }

  readonly #steps: Readonly<
    Record<string, (words: readonly string[], isNegated: boolean) => Promise<void> | void>
  > = {
    agentchat: async (words, isNegated) => {
      const input = this.#input ?? ""
      this.#input = undefined
      if (!isNegated && words[0] === "daemon" && words.includes("--background")) await this.#openHost()
      const ended = await this.#commands.run(words, this.#dir, this.#env, input)
      this.#last = ended
      this.#check("exit status", ended.status === 0, isNegated)
    },
    sh: ([script = ""], isNegated) => this.#finish(this.#spawn("sh", ["-c", script]), isNegated),
    background: ([name = "", ...words]) => void this.#background.set(name, this.#start(programPath, words)),
    wait: async ([name = ""]) => {
      const run = this.#named(name)
      await run.ended
      this.#last = run
    },
    kill: ([name = "", signal = "TERM"]) =>
      void this.#named(name).child.kill(`SIG${signal}` as NodeJS.Signals),
    type: ([name = "", text = ""]) => void this.#named(name).child.stdin?.write(text),
    // `free` reserves the number of a free port; `stranger` listens on one with a server that is no relay.
    free: async ([name = ""]) => {
      ;(await this.#listen(name)).close()
    },
    stranger: async ([name = ""]) => {
      this.#strangers.push(await this.#listen(name))
    },
    // Relays and daemons share a process, except in scripts that kill them or look at their processes.
    processes: () => void (this.#hasProcesses = true),
    relay: (options) => this.#startRelay(options),
    stdin: ([text = ""]) => void (this.#input = text),
    env: (assignments) => {
      for (const assignment of assignments) {
        const [name = "", value] = assignment.split(/=(.*)/s)
        this.#env[name] = value
      }
    },
    cd: ([path = ""]) => {
      this.#dir = resolve(this.#root, path)
      mkdirSync(this.#dir, { recursive: true })
      this.#directories.add(this.#dir)
    },
    write: ([path = "", text = ""]) => writeFileSync(resolve(this.#dir, path), text),
    append: ([path = "", text = ""]) => appendFileSync(resolve(this.#dir, path), text),
    status: ([expected = ""]) => this.#check("status", String(this.#end.status) === expected, false),
    stdout: ([pattern = ""], isNegated) =>
      this.#check("stdout", matches(this.#end.stdout, pattern), isNegated),
    stderr: ([pattern = ""], isNegated) =>
      this.#check("stderr", matches(this.#end.stderr, pattern), isNegated),
    empty: ([stream = ""]) =>
      this.#check(stream, this.#end[stream === "stderr" ? "stderr" : "stdout"] === "", false),
    lines: ([count = ""]) =>
      this.#check("lines", this.#end.stdout.split("\n").length - 1 === Number(count), false),
    json: ([path = "", expected = ""], isNegated) => {
      const value = pick(JSON.parse(this.#end.stdout), path)
      this.#check(
        `${path} is ${JSON.stringify(value)}`,
        JSON.stringify(value) === expected || value === expected,
        isNegated,
      )
    },
    printed: ([name = "", pattern = ""]) =>
      until(`${name} prints ${pattern}`, () => matches(this.#named(name).stdout, pattern)).then(() => {}),
    capture: ([name = "", pattern = ""]) => {
      const found = new RegExp(pattern, "m").exec(this.#end.stdout)?.[1]
      this.#check("stdout", found !== undefined, false)
      this.variables.set(name, found ?? "")
    },
    logged: ([name = "", pattern = ""]) =>
      until(`${name} logs ${pattern}`, () => matches(this.#named(name).stderr, pattern)).then(() => {}),
    exists: ([path = ""], isNegated) => this.#check(path, existsSync(resolve(this.#dir, path)), isNegated),
    file: ([path = "", pattern = ""], isNegated) =>
      this.#check(path, matches(readFileSync(resolve(this.#dir, path), "utf8"), pattern), isNegated),
    eventually: ([path = "", pattern = ""]) =>
      until(`${path} holds ${pattern}`, () => {
        const full = resolve(this.#dir, path)
        return existsSync(full) && matches(readFileSync(full, "utf8"), pattern)
      }).then(() => {}),
  }

  get #end(): Outcome {
    if (this.#last === undefined) throw new Error("nothing has run yet")
    return this.#last
  }

  #named(name: string): Run {
    const run = this.#background.get(name)
    if (run === undefined) throw new Error(`no ${name} runs in the background`)
    return run
  }

  /** Lets the daemons of this directory start in the shared process. */
  async #openHost(): Promise<void> {
    const home = join(this.#dir, ".agentchat")
    if (this.#hasProcesses || this.#env["AGENTCHAT_HOME"] !== undefined) return
    this.#homes.add(home)
    await SharedProcess.get().openHost(home)
  }

  async #startRelay(options: readonly string[]): Promise<void> {
    if (!this.#hasProcesses) {
      this.#setRelay(await SharedProcess.get().relay(options, this.#dir))
      return
    }
    const relay = this.#start(programPath, ["serve", "--port", "0", ...options], "")
    this.#background.set("relay", relay)
    this.#setRelay(await until("a relay", () => /wss?:\/\/\S+/.exec(relay.stdout)?.[0]))
  }

  #setRelay(url: string): void {
    this.variables.set("RELAY", url)
    this.variables.set("PORT", new URL(url).port)
  }

  async #listen(name: string): Promise<Server> {
    const server = createServer((_, response) => response.end("something else"))
    server.listen(0, "127.0.0.1")
    await once(server, "listening")
    this.variables.set(name, String((server.address() as AddressInfo).port))
    return server
  }

  #start(script: string, words: readonly string[], input?: string): Run {
    return this.#spawn(process.execPath, [script, ...words], input)
  }

  #spawn(program: string, words: readonly string[], input = this.#input): Run {
    this.#input = undefined
    return new Run(spawn(program, words, { cwd: this.#dir, env: this.#env }), input)
  }

  async #finish(run: Run, isNegated: boolean): Promise<void> {
    run.child.stdin?.end()
    await run.ended
    this.#last = run
    this.#check("exit status", run.status === 0, isNegated)
  }

  #check(what: string, holds: boolean, isNegated: boolean): void {
    if (holds !== isNegated) return
    const { status, stdout, stderr } = this.#end
    throw new Error(
      `${what} is not as expected\nexit ${String(status)}\n--- stdout\n${stdout}--- stderr\n${stderr}`,
    )
  }
}

function matches(text: string, pattern: string): boolean {
  return new RegExp(pattern, "m").test(text)
}

/** Returns the member of `value` at a path like `.list.0.name`. */
function pick(value: unknown, path: string): unknown {
  return path
    .split(".")
    .filter((key) => key !== "")
    .reduce<unknown>((inner, key) => (inner as Record<string, unknown> | null | undefined)?.[key], value)
}
