import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { describe, expect, it, onTestFinished } from "vitest"
import { systemClock } from "../../../src/base/clock.js"
import { until } from "../../kit/condition.js"
import { isLong } from "../../kit/long.js"
import { startConsumer } from "../../kit/outbox-consumer.js"
import { contents, OutboxHarness } from "../../kit/outbox-harness.js"

/** Short times, so that a few seconds see hundreds of saves, moves and deletions. */
const hurried = {
  saveMs: 3,
  clearQuietMs: 5,
  dropQuietMs: 20,
  dropSharedMs: 20,
  windowLines: 64,
  clearBytes: 8_000,
}

/** Each takes about as long as Node starts, which on a busy machine is seconds. */
const killCount = isLong ? 20 : 8

/** Lines of the writer that keeps its file open. */
const heldLines = 200

function shell(script: string, ...args: string[]): ChildProcess {
  const child = spawn("sh", ["-c", script, ...args], { stdio: ["ignore", "inherit", "inherit"] })
  onTestFinished(() => void child.kill("SIGKILL"))
  return child
}

/** Appends $2 lines with one `>>` each; after every tenth a line that is no message, and a pause of $3 seconds. */
const appending = `i=0; while [ $i -lt $2 ]; do
  echo "{\\"to\\":\\"#general\\",\\"content\\":\\"$1-$i\\"}" >> "$0"
  [ $((i % 10)) -ne 9 ] || { echo "bad $1-$i" >> "$0"; sleep $3; }
  i=$((i+1)); done`

/** Appends the same through an open file, with pauses longer than moving the outbox away takes. */
const holding = `exec 3>>"$0"; i=0; while [ $i -lt $2 ]; do
  echo "{\\"to\\":\\"#general\\",\\"content\\":\\"$1-$i\\"}" >&3
  [ $((i % 10)) -ne 9 ] || sleep 0.1
  i=$((i+1)); done`

function expectOrder(seen: readonly string[], writer: string, count: number): void {
  const own = seen.filter((content) => content.startsWith(`${writer}-`))
  expect(own).toEqual(Array.from({ length: count }, (_, i) => `${writer}-${i}`))
}

describe("an outbox that many shells append to", () => {
  it("hands out every line once, in each writer's order", { timeout: 120_000 }, async () => {
    const harness = new OutboxHarness({ clock: systemClock, limits: { ...hurried, windowLines: 1_024 } })
    const seen: string[] = []
    const drain = () => {
      for (const line of harness.outbox.take(Number.POSITIVE_INFINITY)) {
        seen.push(...contents([line]))
        line.settle()
      }
    }
    harness.onLines = drain
    harness.outbox.sweep()
    const writers = ["a", "b", "c", "d", "e", "f"]
    const shells = writers.map((writer) => shell(appending, harness.paths.outbox, writer, "200", "0"))
    const holder = shell(holding, harness.paths.outbox, "held", "60")
    const sweeps = setInterval(() => harness.outbox.sweep(), 10)
    onTestFinished(() => clearInterval(sweeps))
    await Promise.all([...shells, holder].map((child) => once(child, "exit")))
    await until("every line", () => seen.length >= 6 * 200 + 60)
    await until("every bad line", () => harness.entries.length >= 6 * 20)
    await until("a cleared outbox", () => harness.size === 0 && harness.taken.length === 1)
    for (const writer of writers) expectOrder(seen, writer, 200)
    expectOrder(seen, "held", 60)
    expect(seen).toHaveLength(6 * 200 + 60)
    expect(harness.entries).toHaveLength(6 * 20)
    expect(harness.problems).toEqual([])
  })
})

describe("an outbox whose daemon is killed again and again", () => {
  it("loses no line, and hands none out under a second id", { timeout: 240_000 }, async () => {
    const harness = new OutboxHarness()
    const sink = join(harness.paths.dir, "sink")
    const root = join(harness.paths.dir, "../..")
    writeFileSync(sink, "")
    const writers = ["a", "b", "c", "d"]
    const shells = [
      ...writers.map((writer) => shell(appending, harness.paths.outbox, writer, "400", "0.08")),
      shell(holding, harness.paths.outbox, "held", String(heldLines)),
    ]
    const ended = Promise.all(shells.map((child) => once(child, "exit")))
    const begunMs = performance.now()
    let startMs = 0
    for (let kills = 0; kills < killCount; kills++) {
      const consumer = startConsumer(root, sink, hurried)
      // The kill comes before the process has opened any file, or later, relative to its start-up time.
      if (kills > 0) await sleep(startMs * (0.3 + Math.random() * 1.4))
      else await until("the first line", () => harness.lines(sink).length > 0)
      if (kills === 0) startMs = performance.now() - begunMs
      consumer.kill("SIGKILL")
      expect(await once(consumer, "exit")).toEqual([null, "SIGKILL"])
    }
    const killedLines = harness.lines(sink).length
    await ended
    const last = startConsumer(root, sink, hurried)
    onTestFinished(() => void last.kill("SIGKILL"))
    const read = () => harness.lines(sink).map((line) => line.split(" "))
    await until("every line", () => new Set(read().map(([, content]) => content)).size >= 4 * 400 + heldLines)
    await until("a cleared outbox", () => harness.size === 0 && harness.taken.length === 1)
    last.kill("SIGKILL")

    const ids = new Map<string, string>()
    for (const [id = "", content = ""] of read()) {
      expect(ids.get(content) ?? id).toBe(id)
      ids.set(content, id)
    }
    expect(ids.size).toBe(4 * 400 + heldLines)
    const seen = [...ids.keys()]
    for (const writer of writers) expectOrder(seen, writer, 400)
    expectOrder(seen, "held", heldLines)
    expectFewRepeats(read().map(([id = ""]) => id))
    const rejected = harness.entries.map(({ line }) => line)
    expect(rejected.sort()).toEqual(
      writers.flatMap((writer) => Array.from({ length: 40 }, (_, i) => `bad ${writer}-${i * 10 + 9}`)).sort(),
    )
    expect(readFileSync(harness.paths.rejected, "utf8").endsWith("\n")).toBe(true)
    // The kills interrupted work, not idle processes.
    expect(killedLines).toBeGreaterThan(100)
  })
})

/** A relay must recognize every repeat: only few other ids came between. */
function expectFewRepeats(ids: readonly string[]): void {
  const lastAt = new Map<string, number>()
  const distinct: string[] = []
  for (const id of ids) {
    const at = lastAt.get(id)
    // A window of others may be in flight with it. After a crash older files go first, with everything that a writer
    // appended meanwhile to one it has open.
    if (at !== undefined)
      expect(distinct.length - at).toBeLessThanOrEqual(2 * hurried.windowLines + heldLines)
    else distinct.push(id)
    lastAt.set(id, distinct.length)
  }
}
