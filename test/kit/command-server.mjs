// Runs commands of the built program in one process, one after another, so that a script of forty commands does not
// start Node forty times:
//
//     node command-server.mjs PROGRAM    (with an IPC channel; PROGRAM is dist/bin/agentchat.js)
//
// Everything but the process itself is as in src/cli/main.ts: arguments, environment, working directory, standard
// input, and an exit status or a stack trace.
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import process from "node:process"
import { PassThrough, Readable } from "node:stream"
import { pathToFileURL } from "node:url"

/** @typedef {{ argv: string[], cwd: string, env: Record<string, string>, input: string }} Order */

const programPath = process.argv[2] ?? ""
const sources = join(dirname(programPath), "../src")
/** @param {string} path @returns {Promise<unknown>} */
const load = (path) => import(pathToFileURL(join(sources, path)).href)
const { runProgram } = /** @type {typeof import("../../src/cli/program.js")} */ (await load("cli/program.js"))
const { systemClock } = /** @type {typeof import("../../src/base/clock.js")} */ (await load("base/clock.js"))
const { formatForTerminal, formatJsonLine } = /** @type {typeof import("../../src/base/visible-text.js")} */ (
  await load("base/visible-text.js")
)
const { wantsColor } = /** @type {typeof import("../../src/cli/config.js")} */ (await load("cli/config.js"))

process.on("message", (/** @type {Order} */ order) => {
  void run(order).then((outcome) => process.send?.(outcome))
})
process.on("disconnect", () => process.exit(0))
process.send?.("ready")

/** @param {Order} order */
async function run({ argv, cwd, env, input }) {
  process.chdir(cwd)
  for (const name of Object.keys(process.env)) if (!(name in env)) Reflect.deleteProperty(process.env, name)
  Object.assign(process.env, env)
  let stdout = ""
  let stderr = ""
  const output = new PassThrough()
  output.setEncoding("utf8").on("data", (/** @type {string} */ text) => (stdout += text))
  const io = {
    out: (/** @type {string} */ line) => void (stdout += `${line}\n`),
    json: (/** @type {unknown} */ value) => void (stdout += `${formatJsonLine(value)}\n`),
    err: (/** @type {string} */ line) => void (stderr += `agentchat: ${formatForTerminal(line)}\n`),
    outliveOutput: () => {},
    flush: () => new Promise((resolve) => setImmediate(resolve)),
    input: Readable.from(input === "" ? [] : [Buffer.from(input)], { objectMode: false }),
    output,
    isOutputTerminal: false,
    columns: undefined,
    isInputTerminal: false,
    hasColor: wantsColor(env, false),
  }
  const system = {
    version: "0.0.0",
    pid: process.pid,
    uid: process.getuid?.() ?? 0,
    nodePath: process.execPath,
    nodeVersion: process.version,
    scriptPath: programPath,
    runtimeDirs: [env["XDG_RUNTIME_DIR"], tmpdir()],
    searchPath: env["PATH"] ?? "",
    cwd,
    random: Math.random,
    parentPid: () => process.ppid,
    kill: (/** @type {number} */ pid, /** @type {NodeJS.Signals} */ signal) => void process.kill(pid, signal),
    onUncaught: () => {},
    interruption: () => new AbortController().signal,
    onHangup: () => {},
  }
  try {
    const status = await runProgram(argv, { io, clock: systemClock, system, env })
    return { status, stdout, stderr }
  } catch (error) {
    return { status: 1, stdout, stderr: `${stderr}${error instanceof Error ? error.stack : String(error)}\n` }
  }
}
