import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { programPath, type Workspace } from "./program.js"

/** Returns the files that Node loads to run a command. Unlike the start-up time, they are the same on every machine. */
export function loadedFiles(workspace: Workspace, ...args: string[]): Promise<string[]> {
  return filesLoadedWith("", workspace, ...args)
}

/** Does the same with a text on standard input. */
export async function filesLoadedWith(
  input: string,
  workspace: Workspace,
  ...args: string[]
): Promise<string[]> {
  const dir = mkdtempSync(join(tmpdir(), "agentchat-coverage-"))
  try {
    const child = spawn(process.execPath, [programPath, ...args], {
      cwd: workspace.dir,
      env: { ...workspace.env, NODE_V8_COVERAGE: dir },
      stdio: ["pipe", "ignore", "pipe"],
    })
    child.stdin.on("error", () => {})
    child.stdin.end(input)
    let stderr = ""
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text))
    const [status] = (await once(child, "close")) as [number | null]
    if (status !== 0) throw new Error(`agentchat ${args.join(" ")}: exit ${String(status)} ${stderr}`)
    return readdirSync(dir).flatMap((name) => {
      const report = JSON.parse(readFileSync(join(dir, name), "utf8")) as { result: { url: string }[] }
      return report.result.map(({ url }) => url).filter((url) => url.startsWith("file:"))
    })
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

/** Returns the names of the packages of node_modules among the files. */
export function packagesOf(files: readonly string[]): string[] {
  return [
    ...new Set(files.flatMap((url) => /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1] ?? [])),
  ].sort()
}
