import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { endAtExit } from "./children.mjs"

/**
 * Makes a directory that is removed after the measurement.
 * @param {import("./children.mjs").Defer} defer - registers its removal
 */
export function makeDirectory(defer) {
  const directory = mkdtempSync(join(tmpdir(), "agentchat-bench-"))
  const remove = () => rmSync(directory, { recursive: true, force: true, maxRetries: 5 })
  const forget = endAtExit(remove)
  defer(() => {
    forget()
    remove()
  })
  return directory
}
