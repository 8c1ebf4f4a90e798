import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { ensureHome } from "../../../src/daemon/files/home.js"
import { rootPaths } from "../../../src/daemon/files/paths.js"
import { temporaryDirectory } from "../../kit/temporary.js"

describe("ensureHome", () => {
  it("creates a directory that only its owner can read and git ignores", () => {
    const paths = rootPaths(join(temporaryDirectory(), "deep", ".agentchat"))
    ensureHome(paths)
    expect(statSync(paths.root).mode & 0o777).toBe(0o700)
    expect(readFileSync(paths.gitignore, "utf8")).toBe("*\n")
  })

  it("leaves existing files as they are", () => {
    const paths = rootPaths(join(temporaryDirectory(), ".agentchat"))
    ensureHome(paths)
    writeFileSync(paths.gitignore, "mine\n")
    ensureHome(paths)
    expect(readFileSync(paths.gitignore, "utf8")).toBe("mine\n")
  })

  it("reports FILE_FAILED when a file is in the way", () => {
    const dir = temporaryDirectory()
    writeFileSync(join(dir, "file"), "")
    const paths = rootPaths(join(dir, "file", ".agentchat"))
    expect(() => ensureHome(paths)).toThrow(expect.objectContaining({ code: "FILE_FAILED" }))
    expect(existsSync(paths.root)).toBe(false)
  })
})
