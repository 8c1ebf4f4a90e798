import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs"
import { dirname, join } from "node:path"
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest"
import { rootPaths } from "../../../src/daemon/files/paths.js"
import { askControl } from "../../../src/daemon/process/control-socket.js"
import { type Host, openHostProcess } from "../../../src/daemon/process/host.js"
import { readHolder } from "../../../src/daemon/process/pid-file.js"
import { type DaemonStatus, readStatus } from "../../../src/daemon/status.js"
import type { InstanceName } from "../../../src/protocol/names.js"
import { until } from "../../kit/condition.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { isRoot, makeReadOnly } from "../../kit/file-system.js"
import { TestRelay } from "../../kit/relay.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const heartbeatMs = 10_000

/** A host in this process, and the daemons it was asked for. */
class Place {
  readonly root: ReturnType<typeof rootPaths>
  readonly clock = new FakeClock(Date.now())
  readonly said: string[] = []
  readonly url: string
  readonly host: Host

  private constructor(root: Place["root"], url: string, host: Host, said: string[]) {
    this.root = root
    this.url = url
    this.host = host
    this.said = said
  }

  static async open(names: readonly string[]): Promise<Place> {
    const relay = await TestRelay.start()
    const root = rootPaths(join(temporaryDirectory(), ".agentchat"))
    const said: string[] = []
    const clock = new FakeClock(Date.now())
    const host = await openHostProcess({
      ...{ root, shared: true, clock, random: () => 0.5, pid: process.pid, uid: process.getuid?.() ?? 0 },
      runtimeDirs: [temporaryDirectory()],
      log: (line) => said.push(line),
    })
    const place = Object.assign(new Place(root, `ws://127.0.0.1:${relay.relay.port}`, host, said), { clock })
    onTestFinished(async () => {
      await host.stopAll()
      const closed = host.close()
      clock.advance(1_000)
      await closed
    })
    for (const name of names) await place.start(name)
    return place
  }

  async start(name: string): Promise<void> {
    await this.host.start({
      name,
      server: this.url,
      nick: name,
      ephemeral: false,
      compat: false,
      echo: false,
    })
    await until(`${name} is online`, () => this.status(name).connected)
  }

  paths(name: string) {
    return this.root.instance(name as InstanceName)
  }

  status(name: string): DaemonStatus {
    const status = readStatus(this.paths(name).status)
    if (status === undefined) throw new Error(`${name} has no status`)
    return status
  }

  problems(name: string): string[] {
    return this.status(name).problems.map(({ message }) => message)
  }

  /** Writes a line, and waits until it is sent while the host sweeps. */
  async sends(name: string, content: string): Promise<void> {
    const { outbox, acks } = this.paths(name)
    appendFileSync(outbox, `${JSON.stringify({ to: "#general", content, id: content })}\n`)
    await until(`the ack of ${content}`, () => {
      this.clock.advance(1_000)
      return existsSync(acks) && readFileSync(acks, "utf8").includes(`"${content}"`)
    })
  }
}

describe("a process with several daemons", () => {
  afterEach(() => {
    vi.restoreAllMocks()
  })

  it("stops one whose pid file was removed, says why, and continues with the others", async () => {
    const place = await Place.open(["a", "b"])
    rmSync(place.paths("a").pid)
    place.clock.advance(heartbeatMs)
    await until("the end of a", () => place.status("a").state === "stopped")
    expect(place.status("a").reason?.message).toBe("stopped, because daemon.pid was removed")
    expect(place.said).toEqual(["daemon a: stopped, because daemon.pid was removed"])
    await place.sends("b", "b-continues")
  })

  it("writes nothing for one whose directory another daemon took over", async () => {
    const place = await Place.open(["a", "b"])
    const { dir, status } = place.paths("a")
    renameSync(dir, `${dir}-moved`)
    place.clock.advance(2_000)
    await until("the end of a", () => place.host.size === 1)
    expect(existsSync(dir)).toBe(false)
    expect(existsSync(status)).toBe(false)
    expect(place.said).toEqual([expect.stringContaining("was removed or moved away")])
    await place.sends("b", "b-continues")
  })

  it("refuses state files of a newer version, names the file and leaves it as it is", async () => {
    const place = await Place.open(["bob"])
    const { memory, outboxCursor, bookmarks } = place.paths("ann")
    mkdirSync(dirname(memory), { recursive: true })
    for (const path of [memory, outboxCursor, bookmarks]) {
      const newer = '{"v":2,"files":[]}\n'
      writeFileSync(path, newer)
      await expect(place.start("ann")).rejects.toMatchObject({
        code: "UNSUPPORTED",
        message: `${path}: was written by a newer agentchat (version 2; this one supports 1)`,
      })
      expect(readFileSync(path, "utf8")).toBe(newer)
      rmSync(path)
    }
    await place.start("ann")
  })

  it("creates nothing after the whole directory was removed, and ends", async () => {
    const place = await Place.open(["a"])
    rmSync(place.root.root, { recursive: true })
    place.clock.advance(2_000)
    expect(await place.host.ended).toMatchObject({ message: expect.stringContaining("was removed") })
    expect(existsSync(place.root.root)).toBe(false)
  })

  it("writes host.json again after it was removed", async () => {
    const place = await Place.open(["a"])
    rmSync(place.root.host)
    place.clock.advance(heartbeatMs)
    expect(readHolder(place.root.host, place.clock.now())?.process.pid).toBe(process.pid)
  })

  it("opens its control socket again after a cleaner removed it with its directory", async () => {
    const place = await Place.open(["a"])
    const socket = readHolder(place.root.host, place.clock.now())?.socket ?? ""
    rmSync(dirname(socket), { recursive: true })
    place.clock.advance(2_000)
    await until("the socket", () => existsSync(socket) && (statSync(socket).mode & 0o777) === 0o600)
    await askControl(socket, { op: "stop", name: "a" }, 5_000)
    expect(place.status("a").state).toBe("stopped")
  })

  it("reports an error that nobody expected as a problem, and continues", async () => {
    const place = await Place.open(["a", "b"])
    place.host.onUncaught(new TypeError("x is undefined"))
    expect(place.problems("a")).toEqual(["unexpected error: x is undefined"])
    expect(place.said[0]).toContain("host.test.ts")
    const full = Object.assign(new Error("ENOSPC: full"), {
      code: "ENOSPC",
      syscall: "write",
      path: "/x/acks.jsonl",
    })
    place.host.onUncaught(full)
    place.clock.advance(2_000)
    expect(place.problems("b")).toEqual(["unexpected error: x is undefined"])
    await place.sends("a", "a-continues")
  })

  it.runIf(isRoot())("outlives a read-only file system, and is healthy again afterwards", async () => {
    const place = await Place.open(["a", "b"])
    const makeWritable = makeReadOnly(place.root.root)
    for (let seconds = 0; seconds < 30; seconds++) place.clock.advance(1_000)
    expect(place.host.size).toBe(2)
    makeWritable()
    place.clock.advance(heartbeatMs)
    expect(place.problems("a")).toEqual([])
    await place.sends("a", "a-continues")
  })

  it.runIf(isRoot())("reports a directory it may not read, and is healthy again afterwards", async () => {
    const place = await Place.open(["a", "b"])
    const { dir } = place.paths("a")
    chmodSync(dir, 0)
    const nobody = 65_534
    process.setegid?.(nobody)
    process.seteuid?.(nobody)
    try {
      for (let seconds = 0; seconds < 15; seconds++) place.clock.advance(1_000)
    } finally {
      process.seteuid?.(0)
      process.setegid?.(0)
    }
    expect(place.host.size).toBe(2)
    place.clock.advance(1_000)
    chmodSync(dir, 0o700)
    await place.sends("b", "b-continues")
    await place.sends("a", "a-continues")
    expect(place.problems("a")).toEqual([])
  })
})
