/**
 * Where the command line meets the process. Data goes to standard output, talk to standard error after
 * `agentchat: `; a reader that goes away (`| head`) ends the program quietly.
 */
import { constants, tmpdir } from "node:os"
import { isatty } from "node:tty"
import { systemClock } from "../base/clock.js"
import { formatForTerminal, formatJsonLine } from "../base/visible-text.js"
import { wantsColor } from "./config.js"
import type { Io, System } from "./context.js"
import { programVersion } from "./program-version.js"

/** Runs the process's own command line and ends the process with its status. */
export async function main(): Promise<void> {
  const argv = process.argv.slice(2)
  const io = processIo()
  // The quick way: a version is asked for by scripts, and needs no parser.
  if (argv.length === 1 && (argv[0] === "--version" || argv[0] === "-V")) {
    io.out(programVersion())
    return
  }
  const { runProgram } = await import("./program.js")
  const status = await runProgram(argv, { io, clock: systemClock, system: processSystem(), env: process.env })
  await io.flush()
  process.exit(status)
}

function processIo(): Io {
  // Each stream takes a millisecond to set up, so it is touched only when used.
  let isTalking = false
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    endWithReader(error, () => process.exit(0))
  })
  return {
    out: (line) => void process.stdout.write(`${line}\n`),
    json: (value) => void process.stdout.write(`${formatJsonLine(value)}\n`),
    talk(line) {
      if (!isTalking)
        process.stderr.on("error", (error: NodeJS.ErrnoException) => endWithReader(error, () => {}))
      isTalking = true
      process.stderr.write(`agentchat: ${formatForTerminal(line)}\n`)
    },
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
      // 0 of a terminal that does not know.
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

function processSystem(): System {
  return {
    pid: process.pid,
    uid: process.getuid?.() ?? 0,
    nodePath: process.execPath,
    scriptPath: process.argv[1] ?? "",
    runtimeDir: process.env["XDG_RUNTIME_DIR"] ?? tmpdir(),
    searchPath: process.env["PATH"] ?? "",
    cwd: process.cwd(),
    random: Math.random,
    kill: (pid, signal) => void process.kill(pid, signal),
    interruption,
  }
}

function interruption(): AbortSignal {
  const controller = new AbortController()
  for (const name of ["SIGINT", "SIGTERM"] as const) {
    // `on`, not `once`: where no listener stays, proper-lockfile's exit hook ends the process at once.
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(128 + constants.signals[name])
      controller.abort(name)
    })
  }
  return controller.signal
}

/** Nobody reads any more: what is left to say interests nobody, and is no failure. */
function endWithReader(error: NodeJS.ErrnoException, end: () => void): void {
  if (error.code !== "EPIPE") throw error
  end()
}
