import { accessSync, constants, realpathSync } from "node:fs"
import { delimiter, join, relative } from "node:path"
import { shellWord } from "../base/command-hint.js"
import type { System } from "./context.js"

/** Returns the shell command that calls this program from the working directory. */
export function ownInvocation({ searchPath, scriptPath, cwd }: System): string {
  const own = realPath(scriptPath)
  const found = searchPath
    .split(delimiter)
    .map((folder) => join(folder, "agentchat"))
    .find(isExecutable)
  if (found !== undefined && realPath(found) === own) return "agentchat"
  return `node ${shellWord(relative(cwd, scriptPath))}`
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return path
  }
}
