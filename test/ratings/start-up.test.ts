import { spawnSync } from "node:child_process"
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it, onTestFinished } from "vitest"
import { programPath, Workspace } from "../kit/program.js"
import { temporaryDirectory } from "../kit/temporary.js"
import { agent, completed } from "./receipts.js"

/** Files below dist/ and node_modules/ that Node loads to run a command. */
function loadedFiles(workspace: Workspace, ...args: string[]): string[] {
  const dir = temporaryDirectory()
  const { status, stderr } = spawnSync(process.execPath, [programPath, ...args], {
    cwd: workspace.dir,
    env: { ...workspace.env, NODE_V8_COVERAGE: dir },
    encoding: "utf8",
  })
  if (status !== 0) throw new Error(`agentchat ${args.join(" ")}: exit ${String(status)} ${stderr}`)
  return readdirSync(dir).flatMap((name) => {
    const report = JSON.parse(readFileSync(join(dir, name), "utf8")) as { result: { url: string }[] }
    return report.result.map(({ url }) => url).filter((url) => url.startsWith("file:"))
  })
}

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
    expect(new Set(files.flatMap((url) => /node_modules\/([^/]+)/.exec(url)?.[1] ?? []))).toEqual(
      new Set(["commander"]),
    )
    expect(files.length).toBeLessThanOrEqual(42)
  }
})
