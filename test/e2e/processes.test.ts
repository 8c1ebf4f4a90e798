import { spawn } from "node:child_process"
import { once } from "node:events"
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { agentchat, must } from "../kit/command-server.js"
import { until } from "../kit/condition.js"
import { killDaemon, programPath, RelayProcess, Workspace } from "../kit/program.js"

async function dispose(work: Workspace): Promise<void> {
  if (existsSync(join(work.dir, ".agentchat"))) await agentchat(work, "daemon", "--stop-all")
  rmSync(work.dir, { recursive: true, force: true })
}

const start = (work: Workspace, relay: RelayProcess, name: string, ...more: string[]) =>
  must(work, "daemon", relay.url, "--background", "--name", name, ...more)
const pidOf = (work: Workspace, name: string) => work.status(name)?.["pid"] as number
const untilConnected = (work: Workspace, name: string) =>
  until(`${name} is connected`, () => work.status(name)?.["connected"] === true)

/** Runs a test with workspaces of its own, at the same time as others. */
function scenario(name: string, test: (work: Workspace, other: Workspace) => Promise<void>): void {
  it.concurrent(name, async () => {
    const workspaces = [new Workspace(), new Workspace()] as const
    try {
      await test(...workspaces)
    } finally {
      await Promise.all(workspaces.map(dispose))
    }
  })
}

describe("daemon processes", { timeout: 60_000 }, () => {
  let relay: RelayProcess

  beforeAll(async () => {
    relay = await RelayProcess.start()
  })
  afterAll(async () => {
    await relay.kill()
  })

  scenario("one process hosts several identities, unless isolated", async (work) => {
    await start(work, relay, "a")
    await Promise.all([start(work, relay, "b"), start(work, relay, "c", "--isolate")])
    expect(pidOf(work, "b")).toBe(pidOf(work, "a"))
    expect(pidOf(work, "c")).not.toBe(pidOf(work, "a"))
    const list = JSON.parse(await must(work, "daemon", "--list", "--json")) as Record<string, unknown>[]
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

  scenario("daemon --stop stops one daemon and leaves the others", async (work) => {
    await start(work, relay, "a")
    await start(work, relay, "b")
    await must(work, "daemon", "--stop", "--name", "a")
    const [stopped, running] = await Promise.all([
      agentchat(work, "status", "--name", "a"),
      must(work, "status", "--name", "b", "--json"),
    ])
    expect(stopped.status).toBe(3)
    expect(JSON.parse(running)).toMatchObject({ name: "b", connected: true })
    const pid = pidOf(work, "b")
    expect(await must(work, "daemon", "--stop-all")).toBeDefined()
    await until("the end of the process", () => !existsSync(`/proc/${pid}`))
  })

  scenario("one of two daemons that start at once gets the name", async (work) => {
    const starting = () => agentchat(work, "daemon", relay.url, "--background", "--name", "a")
    const exits = await Promise.all([starting(), starting()])
    expect(exits.map(({ status }) => status).sort()).toEqual([0, 10])
    expect((await starting()).status).toBe(10)
  })

  scenario("a daemon starts despite a pid file whose pid is in use by another process", async (work) => {
    await start(work, relay, "a")
    const record = JSON.parse(readFileSync(work.file("a", "daemon.json"), "utf8")) as Record<string, unknown>
    await must(work, "daemon", "--stop", "--name", "a")
    writeFileSync(work.file("a", "daemon.json"), JSON.stringify({ ...record, pid: process.pid }))
    await start(work, relay, "a")
    expect(work.status("a")).toMatchObject({ connected: true })
  })

  scenario("a killed daemon is reported as gone", async (work) => {
    await start(work, relay, "a")
    await killDaemon(work, "a")
    const { status, stdout } = await agentchat(work, "status", "--name", "a", "--json")
    expect(status).toBe(3)
    expect(JSON.parse(stdout)).toMatchObject({ connected: false })
  })

  scenario("a daemon stops with a reason when its identity connects elsewhere", async (work, other) => {
    await start(work, relay, "a")
    const copy = join(other.dir, "copied.json")
    writeFileSync(copy, readFileSync(work.file("a", "identity.json")), { mode: 0o600 })
    await start(other, relay, "a", "--identity", copy)
    await until("the displacement", () => work.status("a")?.["state"] === "stopped")
    expect(work.status("a")).toMatchObject({ connected: false, reason: { code: "SESSION_DISPLACED" } })
    expect(other.status("a")).toMatchObject({ connected: true })
  })

  scenario("names of daemons that could leave their directory are refused", async (work) => {
    const names = ["../x", "a/b", "", "a".repeat(65)]
    const exits = await Promise.all(
      names.map((name) => agentchat(work, "daemon", relay.url, "--background", "--name", name)),
    )
    expect(exits.map(({ status }) => status)).toEqual(names.map(() => 2))
    expect(existsSync(join(work.dir, ".agentchat", "daemons"))).toBe(false)
  })

  scenario("a daemon has no key with --ephemeral", async (work) => {
    await start(work, relay, "a", "--ephemeral")
    expect(work.status("a")?.["agent_id"]).toMatch(/^@[a-z2-7]{8}$/)
    expect(existsSync(work.file("a", "identity.json"))).toBe(false)
  })

  scenario("a daemon in the foreground ends with its process", async (work) => {
    const child = spawn(process.execPath, [programPath, "daemon", relay.url, "--name", "a"], {
      cwd: work.dir,
      env: work.env,
      stdio: "ignore",
    })
    await untilConnected(work, "a")
    child.kill("SIGINT")
    await once(child, "exit")
    expect(work.status("a")).toMatchObject({ state: "stopped", connected: false })
    expect(existsSync(work.file("a", "daemon.pid"))).toBe(false)
  })
})

describe("daemon processes on a relay that restarts", { timeout: 60_000 }, () => {
  /** Runs a scenario with a relay of its own. */
  const withRelay = (
    name: string,
    test: (relay: RelayProcess, work: Workspace, other: Workspace) => Promise<void>,
  ) => {
    scenario(name, async (work, other) => {
      const relay = await RelayProcess.start()
      try {
        await test(relay, work, other)
      } finally {
        await relay.kill()
      }
    })
  }

  withRelay(
    "a daemon rejoins a channel and gets the messages sent while it was away",
    async (relay, work, other) => {
      await start(work, relay, "a", "--channels", "#den")
      await relay.kill()
      await relay.restart()
      await untilConnected(work, "a")
      await must(other, "send", relay.url, "#den", "welcome back")
      await until("the message", () => work.contents("a").includes("welcome back"))
    },
  )

  withRelay(
    "a daemon keeps an invite-only channel closed, and joins no open one of the same name",
    async (relay, work, other) => {
      await start(work, relay, "a")
      await must(work, "create", "#den", "--private", "--name", "a")
      await until("the channel", () =>
        (work.status("a")?.["channels"] as string[] | undefined)?.includes("#den"),
      )
      await relay.kill()
      await relay.restart()
      await untilConnected(work, "a")
      expect((await agentchat(other, "channels", relay.url, "--json")).stdout).not.toContain("#den")
      await must(work, "daemon", "--stop", "--name", "a")
      await relay.kill()
      await relay.restart()
      await start(other, relay, "b", "--channels", "#den")
      await start(work, relay, "a")
      await until("the warning", () =>
        work.inbox("a").some(({ message }) => String(message).includes("open to all now")),
      )
      expect(work.status("a")?.["channels"]).not.toContain("#den")
    },
  )
})

describe("a full disk", { timeout: 60_000 }, () => {
  it.runIf(process.platform === "linux" && process.getuid?.() === 0)(
    "a full disk is reported as a problem, loses nothing, and is cleared once there is room",
    async () => {
      const relay = await RelayProcess.start("--rate", "10000/s", "--burst", "10000")
      const sender = new Workspace()
      const receiver = new Workspace()
      const home = join(receiver.dir, ".agentchat")
      mkdirSync(home)
      const mount = receiver.sh(`mount -t tmpfs -o size=512k,mode=700 agentchat-test ${home}`)
      expect((await once(mount, "exit"))[0]).toBe(0)
      try {
        await must(receiver, "daemon", relay.url, "--background", "--name", "b")
        await must(sender, "daemon", relay.url, "--background", "--name", "a")
        const filler = join(home, "filler")
        await once(receiver.sh(`dd if=/dev/zero of=${filler} bs=4096 2>/dev/null`), "exit")
        const messages = Array.from({ length: 40 }, (_, index) => `m-${index}`)
        const lines = messages.map((content) => `${JSON.stringify({ to: "#general", content })}\n`)
        appendFileSync(sender.file("a", "outbox.jsonl"), lines.join(""))
        await until("the problem", async () =>
          (await agentchat(receiver, "status", "--name", "b")).stdout.includes("inbox"),
        )
        rmSync(filler)
        await until("the recovery", () => receiver.contents("b").length === 40, 30_000)
        expect(receiver.contents("b")).toEqual(messages)
        await until(
          "the all-clear",
          () => (receiver.status("b")?.["problems"] as unknown[] | undefined)?.length === 0,
        )
      } finally {
        await agentchat(receiver, "daemon", "--stop-all")
        await once(receiver.sh(`umount -l ${home}`), "exit")
        receiver.dispose()
        sender.dispose()
        await relay.kill()
      }
    },
  )
})
