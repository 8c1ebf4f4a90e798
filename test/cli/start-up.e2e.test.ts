import { mkdirSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { must } from "../kit/command-server.js"
import { filesLoadedWith, loadedFiles, packagesOf } from "../kit/loaded-files.js"
import { RelayProcess, Workspace } from "../kit/program.js"

describe("starting a command", { timeout: 60_000 }, () => {
  let relay: RelayProcess
  const workspace = new Workspace()

  beforeAll(async () => {
    relay = await RelayProcess.start()
    await must(workspace, "daemon", relay.url, "--background")
    await must(
      workspace,
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

  it.concurrent("loads few files and no parser to answer a hook", async () => {
    const place = new Workspace()
    mkdirSync(join(place.dir, ".agentchat"), { mode: 0o700 })
    const payload = JSON.stringify({ session_id: "s", cwd: place.dir, prompt: "go on" })
    const files = await filesLoadedWith(payload, place, "hook", "UserPromptSubmit", "--harness", "claude")
    place.dispose()
    expect(packagesOf(files)).toEqual([])
    expect(files.length).toBeLessThanOrEqual(47)
  })

  it.concurrent("send on a session of its own loads no server, schema or signature library", async () => {
    const files = await loadedFiles(workspace, "send", relay.url, "#general", "hello")
    expect(packagesOf(files)).toEqual(["commander", "ws"])
    expect(files.filter((url) => url.includes("/src/server/"))).toEqual([])
  })
})
