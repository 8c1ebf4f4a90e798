import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { filesLoadedWith, loadedFiles, packagesOf } from "../kit/loaded-files.js"
import { RelayProcess, Workspace } from "../kit/program.js"

describe("starting a command", { timeout: 60_000 }, () => {
  let relay: RelayProcess
  const workspace = new Workspace()

  beforeAll(async () => {
    relay = await RelayProcess.start()
    workspace.must("daemon", relay.url, "--background")
    workspace.must(
      "send",
      relay.url,
      String(workspace.status("default")?.["agent_id"]),
      "unread",
      "--wait",
      "mirrored",
    )
  }, 60_000)
  afterAll(async () => {
    workspace.dispose()
    await relay.kill("SIGTERM")
  }, 60_000)

  it.concurrent("--version loads no parser", async () => {
    const files = await loadedFiles(workspace, "--version")
    expect(packagesOf(files)).toEqual([])
    expect(files.length).toBeLessThanOrEqual(8)
  })

  it.concurrent.each([
    ["reading the inbox", ["inbox", "--last", "1"]],
    ["waiting for what is unread already", ["wait"]],
    ["saying who one is", ["whoami"]],
    ["sending through the daemon", ["send", "#general", "hello"]],
    ["showing the status", ["status"]],
    ["listing channels through the daemon", ["channels"]],
    ["listing waiting messages through the daemon", ["pending"]],
    ["listing daemons", ["daemon", "--list"]],
    ["help", ["help", "serve"]],
  ])("loads the parser and no other package for %s", async (_, args) => {
    const files = await loadedFiles(workspace, ...args)
    expect(packagesOf(files)).toEqual(["commander"])
    expect(files.length).toBeLessThanOrEqual(47)
  })

  it.concurrent("loads few files to answer a hook", async () => {
    const env = { ...workspace.env, AGENTCHAT_NAME: "default" }
    const payload = JSON.stringify({ session_id: "s", cwd: workspace.dir, prompt: "go on" })
    const place = Object.assign(Object.create(workspace) as Workspace, { env })
    const files = await filesLoadedWith(payload, place, "hook", "UserPromptSubmit", "--harness", "claude")
    expect(packagesOf(files)).toEqual(["commander"])
    expect(files.length).toBeLessThanOrEqual(56)
  })

  it.concurrent("send on a session of its own loads no server, schema or signature library", async () => {
    const files = await loadedFiles(workspace, "send", relay.url, "#general", "hello")
    expect(packagesOf(files)).toEqual(["commander", "ws"])
    expect(files.filter((url) => url.includes("/src/server/"))).toEqual([])
  })
})
