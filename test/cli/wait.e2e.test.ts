import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { dirname } from "node:path"
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { agentchat, must } from "../kit/command-server.js"
import { until } from "../kit/condition.js"
import { programPath, RelayProcess, Workspace } from "../kit/program.js"

/** A command that runs until a test ends it. */
function start(workspace: Workspace, ...args: string[]) {
  const child = spawn(process.execPath, [programPath, ...args], {
    cwd: workspace.dir,
    env: workspace.env,
    stdio: ["ignore", "pipe", "pipe"],
  })
  onTestFinished(() => void child.kill("SIGKILL"))
  const seen = { stdout: "", stderr: "" }
  child.stdout.setEncoding("utf8").on("data", (text: string) => (seen.stdout += text))
  child.stderr.setEncoding("utf8").on("data", (text: string) => (seen.stderr += text))
  const ended = once(child, "close").then(([status]) => status as number | null)
  return { child, seen, ended }
}

async function kill(child: ChildProcess, signal: NodeJS.Signals): Promise<void> {
  const ended = once(child, "exit")
  child.kill(signal)
  await ended
}

describe("a waiting command", { timeout: 60_000 }, () => {
  let relay: RelayProcess
  let reader = 0
  const workspace = new Workspace()
  const record = (kind: string, name: string) => workspace.file("default", `waits/${kind}-${name}.json`)
  /** A reader that has seen everything so far. */
  const newReader = async () => {
    const name = `reader${++reader}`
    const seq = workspace.inbox("default").at(-1)?.seq ?? 0
    if (seq > 0) await must(workspace, "inbox", "--reader", name, "--ack", String(seq))
    return name
  }
  const say = (text: string) => must(workspace, "send", relay.url, "#general", text)
  const waitUntilClaimed = (kind: string, name: string) =>
    until("it waits", () => existsSync(record(kind, name)))

  beforeAll(async () => {
    relay = await RelayProcess.start("--rate", "1000/s", "--burst", "1000")
    await must(workspace, "daemon", relay.url, "--background")
  }, 60_000)
  afterAll(async () => {
    workspace.dispose()
    await relay.kill("SIGTERM")
  }, 60_000)

  it("refuses a second wait for its reader by the pid of the first, and none for another reader", async () => {
    const name = await newReader()
    const first = start(workspace, "wait", "--reader", name)
    await waitUntilClaimed("wait", name)
    const second = await agentchat(workspace, "wait", "--reader", name)
    expect(second.status).toBe(10)
    expect(second.stderr).toContain(`process ${first.child.pid} runs agentchat wait for reader ${name}`)
    expect(
      (await agentchat(workspace, "wait", "--reader", `${name}b`, "--timeout", "0", "--dm")).status,
    ).toBe(4)
    await say("for the first")
    expect(await first.ended).toBe(0)
    expect(first.seen.stdout).toContain("for the first")
    expect(existsSync(record("wait", name))).toBe(false)
  })

  it("is replaced after a kill -9, and what it did not print comes to the next", async () => {
    const name = await newReader()
    const killed = start(workspace, "wait", "--reader", name)
    await waitUntilClaimed("wait", name)
    await kill(killed.child, "SIGKILL")
    expect(existsSync(record("wait", name))).toBe(true)
    await say("after the kill")
    const next = start(workspace, "wait", "--reader", name)
    expect(await next.ended).toBe(0)
    expect(next.seen.stdout).toContain("after the kill")
  })

  it("takes over the record of another process that has the pid now", async () => {
    const name = await newReader()
    const path = record("wait", name)
    await agentchat(workspace, "wait", "--reader", name, "--timeout", "0")
    mkdirSync(dirname(path), { recursive: true })
    const daemon = JSON.parse(readFileSync(workspace.file("default", "daemon.json"), "utf8")) as object
    writeFileSync(path, JSON.stringify({ ...daemon, pid: process.pid }))
    expect((await agentchat(workspace, "wait", "--reader", name, "--timeout", "0")).status).toBe(4)
    writeFileSync(path, "not a record")
    expect((await agentchat(workspace, "wait", "--reader", name, "--timeout", "0")).status).toBe(4)
  })

  it.each([
    ["SIGTERM", 143],
    ["SIGINT", 130],
  ] as const)("ends on %s with %i, leaves no record and marks nothing as seen", async (signal, status) => {
    const name = await newReader()
    const waiting = start(workspace, "wait", "--dm", "--reader", name)
    await waitUntilClaimed("wait", name)
    // The second look of the wait comes after its signals are handled.
    await say(`unread ${signal}`)
    await until("the line", () => workspace.contents("default").includes(`unread ${signal}`))
    await kill(waiting.child, signal)
    expect(await waiting.ended).toBe(status)
    expect(existsSync(record("wait", name))).toBe(false)
    expect(await must(workspace, "wait", "--reader", name)).toContain(`unread ${signal}`)
  })

  it("says once that the daemon is down, goes on waiting, and gets what comes later", async () => {
    const other = new Workspace()
    onTestFinished(() => other.dispose())
    await must(other, "daemon", relay.url, "--background")
    await must(other, "daemon", "--stop")
    const waiting = start(other, "wait")
    await until("it says so", () => waiting.seen.stderr.includes("is not running"))
    await must(other, "daemon", relay.url, "--background")
    await say("after the start")
    expect(await waiting.ended).toBe(0)
    expect(waiting.seen.stdout).toContain("after the start")
    expect(waiting.seen.stderr.match(/waiting for it/g)).toHaveLength(1)
  })

  it("loses nothing if nobody reads its output", async () => {
    const name = await newReader()
    const child = spawn(process.execPath, [programPath, "wait", "--reader", name], {
      cwd: workspace.dir,
      env: workspace.env,
      stdio: ["ignore", "pipe", "ignore"],
    })
    child.stdout.destroy()
    const ended = once(child, "exit")
    await say("into a closed pipe")
    await ended
    expect(await must(workspace, "wait", "--reader", name)).toContain("into a closed pipe")
  })

  it("prints one line per message without its text when it watches, and marks nothing as seen", async () => {
    const name = await newReader()
    const watching = start(workspace, "watch", "--reader", name)
    await waitUntilClaimed("watch", name)
    await say("<secret> text")
    await until("its line", () => watching.seen.stdout.includes("in #general"))
    expect(watching.seen.stdout).toMatch(
      /^agentchat: line \d+ type MSG from @\S+ (un)?verified name "\S+" in #general\n$/,
    )
    const second = await agentchat(workspace, "watch", "--reader", name)
    expect(second.status).toBe(10)
    await kill(watching.child, "SIGTERM")
    expect(await must(workspace, "wait", "--reader", name)).toContain("<secret> text")
  })

  it("ends with its parent when it watches, also if that is killed", async () => {
    const name = await newReader()
    const parent = spawn(
      process.execPath,
      [
        "-e",
        `require("node:child_process").spawn(process.execPath, ${JSON.stringify([programPath, "watch", "--reader", name])}, { stdio: "ignore" }); setInterval(() => {}, 1000)`,
      ],
      { cwd: workspace.dir, env: workspace.env, stdio: "ignore" },
    )
    await waitUntilClaimed("watch", name)
    await kill(parent, "SIGKILL")
    await until("it has ended", () => !existsSync(record("watch", name)))
  })

  it("counts a flood in one line when it watches", async () => {
    const name = await newReader()
    const watching = start(workspace, "watch", "--reader", name)
    await waitUntilClaimed("watch", name)
    const lines = Array.from({ length: 200 }, (_, i) => `{"to":"#general","content":"flood ${i}"}`)
    const other = new Workspace()
    onTestFinished(() => other.dispose())
    await must(other, "daemon", relay.url, "--background", "--name", "flooder")
    writeFileSync(other.file("flooder", "outbox.jsonl"), `${lines.join("\n")}\n`, { flag: "a" })
    await until("all came", () => workspace.contents("default").includes("flood 30"))
    await until("they are counted", () => /\d+ unread lines, the newest is/.test(watching.seen.stdout))
    expect(watching.seen.stdout.split("\n").length).toBeLessThan(30)
  })
})
