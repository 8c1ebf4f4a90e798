import { chmodSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { writeFileAtomic } from "../../src/base/files.js"

describe("writeFileAtomic", () => {
  const dir = mkdtempSync(join(tmpdir(), "agentchat-atomic-"))

  it("replaces the whole file and is private by default", () => {
    const path = join(dir, "a")
    writeFileSync(path, "old and longer")
    chmodSync(path, 0o644)
    writeFileAtomic(path, "new", { durable: true })
    expect(readFileSync(path, "utf8")).toBe("new")
    expect(statSync(path).mode & 0o777).toBe(0o600)
  })

  it("leaves only the old file when it fails", () => {
    const path = join(dir, "taken")
    writeFileAtomic(join(dir, "b"), "kept")
    expect(() => {
      writeFileAtomic(join(path, "missing"), "x")
    }).toThrow("ENOENT")
    expect(readdirSync(dir).filter((name) => name.endsWith(".tmp"))).toEqual([])
  })
})
