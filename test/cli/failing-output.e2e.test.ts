import { spawn, spawnSync } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { programPath, RelayProcess, Workspace } from "../kit/program.js"
import { hasAbility } from "../kit/requires.js"

const hasFullDevice = hasAbility("/dev/full", () => existsSync("/dev/full"))

/** Runs a command whose standard output is `output`. */
function run(workspace: Workspace, redirection: string, ...args: string[]) {
  const script = `node "$0" "$@" ${redirection}`
  const { status, stderr } = spawnSync("sh", ["-c", script, programPath, ...args], {
    cwd: workspace.dir,
    env: workspace.env,
    encoding: "utf8",
  })
  return { status, stderr }
}

describe.skipIf(!hasFullDevice)("a command whose standard output is full", { timeout: 120_000 }, () => {
  const workspace = new Workspace()
  let relay: RelayProcess
  beforeAll(async () => {
    relay = await RelayProcess.startLogging("/dev/full")
  }, 60_000)
  afterAll(async () => {
    await relay.kill()
    workspace.dispose()
  }, 60_000)

  const full = "agentchat: standard output cannot be written (ENOSPC)\n"

  it("has the exit status of its message and says so in one line, if it sends one", () => {
    const sent = run(workspace, "> /dev/full", "send", relay.url, "#general", "hi")
    expect(sent.status).toBe(0)
    expect(sent.stderr).toBe(`agentchat: nobody else is in #general now\n${full}`)
    const refused = run(workspace, "> /dev/full", "send", relay.url, "@nobody", "hi", "--json")
    expect(refused.status).toBe(3)
    expect(refused.stderr).toContain(full)
    expect(run(workspace, "> /dev/full 2> /dev/full", "send", relay.url, "#general", "hi").status).toBe(0)
    expect(run(workspace, "| true", "send", relay.url, "#general", "hi").stderr).not.toContain("Error")
  })

  it("fails with one line, if it only prints", () => {
    for (const args of [["agents", relay.url], ["channels", relay.url, "--json"], ["--help"], ["version"]]) {
      expect(run(workspace, "> /dev/full", ...args)).toEqual({ status: 1, stderr: full })
    }
  })

  it("goes on, if it is a relay, whose log is full too", () => {
    workspace.must("channels", relay.url)
  })
})

describe("the log of a relay that up started", { timeout: 120_000 }, () => {
  it("is moved to relay.log.1 at 1 MiB", async () => {
    const workspace = new Workspace()
    const log = join(workspace.dir, "relay.log")
    writeFileSync(log, `${"x".repeat(1024 * 1024)}\n`)
    const relay = await RelayProcess.start("--log", log)
    workspace.must("channels", relay.url)
    await relay.kill("SIGTERM")
    expect(statSync(`${log}.1`).size).toBe(1024 * 1024 + 1)
    expect(readFileSync(log, "utf8")).toMatch(/listening: .*\n.*came: .*\n.*left: .*\n.*stopped\n$/s)
    workspace.dispose()
  })
})

describe("a command that prints into a pipe that nobody reads", { timeout: 60_000 }, () => {
  it("ends at the first SIGTERM and marks nothing as seen, if it follows an inbox", async () => {
    const workspace = new Workspace()
    onTestFinished(() => workspace.dispose())
    const daemon = join(workspace.dir, ".agentchat/daemons/bob")
    mkdirSync(daemon, { recursive: true, mode: 0o700 })
    const message = { type: "MSG", from: "@0123456789abcdef", name: "ann", to: "#general", ts: 1 }
    const lines = Array.from({ length: 20 }, (_, n) =>
      JSON.stringify({
        seq: n + 1,
        ...message,
        msg_id: `0123456789abcdef.${n}`,
        content: "x".repeat(100_000),
      }),
    )
    writeFileSync(join(daemon, "inbox.jsonl"), `${lines.join("\n")}\n`)
    const words = [programPath, "inbox", "--follow", "--json", "--name", "bob", "--reader", "r"]
    const child = spawn(process.execPath, words, {
      cwd: workspace.dir,
      env: workspace.env,
      stdio: ["ignore", "pipe", "ignore"],
    })
    const ended = once(child, "exit")
    await once(child.stdout, "readable")
    child.kill("SIGTERM")
    expect((await ended)[0]).toBe(143)
    expect(existsSync(join(daemon, "cursors/r.json"))).toBe(false)
    child.stdout.destroy()
  })
})
