import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { endAtExit } from "./children.mjs"

/**
 * A directory that is gone when the measurement is over.
 * @param {import("./children.mjs").Defer} defer - told how to end it
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
