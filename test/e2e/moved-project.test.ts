import { cpSync, existsSync, mkdtempSync, readFileSync, renameSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { agentchat, must } from "../kit/command-server.js"
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

  it("has a copy that is of nobody: it neither stops the daemon nor speaks through it", async () => {
    const original = place(mkdtempSync(join(outer, "original-")))
    await must(original, "daemon", relay.url, "--background")
    const copied = place(`${original.dir}-copy`)
    cpSync(original.dir, copied.dir, { recursive: true })
    expect(await agentchat(copied, "daemon", "--stop")).toMatchObject({ status: 3 })
    expect(await agentchat(copied, ...line("from the copy"))).toMatchObject({ status: 3 })
    expect((await agentchat(copied, "status")).stdout).not.toContain("online")
    await must(original, ...line("from the original"))
    await must(original, "daemon", "--stop")
    expect((await agentchat(copied, "daemon", "--list", "--json")).stdout).toContain('"running":false')
  })

  it("is stopped when it is moved, and runs again in its new place without sending a line twice", async () => {
    const reader = place(mkdtempSync(join(outer, "reader-")))
    await must(reader, "daemon", relay.url, "--background", "--nick", "reader")
    const before = place(mkdtempSync(join(outer, "before-")))
    await must(before, "daemon", relay.url, "--background", "--nick", "writer")
    await must(before, ...line("one"))
    const record = readFileSync(before.file("default", "daemon.json"), "utf8")
    const { pid } = JSON.parse(record) as { pid: number }
    const after = place(`${before.dir}-after`)
    renameSync(before.dir, after.dir)
    await until("the end of its daemon", () => !existsSync(`/proc/${pid}/stat`))
    expect(existsSync(before.dir)).toBe(false)
    await must(after, "daemon", relay.url, "--background")
    await must(after, ...line("two"))
    await until("both lines", () => reader.contents("default").includes("two"))
    expect(reader.contents("default").slice(-2)).toEqual(["one", "two"])
  })
})
