import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it, onTestFinished } from "vitest"
import { loadedFiles, packagesOf } from "../kit/loaded-files.js"
import { Workspace } from "../kit/program.js"
import { agent, completed } from "./receipts.js"

it("an answer from the cache loads nothing that verifies", { timeout: 60_000 }, () => {
  const workspace = new Workspace()
  onTestFinished(() => workspace.dispose())
  const home = join(workspace.dir, ".agentchat")
  mkdirSync(home)
  workspace.must("identity", "--generate")
  writeFileSync(join(home, "receipts.jsonl"), completed(agent(31), agent(32), 1))
  const loads = (args: readonly string[], part: string) =>
    loadedFiles(workspace, "ratings", ...args).filter((url) => url.includes(part)).length
  expect(loads(["--stats"], "/src/proposals/")).toBeGreaterThan(0)
  for (const args of [["--stats"], ["--leaderboard"], [agent(31).id]]) {
    const files = loadedFiles(workspace, "ratings", ...args)
    expect(files.filter((url) => /\/src\/(proposals|identity|client)\//.test(url))).toEqual([])
    expect(packagesOf(files)).toEqual(["commander"])
    expect(files.length).toBeLessThanOrEqual(42)
  }
})
