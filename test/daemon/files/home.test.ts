import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { ensureHome, openHome } from "../../../src/daemon/files/home.js"
import { rootPaths } from "../../../src/daemon/files/paths.js"
import { serveSocket } from "../../../src/daemon/process/control-socket.js"
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

  it("accepts the socket of a relay in relay-data, and no other socket", async () => {
    const paths = rootPaths(join(temporaryDirectory(), ".agentchat"))
    ensureHome(paths)
    mkdirSync(paths.relayData, { mode: 0o700 })
    const uid = process.getuid?.() ?? 0
    const server = await serveSocket(join(paths.relayData, "store.sock"), () => Promise.resolve({ ok: true }))
    onTestFinished(() => void server.close())
    expect(() => openHome(paths.root, uid)).not.toThrow()
    const other = await serveSocket(join(paths.relayData, "store.db"), () => Promise.resolve({ ok: true }))
    onTestFinished(() => void other.close())
    expect(() => openHome(paths.root, uid)).toThrow("is a socket or device")
  })

  it("reports FILE_FAILED when a file is in the way", () => {
    const dir = temporaryDirectory()
    writeFileSync(join(dir, "file"), "")
    const paths = rootPaths(join(dir, "file", ".agentchat"))
    expect(() => ensureHome(paths)).toThrow(expect.objectContaining({ code: "FILE_FAILED" }))
    expect(existsSync(paths.root)).toBe(false)
  })
})
