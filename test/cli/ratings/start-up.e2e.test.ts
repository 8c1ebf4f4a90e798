import { mkdirSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it, onTestFinished } from "vitest"
import { loadedFiles, packagesOf } from "../../kit/loaded-files.js"
import { Workspace } from "../../kit/program.js"
import { agent, completed } from "./receipts.js"

it("answers from the cache without loading code that verifies receipts", { timeout: 60_000 }, async () => {
  const workspace = new Workspace()
  onTestFinished(() => workspace.dispose())
  const home = join(workspace.dir, ".agentchat")
  mkdirSync(home)
  workspace.must("identity", "--generate")
  writeFileSync(join(home, "receipts.jsonl"), completed(agent(31), agent(32), 1))
  const first = await loadedFiles(workspace, "ratings", "--stats")
  expect(first.filter((url) => url.includes("/src/proposals/")).length).toBeGreaterThan(0)
  for (const args of [["--stats"], ["--leaderboard"], [agent(31).id]]) {
    const files = await loadedFiles(workspace, "ratings", ...args)
    expect(files.filter((url) => /\/src\/(proposals|identity|client)\//.test(url))).toEqual([])
    expect(packagesOf(files)).toEqual(["commander"])
    expect(files.length).toBeLessThanOrEqual(42)
  }
})
