import { describe, expect, it } from "vitest"
import { defaultInboxLimits } from "../../../src/daemon/inbox/limits.js"
import { RotationPolicy } from "../../../src/daemon/inbox/rotation-policy.js"

const limits = {
  ...defaultInboxLimits,
  lines: 10,
  graceMs: 100,
  busyMs: 500,
  hardLines: 50,
  hardBytes: 9_000,
}
const full = { lines: 10, bytes: 1_000 }

describe("InboxPace", () => {
  it("asks for nothing below the bound", () => {
    const pace = new RotationPolicy(limits, 0)
    expect(pace.decide({ lines: 9, bytes: 900 }, 1_000_000)).toEqual({ act: "none" })
  })

  it("rotates a full file once it was quiet for the grace", () => {
    const pace = new RotationPolicy(limits, 0)
    pace.onWrite(1_000)
    expect(pace.decide(full, 1_000)).toEqual({ act: "watch", atMs: 1_100 })
    expect(pace.decide(full, 1_099)).toEqual({ act: "watch", atMs: 1_100 })
    expect(pace.decide(full, 1_100)).toEqual({ act: "rotate" })
  })

  it("holds a full file that never falls quiet, and then rotates", () => {
    const pace = new RotationPolicy(limits, 0)
    for (let now = 1_000; now < 1_500; now += 50) {
      pace.onWrite(now)
      expect(pace.decide(full, now).act).toBe("watch")
    }
    pace.onWrite(1_500)
    expect(pace.decide(full, 1_500)).toEqual({ act: "hold", atMs: 1_600 })
    expect(pace.decide(full, 1_600)).toEqual({ act: "rotate" })
  })

  it.each([
    { lines: 50, bytes: 1_000 },
    { lines: 20, bytes: 9_000 },
  ])("holds at once at a hard bound: %o", (fill) => {
    const pace = new RotationPolicy(limits, 0)
    pace.onWrite(1_000)
    expect(pace.mustRotate(fill)).toBe(true)
    expect(pace.decide(fill, 1_000)).toEqual({ act: "hold", atMs: 1_100 })
  })

  it("holds at once when a rotation is required", () => {
    const pace = new RotationPolicy(limits, 1_000)
    pace.require()
    expect(pace.decide({ lines: 1, bytes: 10 }, 1_000)).toEqual({ act: "hold", atMs: 1_100 })
    pace.onEmptied(10, 1_100)
    expect(pace.decide({ lines: 0, bytes: 0 }, 1_100)).toEqual({ act: "none" })
  })

  it("keeps an emptied file below its former size for the grace", () => {
    const pace = new RotationPolicy(limits, 0)
    pace.onEmptied(1_000, 2_000)
    expect(pace.mayGrowAt(999)).toBe(0)
    expect(pace.mayGrowAt(1_000)).toBe(2_100)
  })

  it("waits after a rotation that failed, unless the file must not grow", () => {
    const pace = new RotationPolicy(limits, 0)
    pace.onWrite(1_000)
    pace.onFailure(1_100)
    expect(pace.decide(full, 1_200)).toEqual({ act: "watch", atMs: 1_100 + limits.retryRotationMs })
    expect(pace.decide({ lines: 50, bytes: 0 }, 1_200)).toEqual({ act: "rotate" })
  })

  it("counts the busy time anew when the file was full, cut, and is full again", () => {
    const pace = new RotationPolicy(limits, 0)
    pace.onWrite(1_000)
    pace.decide(full, 1_000)
    pace.decide({ lines: 0, bytes: 0 }, 1_050)
    pace.onWrite(5_000)
    expect(pace.decide(full, 5_000)).toEqual({ act: "watch", atMs: 5_100 })
  })
})
