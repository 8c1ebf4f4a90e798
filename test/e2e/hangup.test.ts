import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { readFileSync, rmSync } from "node:fs"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { must } from "../kit/command-server.js"
import { until } from "../kit/condition.js"
import { programPath, RelayProcess, Workspace } from "../kit/program.js"
import { hasAbility } from "../kit/requires.js"

const hasPython = hasAbility("python3", () => spawnSync("python3", ["--version"]).status === 0)

/** Runs its arguments on a terminal, closes the terminal once they printed something, and exits with their status. */
const onTerminal = `
import os, pty, sys
pid, terminal = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
while b"\\n" not in os.read(terminal, 65536):
    pass
os.close(terminal)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`

describe("a hangup", { timeout: 120_000 }, () => {
  let relay: RelayProcess
  const workspace = new Workspace()

  beforeAll(async () => {
    relay = await RelayProcess.start()
  })
  afterAll(async () => {
    workspace.dispose()
    await relay.kill("SIGTERM")
  })

  const run = (...args: string[]) =>
    spawn("python3", ["-c", onTerminal, process.execPath, programPath, ...args], {
      cwd: workspace.dir,
      env: workspace.env,
      stdio: "ignore",
    })

  it.runIf(hasPython)("ends a daemon and a relay whose terminal is gone, and they say goodbye", async () => {
    // Not the exit status: Node itself may crash when it restores a terminal that is gone.
    await once(run("daemon", relay.url, "--name", "terminal"), "exit")
    expect(workspace.status("terminal")).toMatchObject({ state: "stopped", connected: false })
    const log = `${workspace.dir}/relay.log`
    await once(run("serve", "--port", "0", "--log", log), "exit")
    expect(readFileSync(log, "utf8")).toMatch(/ stopped\n$/)
  })

  it("neither ends a daemon without a terminal, nor keeps --stop from ending one whose socket is gone", async () => {
    await must(workspace, "daemon", relay.url, "--background")
    const record = readFileSync(workspace.file("default", "daemon.json"), "utf8")
    const { pid, socket } = JSON.parse(record) as { pid: number; socket: string }
    process.kill(pid, "SIGHUP")
    await must(workspace, "send", "#general", "still here")
    rmSync(socket)
    await must(workspace, "daemon", "--stop")
    await until("its end", () => workspace.status("default")?.["state"] === "stopped")
  })
})
