import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, readdirSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, it, onTestFinished } from "vitest"
import type { PageState } from "../../src/web/shapes.js"
import { until } from "../kit/condition.js"

it("the demo fills every part of the page, and leaves nothing behind when it is interrupted", async () => {
  const folder = mkdtempSync(join(tmpdir(), "agentchat-demo-test-"))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const env = { ...process.env, HOME: folder, TMPDIR: folder }
  const args = ["dist/bin/agentchat.js", "demo", "--port", "0", "--home", join(folder, "home")]
  const demo = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "ignore"], env })
  onTestFinished(() => void demo.kill("SIGKILL"))
  const ended = once(demo, "exit")
  const [line] = (await once(demo.stdout, "data")) as [Buffer]
  const link = line.toString().trim()
  expect(readdirSync(folder)).toHaveLength(1)
  const { headers } = await fetch(link)
  const cookie = headers.getSetCookie()[0]?.split(";")[0] ?? ""
  const state = async () =>
    (await (await fetch(new URL("/api/state", link), { headers: { cookie } })).json()) as PageState
  const needs = await until("everything that needs a person", async () => {
    const kinds = (await state()).needs.map(({ kind }) => kind)
    return kinds.length === 6 && kinds
  })
  expect(needs.toSorted()).toEqual(["direct", "guard", "proposal", "task", "waiting", "wake"])
  const { deals, ratings, traffic, tasks } = await state()
  expect(deals.map(({ state: each }) => each).sort()).toEqual(["completed", "completed", "pending"])
  expect(ratings).toHaveLength(3)
  expect(traffic.length).toBeGreaterThan(3)
  expect(tasks.some(({ role, worker }) => role === "reviewer" && worker !== undefined)).toBe(true)
  demo.kill("SIGINT")
  expect(await ended).toEqual([130, null])
  expect(readdirSync(folder)).toEqual([])
})
