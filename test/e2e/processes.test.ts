import { spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { until } from "../kit/condition.js"
import { programPath, RelayProcess, Workspace } from "../kit/program.js"

describe("daemon processes", { timeout: 60_000 }, () => {
  let relay: RelayProcess
  let work: Workspace

  beforeEach(async () => {
    relay = await RelayProcess.start()
    work = new Workspace()
  })
  afterEach(async () => {
    work.dispose()
    await relay.kill()
  })

  const start = (name: string, ...more: string[]) =>
    work.must("daemon", relay.url, "--background", "--name", name, ...more)
  const pidOf = (name: string) => work.status(name)?.["pid"] as number

  it("host several identities in one process, unless isolated", () => {
    start("a")
    start("b")
    start("c", "--isolate")
    expect(pidOf("b")).toBe(pidOf("a"))
    expect(pidOf("c")).not.toBe(pidOf("a"))
    const list = JSON.parse(work.must("daemon", "--list", "--json")) as Record<string, unknown>[]
    expect(list.map(({ name, running }) => ({ name, running }))).toEqual([
      { name: "a", running: true },
      { name: "b", running: true },
      { name: "c", running: true },
    ])
    for (const entry of list) {
      expect(entry["agent_id"]).toMatch(/^@[0-9a-f]{16}$/)
      expect(entry["server"]).toBe(relay.url)
      expect(entry["pid"]).toBeTypeOf("number")
    }
  })

  it("stop one daemon and leave the others", async () => {
    start("a")
    start("b")
    work.must("daemon", "--stop", "--name", "a")
    expect(work.run("status", "--name", "a").status).toBe(3)
    expect(JSON.parse(work.must("status", "--name", "b", "--json"))).toMatchObject({
      name: "b",
      connected: true,
    })
    const pid = pidOf("b")
    expect(work.must("daemon", "--stop-all")).toBeDefined()
    await until("the end of the process", () => !existsSync(`/proc/${pid}`))
  })

  it("give a name to exactly one of two that start at once", async () => {
    const children = [0, 1].map(() =>
      spawn(process.execPath, [programPath, "daemon", relay.url, "--background", "--name", "a"], {
        cwd: work.dir,
        env: work.env,
        stdio: "ignore",
      }),
    )
    const exits = await Promise.all(children.map(async (child) => (await once(child, "exit"))[0] as number))
    expect(exits.sort()).toEqual([0, 10])
    expect(work.run("daemon", relay.url, "--background", "--name", "a").status).toBe(10)
  })

  it("start over a pid file whose pid now belongs to somebody else", () => {
    start("a")
    const record = JSON.parse(readFileSync(work.file("a", "daemon.pid"), "utf8")) as Record<string, unknown>
    work.must("daemon", "--stop", "--name", "a")
    writeFileSync(work.file("a", "daemon.pid"), JSON.stringify({ ...record, pid: process.pid }))
    start("a")
    expect(work.status("a")).toMatchObject({ connected: true })
  })

  it("are told of as gone when they were killed", async () => {
    start("a")
    const pid = pidOf("a")
    process.kill(pid, "SIGKILL")
    await until("the end of the process", () => !existsSync(`/proc/${pid}/exe`))
    const { status, stdout } = work.run("status", "--name", "a", "--json")
    expect(status).toBe(3)
    expect(JSON.parse(stdout)).toMatchObject({ connected: false })
  })

  it("end with a reason, not in a fight, when the identity connects elsewhere", async () => {
    start("a")
    const other = new Workspace()
    const copy = join(other.dir, "copied.json")
    writeFileSync(copy, readFileSync(work.file("a", "identity.json")), { mode: 0o600 })
    other.must("daemon", relay.url, "--background", "--name", "a", "--identity", copy)
    await until("the displacement", () => work.status("a")?.["state"] === "stopped")
    expect(work.status("a")).toMatchObject({ connected: false, reason: { code: "SESSION_DISPLACED" } })
    expect(other.status("a")).toMatchObject({ connected: true })
    other.dispose()
  })

  it("refuse names that could leave their directory", () => {
    for (const name of ["../x", "a/b", "", "a".repeat(65)]) {
      expect(work.run("daemon", relay.url, "--background", "--name", name).status).toBe(2)
    }
    expect(existsSync(join(work.dir, ".agentchat", "daemons"))).toBe(false)
  })

  it("join a channel again after the relay restarted, and find what was said before they came", async () => {
    start("a", "--channels", "#den")
    await relay.kill()
    await relay.restart()
    await until("the return", () => work.status("a")?.["connected"] === true, 30_000)
    const other = new Workspace()
    other.must("send", relay.url, "#den", "welcome back")
    await until("the message", () => work.contents("a").includes("welcome back"))
    other.dispose()
  })

  it("keep an invite-only channel closed when the relay restarts, and enter no open one of its name", async () => {
    start("a")
    work.must("create", "#den", "--private", "--name", "a")
    await until("inside", () => (work.status("a")?.["channels"] as string[]).includes("#den"))
    await relay.kill()
    await relay.restart()
    await until("the return", () => work.status("a")?.["connected"] === true, 30_000)
    const other = new Workspace()
    expect(other.run("channels", relay.url, "--json").stdout).not.toContain("#den")
    work.must("daemon", "--stop", "--name", "a")
    await relay.kill()
    await relay.restart()
    other.must("daemon", relay.url, "--background", "--name", "b", "--channels", "#den")
    start("a")
    await until("the warning", () =>
      work.inbox("a").some(({ message }) => String(message).includes("open to all now")),
    )
    expect(work.status("a")?.["channels"]).not.toContain("#den")
    other.dispose()
  })

  it("run without a key when told to be ephemeral", () => {
    start("a", "--ephemeral")
    expect(work.status("a")?.["agent_id"]).toMatch(/^@[a-z2-7]{8}$/)
    expect(existsSync(work.file("a", "identity.json"))).toBe(false)
  })

  it("end with the process they are in the foreground of", async () => {
    const child = spawn(process.execPath, [programPath, "daemon", relay.url, "--name", "a"], {
      cwd: work.dir,
      env: work.env,
      stdio: "ignore",
    })
    await until("the session", () => work.status("a")?.["connected"] === true)
    child.kill("SIGINT")
    await once(child, "exit")
    expect(work.status("a")).toMatchObject({ state: "stopped", connected: false })
    expect(existsSync(work.file("a", "daemon.pid"))).toBe(false)
  })
})

describe("a disk that refuses", { timeout: 60_000 }, () => {
  it.runIf(process.platform === "linux" && process.getuid?.() === 0)(
    "is told of, loses nothing, and is forgotten once it is fixed",
    async () => {
      const relay = await RelayProcess.start("--rate", "10000/s", "--burst", "10000")
      const sender = new Workspace()
      const receiver = new Workspace()
      const home = join(receiver.dir, ".agentchat")
      mkdirSync(home)
      const mount = receiver.sh(`mount -t tmpfs -o size=512k,mode=700 agentchat-test ${home}`)
      expect((await once(mount, "exit"))[0]).toBe(0)
      try {
        receiver.must("daemon", relay.url, "--background", "--name", "b")
        sender.must("daemon", relay.url, "--background", "--name", "a")
        const filler = join(home, "filler")
        await once(receiver.sh(`dd if=/dev/zero of=${filler} bs=4096 2>/dev/null`), "exit")
        const messages = Array.from({ length: 40 }, (_, index) => `m-${index}`)
        for (const content of messages) sender.must("send", "#general", content, "--name", "a")
        await until("the problem", () => receiver.run("status", "--name", "b").stdout.includes("inbox"))
        rmSync(filler)
        await until("the recovery", () => receiver.contents("b").length === 40, 30_000)
        expect(receiver.contents("b")).toEqual(messages)
        await until("the all-clear", () => (receiver.status("b")?.["problems"] as unknown[]).length === 0)
      } finally {
        receiver.run("daemon", "--stop-all")
        await once(receiver.sh(`umount -l ${home}`), "exit")
        receiver.dispose()
        sender.dispose()
        await relay.kill()
      }
    },
  )
})
