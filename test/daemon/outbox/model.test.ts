import { appendFileSync, closeSync, openSync, renameSync, rmSync, writeSync } from "node:fs"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import type { OutboxLine } from "../../../src/daemon/outbox/outbox.js"
import { contents, message, OutboxHarness } from "../../kit/outbox-harness.js"

/** One operation on an outbox: by an agent, a user, the daemon, or a crash. */
type Act =
  | {
      act:
        | "say"
        | "hold"
        | "drop"
        | "delete"
        | "replace"
        | "release"
        | "crash"
        | "restart"
        | "half"
        | "refuse"
    }
  | { act: "take"; max: number }
  | { act: "settle"; every: number }
  | { act: "sweep"; ms: number }

const acts: fc.Arbitrary<Act> = fc.oneof(
  { weight: 8, arbitrary: fc.constant<Act>({ act: "say" }) },
  {
    weight: 6,
    arbitrary: fc.record({ act: fc.constant("take" as const), max: fc.integer({ min: 1, max: 9 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ act: fc.constant("settle" as const), every: fc.integer({ min: 1, max: 3 }) }),
  },
  {
    weight: 6,
    arbitrary: fc.record({ act: fc.constant("sweep" as const), ms: fc.constantFrom(0, 40, 1_000) }),
  },
  fc.constantFrom<Act>(
    ...(["hold", "drop", "delete", "replace", "release", "crash", "restart", "half", "refuse"] as const).map(
      (act) => ({ act }),
    ),
  ),
)

/** Applies operations to a real directory and records the expected result. */
class Play {
  readonly harness = new OutboxHarness({ limits: { windowLines: 12, readAheadBytes: 400, takenFiles: 4 } })
  readonly written: string[] = []
  readonly ids = new Map<string, string>()
  readonly settled = new Set<string>()
  bad = 0
  #open = new Map<string, OutboxLine>()
  #held: number | undefined
  #half: string | undefined

  play(step: Act): void {
    if (step.act === "take") this.#take(step.max)
    else if (step.act === "settle") this.#settle(step.every)
    else if (step.act === "sweep") this.harness.sweep(step.ms)
    else this[step.act]()
  }

  say(): void {
    this.#append(`${message(this.#next("said"))}\n`)
  }

  hold(): void {
    this.#held ??= openSync(this.harness.paths.outbox, "a")
    writeSync(this.#held, `${message(this.#next("held"))}\n`)
  }

  half(): void {
    const line = `${message(this.#next("half"))}\n`
    // Ended before anything else is written: another writer's text would become part of this line.
    this.#append(line.slice(0, 9))
    this.#half = line.slice(9)
    this.harness.sweep(1_000)
    this.#endHalf()
  }

  refuse(): void {
    this.#append(`bad ${this.bad++}\n`)
  }

  drop(): void {
    this.harness.sweep(0)
    this.harness.drop(`${this.written.length}.json`, message(this.#next("dropped")))
  }

  delete(): void {
    this.harness.sweep(0)
    rmSync(this.harness.paths.outbox, { force: true })
  }

  replace(): void {
    this.harness.sweep(0)
    const other = `${this.harness.paths.outbox}.new`
    appendFileSync(other, `${message(this.#next("replaced"))}\n`)
    renameSync(other, this.harness.paths.outbox)
  }

  release(): void {
    this.#open.clear()
    this.harness.outbox.release()
  }

  crash(): void {
    this.#open.clear()
    this.harness.crash()
  }

  restart(): void {
    this.#open.clear()
    this.harness.close()
  }

  finish(): void {
    const isDone = () => this.settled.size === this.written.length && this.harness.entries.length === this.bad
    // After a crash before the cursor was saved, lines that were settled come once more.
    for (let i = 0; i < 1_000 && (i === 0 || !isDone()); i++) {
      this.#take(5)
      this.#settle(1)
      this.harness.sweep(50)
    }
    if (this.#held !== undefined) closeSync(this.#held)
  }

  #next(kind: string): string {
    const content = `${kind}-${this.written.length}`
    this.written.push(content)
    return content
  }

  #append(text: string): void {
    appendFileSync(this.harness.paths.outbox, text)
  }

  #endHalf(): void {
    if (this.#half !== undefined) this.#append(this.#half)
    this.#half = undefined
  }

  #take(max: number): void {
    for (const line of this.harness.take(max)) {
      const [content = ""] = contents([line])
      expect(this.#open.has(content), `${content} is handed out twice`).toBe(false)
      expect(this.ids.get(content) ?? line.id, `${content} keeps its id`).toBe(line.id)
      this.ids.set(content, line.id)
      this.#open.set(content, line)
    }
  }

  #settle(every: number): void {
    for (const [index, [content, line]] of [...this.#open].entries()) {
      if (index % every !== 0) continue
      line.settle()
      this.settled.add(content)
      this.#open.delete(content)
    }
  }
}

describe("an outbox under random operations", () => {
  it("hands out every line under one id until it is settled", () => {
    fc.assert(
      fc.property(fc.array(acts, { maxLength: 60 }), (steps) => {
        const play = new Play()
        for (const step of steps) play.play(step)
        play.finish()
        expect([...play.settled].sort()).toEqual([...play.written].sort())
        expect(play.harness.entries.map(({ line }) => line)).toEqual(
          Array.from({ length: play.bad }, (_, i) => `bad ${i}`),
        )
        play.harness.sweep()
        play.harness.close()
        expect(contents(play.harness.take())).toEqual([])
        expect(play.harness.problems).toEqual([])
        play.harness.close()
      }),
      {
        numRuns: 100,
        examples: [
          [[{ act: "say" }, { act: "take", max: 1 }, { act: "settle", every: 1 }, { act: "crash" }]],
        ],
      },
    )
  })
})
