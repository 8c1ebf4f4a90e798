import { mkdirSync, utimesSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { type Clock, systemClock } from "../../../src/base/clock.js"
import {
  formatSegmentName,
  lastSealedSeq,
  listSegments,
  SegmentRetention,
} from "../../../src/daemon/inbox/segments.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const dayMs = 24 * 60 * 60 * 1_000

/** Ten segments of ten lines, one day apart. */
function tenSegments(nowMs = Date.now()): string {
  const dir = join(temporaryDirectory(), "inbox")
  mkdirSync(dir)
  for (let i = 0; i < 10; i++) {
    const path = join(dir, formatSegmentName(i * 10 + 1, i * 10 + 10))
    writeFileSync(path, "")
    const seconds = (nowMs - (9 - i) * dayMs) / 1_000
    utimesSync(path, seconds, seconds)
  }
  return dir
}

const firsts = (dir: string) => listSegments(dir).map(({ first }) => first)

describe("segments", () => {
  it("are listed in the order of their lines, also by `ls`", () => {
    const dir = tenSegments()
    writeFileSync(join(dir, formatSegmentName(12_345_678_901, 12_345_679_900)), "")
    expect(firsts(dir).slice(0, 3)).toEqual([1, 11, 21])
    expect(lastSealedSeq(dir)).toBe(12_345_679_900)
    expect(formatSegmentName(1, 1_000)).toBe("0000000001-0000001000.jsonl")
  })

  it("do not include other files", () => {
    const dir = tenSegments()
    for (const name of ["1-2.jsonl", ".0000000900-0000000999.jsonl.tmp", "notes", "0000000900-.jsonl"]) {
      writeFileSync(join(dir, name), "")
    }
    expect(lastSealedSeq(dir)).toBe(100)
  })

  it("are none without a directory", () => {
    expect(listSegments(join(temporaryDirectory(), "none"))).toEqual([])
    expect(lastSealedSeq(join(temporaryDirectory(), "none"))).toBe(0)
  })
})

describe("SegmentRetention", () => {
  it("removes the oldest segments beyond the limit", async () => {
    const dir = tenSegments()
    await new SegmentRetention(dir, { segments: 4, segmentAgeMs: 100 * dayMs }, systemClock, undefined).run()
    expect(firsts(dir)).toEqual([61, 71, 81, 91])
  })

  it("removes segments beyond the age", async () => {
    const dir = tenSegments()
    await new SegmentRetention(
      dir,
      { segments: 100, segmentAgeMs: 2.5 * dayMs },
      systemClock,
      undefined,
    ).run()
    expect(firsts(dir)).toEqual([71, 81, 91])
  })

  it("keeps the newest segment, whatever its age", async () => {
    const dir = tenSegments(Date.now() - 1_000 * dayMs)
    await new SegmentRetention(dir, { segments: 100, segmentAgeMs: dayMs }, systemClock, undefined).run()
    expect(firsts(dir)).toEqual([91])
  })

  it("runs once an hour", async () => {
    let nowMs = 0
    const clock: Clock = { ...systemClock, monotonic: () => nowMs }
    const dir = tenSegments()
    const retention = new SegmentRetention(dir, { segments: 9, segmentAgeMs: 100 * dayMs }, clock, undefined)
    nowMs = 59 * 60_000
    retention.sweep()
    expect(firsts(dir)).toHaveLength(10)
    nowMs = 60 * 60_000
    retention.sweep()
    await expect.poll(() => firsts(dir)).toHaveLength(9)
  })
})
