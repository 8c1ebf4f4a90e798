import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, onTestFinished, test } from "vitest"
import type { Backbone, Retention } from "../../../src/backbone/backbone.js"
import { Sql } from "../../../src/backbone/sql/sql.js"
import { verifyStore } from "../../../src/backbone/sql/store-maintenance.js"
import { compiled } from "../../kit/compiled.js"
import { until } from "../../kit/condition.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { isRoot, SmallDisk } from "../../kit/file-system.js"
import { isLong } from "../../kit/long.js"
import { storeOpener } from "../../kit/store.js"
import { temporaryDirectory } from "../../kit/temporary.js"
import { describeBackbone } from "../conformance.js"

const store = storeOpener()
const child = compiled("test/kit/store-child.ts")
const patienceMs = 30_000
const plenty: Retention = { maxEntries: 1_000_000, whenFull: "drop-oldest" }

describeBackbone("sqlite", async () => {
  const dir = mkdtempSync(join(tmpdir(), "agentchat-test-"))
  const clock = new FakeClock()
  let backbone = await store.open(join(dir, "store"), clock)
  return {
    backbone,
    reopen: async () => {
      await backbone.close()
      backbone = await store.open(join(dir, "store"), clock)
      return backbone
    },
    pass: (ms) => clock.advance(ms),
    cleanup: async () => {
      await backbone.close()
      rmSync(dir, { recursive: true, force: true })
    },
  }
})

/** Opens a store until the test ends. */
async function openStore(
  dir: string,
  clock = new FakeClock(),
  log?: (line: string) => void,
): Promise<Backbone> {
  const backbone = await store.open(dir, clock, log)
  onTestFinished(() => backbone.close())
  return backbone
}

/** A process that appends numbered entries to a store, starting at `first`. */
class Appender {
  readonly #child
  #stdout = ""

  constructor(dir: string, first: number) {
    const args = [child, dir, String(first), store.workerFile]
    this.#child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] })
    this.#child.stdout.setEncoding("utf8").on("data", (text: string) => (this.#stdout += text))
    onTestFinished(() => void this.#child.kill("SIGKILL"))
  }

  get written(): number[] {
    return this.#stdout.split("\n").slice(0, -1).map(Number)
  }

  async hasWritten(count: number): Promise<void> {
    await until("entries are written", () => this.written.length >= count, patienceMs)
  }

  async kill(): Promise<void> {
    const closed = once(this.#child, "close")
    this.#child.kill("SIGKILL")
    await closed
  }
}

/** Returns the number of transactions in the write-ahead log. */
function countCommits(dir: string): number {
  const wal = readFileSync(join(dir, "store.db-wal"))
  const [headBytes, frameHeadBytes, pageBytes] = [32, 24, wal.readUInt32BE(8)]
  const salt = wal.subarray(16, 24)
  let commits = 0
  for (let at = headBytes; at + frameHeadBytes <= wal.length; at += frameHeadBytes + pageBytes) {
    if (!wal.subarray(at + 8, at + 16).equals(salt)) break
    if (wal.readUInt32BE(at + 4) !== 0) commits++
  }
  return commits
}

test("written entries survive kill -9 at any time", { timeout: 180_000 }, async () => {
  const dir = join(temporaryDirectory(), "store")
  const written = new Set<number>()
  let next = 1
  for (let round = 0; round < (isLong ? 10 : 3); round++) {
    const appender = new Appender(dir, next)
    await appender.hasWritten(1 + Math.floor(Math.random() * 400))
    await appender.kill()
    for (const n of appender.written) written.add(n)
    const backbone = await store.open(dir, new FakeClock())
    const logs = await backbone.logs("log", plenty)
    const table = await backbone.table("newest")
    const stored = new Set<number>()
    for (const key of ["key0", "key1", "key2"]) {
      const numbers = (await logs.read(key, 0, 1_000_000)).map(({ value }) => Number.parseInt(value, 10))
      expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b))
      for (const n of numbers) stored.add(n)
      const newest = [...written].filter((n) => `key${n % 3}` === key).at(-1) ?? 0
      expect(Number((await table.get(key))?.value ?? 0)).toBeGreaterThanOrEqual(newest)
    }
    await backbone.close()
    expect([...written].filter((n) => !stored.has(n))).toEqual([])
    expect(await verifyStore(dir, { program: store.workerFile })).toMatchObject({ isWhole: true, faults: [] })
    next = Math.max(...stored) + 1
  }
})

describe("a store on disk", { timeout: 60_000 }, () => {
  test("a store is readable by its owner only", async () => {
    const dir = join(temporaryDirectory(), "deep", "store")
    await openStore(dir)
    expect(statSync(dir).mode & 0o777).toBe(0o700)
    for (const file of ["store.db", "store.db-wal"])
      expect(statSync(join(dir, file)).mode & 0o777).toBe(0o600)
  })

  test("a store can be opened by one process at a time", async () => {
    const dir = join(temporaryDirectory(), "store")
    const held = { code: "ALREADY_RUNNING", message: `${dir}: another relay uses this store` }
    const appender = new Appender(dir, 1)
    await appender.hasWritten(1)
    await expect(store.open(dir, new FakeClock())).rejects.toMatchObject(held)
    await appender.kill()
    await openStore(dir)
    await expect(store.open(dir, new FakeClock())).rejects.toMatchObject(held)
  })

  test("concurrent operations are written as one transaction", async () => {
    const dir = join(temporaryDirectory(), "store")
    const backbone = await openStore(dir)
    const logs = await backbone.logs("log", plenty)
    await logs.append("a", "first", "x")
    const before = countCommits(dir)
    await Promise.all(Array.from({ length: 300 }, (_, i) => logs.append("a", `id-${i}`, "x")))
    expect(countCommits(dir)).toBe(before + 1)
    // These run in one turn of the event loop, so none is answered before the last is sent.
    const appended = [logs.append("a", "leader", "x")]
    for (let i = 0; i < 200; i++) {
      await Promise.resolve()
      appended.push(logs.append("a", `follower-${i}`, "x"))
    }
    await Promise.all(appended)
    expect(countCommits(dir)).toBe(before + 3)
    await logs.read("a", 0, 1)
    expect(countCommits(dir)).toBe(before + 3)
  })

  test("a store forgets ids after a day, and removes expired entries that nobody reads", async () => {
    const dir = join(temporaryDirectory(), "store")
    const clock = new FakeClock()
    const backbone = await openStore(dir, clock)
    const logs = await backbone.logs("log", { ...plenty, maxAgeMs: 1_000 })
    await logs.append("a", "id", "1")
    clock.advance(23 * 3_600_000)
    expect((await logs.append("a", "id", "1")).isDuplicate).toBe(true)
    expect(await verifyAfter(backbone, dir)).toMatchObject({ isWhole: true, logs: 1, entries: 0 })
    const again = await openStore(dir, clock)
    const logsAgain = await again.logs("log", { ...plenty, maxAgeMs: 1_000 })
    clock.advance(1.5 * 3_600_000)
    expect((await logsAgain.append("a", "id", "1")).isDuplicate).toBe(false)
  })

  test("a closed store refuses every operation", async () => {
    const backbone = await openStore(join(temporaryDirectory(), "store"))
    const logs = await backbone.logs("log", plenty)
    const appended = logs.append("a", "id", "1")
    await backbone.close()
    expect((await appended).isDuplicate).toBe(false)
    await expect(logs.append("a", "id2", "2")).rejects.toMatchObject({ code: "UNAVAILABLE" })
  })
})

async function verifyAfter(backbone: Backbone, dir: string): Promise<unknown> {
  await backbone.close()
  return await verifyStore(dir, { program: store.workerFile })
}

describe("a file that cannot be used", { timeout: 60_000 }, () => {
  /** A directory with a store of some entries. */
  async function filled(): Promise<{ dir: string; file: string }> {
    const dir = join(temporaryDirectory(), "store")
    const backbone = await store.open(dir, new FakeClock())
    const logs = await backbone.logs("log", plenty)
    await Promise.all(Array.from({ length: 200 }, (_, i) => logs.append("a", `id-${i}`, "x".repeat(200))))
    await backbone.close()
    return { dir, file: join(dir, "store.db") }
  }

  /** Overwrites part of a file. */
  function patch(file: string, at: number, bytes: Buffer): void {
    const content = readFileSync(file)
    bytes.copy(content, at)
    writeFileSync(file, content)
  }

  const damages: Record<string, (file: string) => void> = {
    "a file that starts with garbage": (file) => patch(file, 0, Buffer.alloc(100, 0x5a)),
    "a file with a page of garbage": (file) => patch(file, 3 * 4096, Buffer.alloc(4096, 0x5a)),
    "a file cut in half": (file) => truncateSync(file, Math.floor(statSync(file).size / 2)),
    "a file that is not SQLite": (file) => writeFileSync(file, "hello ".repeat(1_000)),
  }

  test.each(Object.keys(damages))("%s is reported with the file and a hint", async (name) => {
    const { dir, file } = await filled()
    damages[name]?.(file)
    const damaged = { code: "STORE_DAMAGED", message: expect.stringContaining(`${file}: is damaged: `) }
    await expect(store.open(dir, new FakeClock())).rejects.toMatchObject({
      ...damaged,
      hint: expect.stringContaining("restore a copy of the directory"),
    })
    expect((await verifyStore(dir, { program: store.workerFile })).isWhole).toBe(false)
  })

  test("a store of a newer version is not opened", async () => {
    const { dir, file } = await filled()
    patch(file, 60, Buffer.from([0, 0, 0, 2]))
    const before = readFileSync(file)
    await expect(store.open(dir, new FakeClock())).rejects.toMatchObject({
      code: "UNSUPPORTED",
      message: `${file}: was written by a newer agentchat (version 2; this one supports 1)`,
    })
    expect(readFileSync(file).equals(before)).toBe(true)
  })

  test("an SQLite file of another application is not opened", async () => {
    const { dir, file } = await filled()
    const other = join(temporaryDirectory(), "other.db")
    const sql = new Sql(other)
    sql.exec("create table things (name text)")
    sql.close()
    copyFileSync(other, file)
    await expect(store.open(dir, new FakeClock())).rejects.toMatchObject({
      code: "STORE_DAMAGED",
      message: `${file}: is not an agentchat store`,
    })
  })

  test("a directory that cannot be created is reported", async () => {
    const file = join(temporaryDirectory(), "file")
    writeFileSync(file, "")
    await expect(store.open(join(file, "store"), new FakeClock())).rejects.toMatchObject({
      code: "FILE_FAILED",
    })
  })
})

describe.runIf(isRoot())("a disk that is full", { timeout: 60_000 }, () => {
  test("a full disk refuses writes, keeps what was written, and accepts writes again once there is room", async () => {
    const disk = new SmallDisk(4 * 1024 * 1024)
    const dir = join(disk.path, "store")
    const clock = new FakeClock()
    const lines: string[] = []
    const backbone = await openStore(dir, clock, (line) => void lines.push(line))
    const reached: boolean[] = []
    backbone.onReachabilityChange((isReachable) => void reached.push(isReachable))
    const logs = await backbone.logs("log", plenty)
    const table = await backbone.table("rows")
    const received: string[] = []
    await logs.subscribe(({ value }) => void received.push(value))
    await logs.append("a", "id-1", "1")
    disk.fill()
    const big = "x".repeat(100_000)
    const refused = await Promise.allSettled([
      logs.append("a", "id-2", "2"),
      table.put("row", "1"),
      logs.append("a", "id-3", big),
      logs.read("a", 0, 10),
    ])
    expect(refused.map(({ status }) => status)).toEqual(["rejected", "rejected", "rejected", "fulfilled"])
    expect(refused[0]).toMatchObject({ reason: { code: "UNAVAILABLE" } })
    expect([backbone.isReachable, reached]).toEqual([false, [false]])
    expect((await logs.read("a", 0, 10)).map(({ value }) => value)).toEqual(["1"])
    expect(await table.rows()).toEqual([])
    expect(lines[0]).toMatch(/^store cannot be written: .*full/)
    disk.free()
    clock.advance(1_000)
    await until("it can be written", () => backbone.isReachable, patienceMs)
    expect(lines.at(-1)).toBe(`store ${dir}: can be written again`)
    expect((await logs.append("a", "id-3", big)).isDuplicate).toBe(false)
    expect((await logs.append("a", "id-2", "2")).isDuplicate).toBe(false)
    expect((await logs.read("a", 0, 10)).map(({ value }) => value)).toEqual(["1", big, "2"])
    expect(received).toEqual(["1", big, "2"])
    expect(await verifyAfter(backbone, dir)).toMatchObject({ isWhole: true, entries: 3 })
  })
})
