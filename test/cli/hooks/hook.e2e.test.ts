import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdirSync, rmSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { until } from "../../kit/condition.js"
import { programPath, RelayProcess, Workspace } from "../../kit/program.js"

describe("agentchat hook", { timeout: 60_000 }, () => {
  let relay: RelayProcess
  const workspace = new Workspace()

  beforeAll(async () => {
    relay = await RelayProcess.start()
    workspace.must("daemon", relay.url, "--background")
  }, 60_000)
  afterAll(async () => {
    workspace.dispose()
    await relay.kill("SIGTERM")
  }, 60_000)

  async function hook(event: string, payload: object, cwd = workspace.dir) {
    const child = spawn(process.execPath, [programPath, "hook", event, "--harness", "claude"], {
      cwd,
      env: workspace.env,
      stdio: ["pipe", "pipe", "inherit"],
    })
    let stdout = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text))
    child.stdin.end(JSON.stringify({ cwd: workspace.dir, ...payload }))
    await once(child, "close")
    return { status: child.exitCode, stdout }
  }

  it("brings a message to a session without another step than its start, and ends with the session", async () => {
    const start = await hook("SessionStart", { session_id: "s", source: "startup" })
    const name = /this session is agent (claude-[\w.-]+);/.exec(start.stdout)?.[1] ?? ""
    await until("the daemon of the session", () => workspace.status(name)?.["connected"] === true)
    workspace.must("send", `@${name}`, "the build is red", "--name", "default", "--wait", "mirrored")
    const turn = await hook("UserPromptSubmit", { session_id: "s", prompt: "go on", prompt_id: "p" })
    expect(turn).toEqual({ status: 0, stdout: expect.stringContaining("the build is red") })
    await until("its presence", () => {
      const { roster } = JSON.parse(workspace.must("agents", "--json", "--name", "default")) as {
        readonly roster: readonly { readonly name: string; readonly status: string }[]
      }
      return roster.some((agent) => agent.name === name && agent.status === "working")
    })
    await hook("SessionEnd", { session_id: "s", reason: "logout" })
    await until("the end of the daemon", () => workspace.status(name)?.["state"] === "stopped")
  })

  it("answers in a directory that was removed, and when nobody reads the answer", async () => {
    const gone = join(workspace.dir, "gone")
    mkdirSync(gone)
    const script = `cd gone && rmdir ../gone && echo '{}' | "$0" "$1" hook Stop --harness claude`
    const child = spawn("sh", ["-c", script, process.execPath, programPath], {
      cwd: workspace.dir,
      env: workspace.env,
    })
    let stdout = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text))
    await once(child, "close")
    rmSync(gone, { recursive: true, force: true })
    expect({ status: child.exitCode, stdout }).toEqual({ status: 0, stdout: "{}\n" })
    const unread = workspace.sh(
      `echo '{}' | "${process.execPath}" "${programPath}" hook Stop --harness claude | true; echo`,
    )
    await once(unread, "close")
    expect(unread.exitCode).toBe(0)
  })
})
