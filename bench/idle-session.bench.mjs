// The cost of an agent whose session is idle: its daemon, the hook that waits in the background, a wait and a watch.
import { spawn, spawnSync } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import process from "node:process"
import { program } from "./kit/built.mjs"
import { cleanEnvironment, withCleanup } from "./kit/children.mjs"
import { sleep, waitUntil } from "./kit/clock.mjs"
import { Home } from "./kit/home.mjs"
import { cpuSeconds, requireProcFiles, residentKib, wakeUps } from "./kit/proc-files.mjs"
import { startRelay } from "./kit/relay.mjs"

/** Time for the compiler and the garbage collector to finish the work of the start. */
const settleMs = 15_000
const watchMs = 60_000

const environment = { ...cleanEnvironment, AGENTCHAT_NAME: "default" }

/** @returns {Promise<import("./kit/report.mjs").Report>} */
export function run() {
  requireProcFiles()
  return withCleanup(async (defer) => {
    const { url } = await startRelay(defer)
    const home = new Home(defer)
    const { pid: daemon } = await home.startDaemon("default", url)
    const dir = home.directory
    hook(dir, "SessionStart", { source: "startup" })
    hook(dir, "Stop", { stop_hook_active: false })
    const processes = [
      { label: "daemon, which rings", pid: daemon, output: () => "" },
      start("hook --rewake", dir, defer, ["hook", "Stop", "--harness", "claude", "--rewake"]),
      start("wait", dir, defer, ["wait", "--timeout", "10m"]),
      start("watch", dir, defer, ["watch", "--reader", "monitor"]),
    ]
    const sessions = join(dir, ".agentchat", "sessions")
    const waits = join(dir, ".agentchat", "daemons", "default", "waits")
    await waitUntil("all of them to wait", () => {
      const isRewake = readdirSync(sessions).some((name) => name.endsWith(".rewake"))
      return isRewake && existsSync(waits) && readdirSync(waits).length === 2
    })
    await sleep(settleMs)
    const before = processes.map(({ pid }) => ({ cpu: cpuSeconds(pid), wakeUps: wakeUps(pid) }))
    await sleep(watchMs)
    const rows = processes.map(({ label, pid }, index) => {
      const { cpu = 0, wakeUps: woken = { main: 0, all: 0 } } = before[index] ?? {}
      const seconds = watchMs / 1_000
      return [
        label,
        (cpuSeconds(pid) - cpu).toFixed(3),
        ((wakeUps(pid).main - woken.main) / seconds).toFixed(2),
        (residentKib(pid) / 1_024).toFixed(1),
      ]
    })
    const printed = processes.map(({ output }) => output()).join("")
    if (printed !== "") throw new Error(`an idle session costs tokens: ${printed}`)
    const log = readFileSync(join(dir, ".agentchat", "daemons", "default", "daemon.log"), "utf8")
    const rings = log.split("\n").filter((line) => line.includes("wake: rang")).length
    return {
      goal: "no ring, no line printed, and no processor time worth naming",
      tables: [
        {
          caption: `An agent whose session is idle, watched for ${watchMs / 1_000} s: ${rings} rings, 0 lines printed`,
          columns: ["", "CPU s per minute", "wake-ups a second", "RSS MiB"],
          rows,
        },
      ],
    }
  })
}

/** @param {string} cwd @param {string} event @param {object} more */
function hook(cwd, event, more) {
  const input = JSON.stringify({ session_id: "bench", cwd, ...more })
  const args = [program, "hook", event, "--harness", "claude"]
  const { status } = spawnSync(process.execPath, args, { cwd, env: environment, input })
  if (status !== 0) throw new Error(`hook ${event}: exit ${status}`)
}

/**
 * @param {string} label
 * @param {string} cwd
 * @param {import("./kit/children.mjs").Defer} defer
 * @param {readonly string[]} args
 */
function start(label, cwd, defer, args) {
  const child = spawn(process.execPath, [program, ...args], { cwd, env: environment })
  defer(() => child.kill("SIGKILL"))
  let printed = ""
  child.stdout.setEncoding("utf8").on("data", (/** @type {string} */ text) => (printed += text))
  child.stdin.end(JSON.stringify({ session_id: "bench", cwd }))
  return { label, pid: child.pid ?? 0, output: () => printed }
}
