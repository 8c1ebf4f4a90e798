import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { until } from "../kit/condition.js"
import { RelayProcess, Workspace } from "../kit/program.js"

const line = (content: string) => ["send", "#general", content]

describe("a project whose daemon runs", { timeout: 120_000 }, () => {
  let relay: RelayProcess
  const places: Workspace[] = []
  const outer = mkdtempSync(join(tmpdir(), "agentchat-moved-"))
  const place = (dir: string) => {
    const workspace = new Workspace(dir)
    places.push(workspace)
    return workspace
  }

  beforeAll(async () => {
    relay = await RelayProcess.start()
  })
  afterAll(async () => {
    for (const workspace of places) workspace.dispose()
    rmSync(outer, { recursive: true, force: true })
    await relay.kill("SIGTERM")
  })

  it("has a copy that is of nobody: it neither stops the daemon nor speaks through it", () => {
    const original = place(mkdtempSync(join(outer, "original-")))
    original.must("daemon", relay.url, "--background")
    const copied = place(`${original.dir}-copy`)
    cpSync(original.dir, copied.dir, { recursive: true })
    expect(copied.run("daemon", "--stop")).toMatchObject({ status: 3 })
    expect(copied.run(...line("from the copy"))).toMatchObject({ status: 3 })
    expect(copied.run("status").stdout).not.toContain("online")
    original.must(...line("from the original"))
    original.must("daemon", "--stop")
    expect(copied.run("daemon", "--list", "--json").stdout).toContain('"running":false')
  })

  it("is stopped when it is moved, and runs again in its new place without sending a line twice", async () => {
    const reader = place(mkdtempSync(join(outer, "reader-")))
    reader.must("daemon", relay.url, "--background", "--nick", "reader")
    const before = place(mkdtempSync(join(outer, "before-")))
    before.must("daemon", relay.url, "--background", "--nick", "writer")
    before.must(...line("one"))
    const record = readFileSync(before.file("default", "daemon.json"), "utf8")
    const { pid } = JSON.parse(record) as { pid: number }
    const after = place(`${before.dir}-after`)
    renameSync(before.dir, after.dir)
    await until("the end of its daemon", () => !existsSync(`/proc/${pid}/stat`))
    expect(existsSync(before.dir)).toBe(false)
    after.must("daemon", relay.url, "--background")
    after.must(...line("two"))
    await until("both lines", () => reader.contents("default").includes("two"))
    expect(reader.contents("default").slice(-2)).toEqual(["one", "two"])
  })
})
