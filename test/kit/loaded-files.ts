import { spawnSync } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { programPath, type Workspace } from "./program.js"
import { temporaryDirectory } from "./temporary.js"

/** Lists the files that Node loads to run a command: a measure of start-up cost that is the same on every machine. */
export function loadedFiles(workspace: Workspace, ...args: string[]): string[] {
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

/** Returns the npm packages among them. */
export function packagesOf(files: readonly string[]): string[] {
  return [
    ...new Set(files.flatMap((url) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? [])),
  ].sort()
}
