import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { ChatError } from "../../protocol/errors.js"
import type { RootPaths } from "./paths.js"

/**
 * Makes the `.agentchat` directory (0700) with a `.gitignore` of `*`, so that no key is ever committed.
 * What exists stays as it is.
 * @throws {ChatError} FILE_FAILED when the directory cannot be made
 */
export function ensureHome(paths: RootPaths): void {
  try {
    mkdirSync(paths.root, { recursive: true, mode: 0o700 })
    if (!existsSync(paths.gitignore)) writeFileSync(paths.gitignore, "*\n")
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    throw new ChatError("FILE_FAILED", `${paths.root}: cannot be made (${String(code)})`, { cause: error })
  }
}
