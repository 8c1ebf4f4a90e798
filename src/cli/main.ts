/** Connects the command line to the process. This is the only file of cli/ that uses `process`. */
import { existsSync, readFileSync } from "node:fs"
import { constants, tmpdir } from "node:os"
import { isatty } from "node:tty"
import { delay, systemClock } from "../base/clock.js"
import { formatForTerminal, formatJsonLine } from "../base/visible-text.js"
import { wantsColor } from "./config.js"
import type { System } from "./context.js"
import type { ProcessIo } from "./program.js"

/** Runs the command line of the process and exits with its status. */
export async function main(): Promise<void> {
  const argv = process.argv.slice(2)
  const io = processIo()
  // Scripts ask for the version; answering without loading the parser saves most of the start-up time.
  if (argv.length === 1 && ["--version", "-V", "-v"].includes(argv[0] ?? "")) {
    io.out(programVersion())
    return
  }
  // A hook has to answer wherever its harness runs it.
  if (!hasWorkingDirectory() && argv[0] === "hook") process.chdir("/")
  if (!hasWorkingDirectory()) {
    io.err("the working directory does not exist any more")
    io.err('hint: change to another directory, or back to it by its name: cd "$PWD"')
    await io.flush()
    process.exit(1)
  }
  const { runProgram } = await import("./program.js")
  const status = await runProgram(argv, { io, clock: systemClock, system: processSystem(), env: process.env })
  const flushed = io.flush()
  // A reader that stalls must not keep an interrupted command from ending; what it printed is not marked as read then.
  await (status < interruptedFrom ? flushed : Promise.race([flushed, delay(systemClock, lastFlushMs)]))
  process.exit(status)
}

/** Lowest exit status of a command that a signal ended, and milliseconds its output may still take. */
const interruptedFrom = 128
const lastFlushMs = 1_000

function hasWorkingDirectory(): boolean {
  try {
    process.cwd()
    return true
  } catch {
    return false
  }
}

function processIo(): ProcessIo {
  const errors = new ErrorStream()
  const output = new OutputErrors(errors)
  process.stdout.on("error", (error: NodeJS.ErrnoException) => output.onError(error))
  return {
    out: (line) => void process.stdout.write(`${line}\n`),
    json: (value) => void process.stdout.write(`${formatJsonLine(value)}\n`),
    err: (line) => errors.write(line),
    outliveOutput: () => output.outlive(),
    flush: () =>
      new Promise((resolve) => {
        if (process.stdout.writableLength === 0) setImmediate(resolve)
        else process.stdout.write("", () => resolve())
      }),
    get input() {
      return process.stdin
    },
    get output() {
      return process.stdout
    },
    get isOutputTerminal() {
      return isatty(1)
    },
    get columns() {
      // Some terminals report 0 columns.
      return isatty(1) ? process.stdout.columns || undefined : undefined
    },
    get isInputTerminal() {
      return isatty(0)
    },
    get hasColor() {
      return wantsColor(process.env, isatty(1))
    },
  }
}

/** The exit status of FILE_FAILED; importing the table would slow down every start. */
const outputFailedStatus = 1

/** Standard error. Lines that cannot be written are dropped and counted: a full disk must not end a relay. */
class ErrorStream {
  // Setting up a stream takes a millisecond, so this one is set up at its first use.
  #isOpen = false
  #lost = 0

  write(line: string): void {
    if (!this.#isOpen) process.stderr.on("error", () => {})
    this.#isOpen = true
    const lost = this.#lost
    const note = lost === 0 ? "" : `agentchat: ${lost} lines could not be written here\n`
    process.stderr.write(`${note}agentchat: ${formatForTerminal(line)}\n`, (error) => {
      if (error !== null && error !== undefined) this.#lost++
      else this.#lost -= lost
    })
  }
}

/** Decides what an error of standard output means for the command. */
class OutputErrors {
  readonly #errors: ErrorStream
  #isOutlived = false
  #isReported = false

  constructor(errors: ErrorStream) {
    this.#errors = errors
  }

  /** {@link Io.outliveOutput} */
  outlive(): void {
    this.#isOutlived = true
  }

  /** A reader that is gone (`agentchat inbox | head`) is no failure. */
  onError({ code = "unknown error" }: NodeJS.ErrnoException): void {
    if (code === "EPIPE") {
      if (!this.#isOutlived) process.exit(0)
      return
    }
    if (!this.#isReported) this.#errors.write(`standard output cannot be written (${code})`)
    this.#isReported = true
    if (!this.#isOutlived) process.exit(outputFailedStatus)
  }
}

function processSystem(): System {
  return {
    get version() {
      return programVersion()
    },
    pid: process.pid,
    parentPid: () => process.ppid,
    uid: process.getuid?.() ?? 0,
    nodePath: process.execPath,
    nodeVersion: process.version,
    scriptPath: process.argv[1] ?? "",
    runtimeDirs: [process.env["XDG_RUNTIME_DIR"], tmpdir(), "/tmp"],
    searchPath: process.env["PATH"] ?? "",
    cwd: process.cwd(),
    random: Math.random,
    kill: (pid, signal) => void process.kill(pid, signal),
    interruption,
    onHangup: (handler) => void process.on("SIGHUP", handler),
    onUncaught: (handler) => void process.on("uncaughtException", handler),
  }
}

function interruption(): AbortSignal {
  const controller = new AbortController()
  // Node itself writes warnings there.
  process.stderr.on("error", () => {})
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(128 + constants.signals[name])
      controller.abort(name)
    })
  }
  const terminals = [0, 1, 2].filter((fd) => isatty(fd))
  process.on("SIGHUP", () => {
    if (terminals.some((fd) => !isatty(fd))) controller.abort("SIGHUP")
  })
  return controller.signal
}

/** Reads the version from package.json, which is in a parent directory of this file, in src/ as in dist/. */
function programVersion(): string {
  let folder = new URL(".", import.meta.url)
  while (!existsSync(new URL("package.json", folder))) folder = new URL("..", folder)
  const { version } = JSON.parse(readFileSync(new URL("package.json", folder), "utf8")) as { version: string }
  return version
}
