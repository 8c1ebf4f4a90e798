import { spawnSync } from "node:child_process"
import { chmodSync, chownSync, existsSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { until } from "../../kit/condition.js"
import { programPath } from "../../kit/program.js"
import { hasAbility } from "../../kit/requires.js"
import { Scene } from "../../kit/scene.js"

const nobody = 65_534
/** Drops the rights of root, for which no mode of a file matters. */
const asNobody =
  process.getuid?.() === 0
    ? ["setpriv", `--reuid=${nobody}`, `--regid=${nobody}`, "--clear-groups", process.execPath]
    : [process.execPath]

function run(cwd: string, ...args: readonly string[]) {
  const [command = "", ...words] = [...asNobody, programPath, ...args]
  return spawnSync(command, words, { cwd, encoding: "utf8", env: { ...process.env, HOME: cwd } })
}

it.runIf(hasAbility("an ordinary user's process", () => run("/", "version").status === 0))(
  "a host process outlives a daemon's directory of mode 0000 and the loss of host.json, and all heals",
  { timeout: 120_000 },
  async ({ onTestFinished }) => {
    const scene = new Scene(onTestFinished)
    const { url } = await scene.relay()
    const dir = scene.directory()
    if (process.getuid?.() === 0) chownSync(dir, nobody, nobody)
    for (const name of ["a", "b"])
      expect(run(dir, "daemon", url, "--background", "--name", name).status).toBe(0)
    const hostFile = join(dir, ".agentchat/host.json")
    const pidOf = () => (JSON.parse(readFileSync(hostFile, "utf8")) as { pid: number }).pid
    const pid = pidOf()
    onTestFinished(() => void process.kill(pid, "SIGKILL"))
    const locked = join(dir, ".agentchat/daemons/a")
    chmodSync(locked, 0)
    rmSync(hostFile)
    await until("host.json", () => existsSync(hostFile) && pidOf() === pid, 60_000)
    const log = join(dir, ".agentchat/host.log")
    expect(existsSync(log) ? readFileSync(log, "utf8") : "").not.toMatch(/^ {4}at /m)
    expect(run(dir, "send", "#general", "from b", "--name", "b").status).toBe(0)
    chmodSync(locked, 0o700)
    expect(run(dir, "send", "#general", "from a", "--name", "a").status).toBe(0)
    const inbox = (name: string) => readFileSync(join(dir, `.agentchat/daemons/${name}/inbox.jsonl`), "utf8")
    await until("both messages", () => inbox("a").includes("from b") && inbox("b").includes("from a"))
    await until("a healthy daemon", () => run(dir, "status", "--name", "a").status === 0)
    expect(pidOf()).toBe(pid)
  },
)
