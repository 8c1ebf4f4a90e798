import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { loadedFiles, packagesOf } from "../kit/loaded-files.js"
import { RelayProcess, Workspace } from "../kit/program.js"

describe("starting a command loads only what it uses:", { timeout: 60_000 }, () => {
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

  it("no parser for the version", () => {
    const files = loadedFiles(workspace, "--version")
    expect(packagesOf(files)).toEqual([])
    expect(files.length).toBeLessThanOrEqual(8)
  })

  it.each([
    ["the inbox", ["inbox", "--last", "1"]],
    ["sending through the daemon", ["send", "#general", "hello"]],
    ["the status", ["status"]],
    ["the channels, asked through the daemon", ["channels"]],
    ["what waits, asked through the daemon", ["pending"]],
    ["the list of daemons", ["daemon", "--list"]],
    ["help", ["help", "serve"]],
  ])("the parser and no other package for %s", (_, args) => {
    const files = loadedFiles(workspace, ...args)
    expect(packagesOf(files)).toEqual(["commander"])
    expect(files.length).toBeLessThanOrEqual(43)
  })

  it("no server, schema or signature library to send over a session of one's own", () => {
    const files = loadedFiles(workspace, "send", relay.url, "#general", "hello")
    expect(packagesOf(files)).toEqual(["commander", "ws"])
    expect(files.filter((url) => url.includes("/src/server/"))).toEqual([])
  })
})
