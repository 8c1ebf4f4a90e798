import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { onTestFinished } from "vitest"

/** Makes a directory that is removed when the running test ends. */
export function temporaryDirectory(): string {
  const dir = mkdtempSync(join(tmpdir(), "agentchat-test-"))
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }))
  return dir
}
