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

describe("RotationPolicy", () => {
  it("does nothing below the limit", () => {
    const policy = new RotationPolicy(limits, 0)
    expect(policy.decide({ lines: 9, bytes: 900 }, 1_000_000)).toEqual({ act: "none" })
  })

  it("rotates a full file after graceMs without a write", () => {
    const policy = new RotationPolicy(limits, 0)
    policy.onWrite(1_000)
    expect(policy.decide(full, 1_000)).toEqual({ act: "watch", atMs: 1_100 })
    expect(policy.decide(full, 1_099)).toEqual({ act: "watch", atMs: 1_100 })
    expect(policy.decide(full, 1_100)).toEqual({ act: "rotate" })
  })

  it("holds a full file that is never quiet, and then rotates it", () => {
    const policy = new RotationPolicy(limits, 0)
    for (let now = 1_000; now < 1_500; now += 50) {
      policy.onWrite(now)
      expect(policy.decide(full, now).act).toBe("watch")
    }
    policy.onWrite(1_500)
    expect(policy.decide(full, 1_500)).toEqual({ act: "hold", atMs: 1_600 })
    expect(policy.decide(full, 1_600)).toEqual({ act: "rotate" })
  })

  it.each([
    { lines: 50, bytes: 1_000 },
    { lines: 20, bytes: 9_000 },
  ])("holds at once at a hard bound: %o", (fill) => {
    const policy = new RotationPolicy(limits, 0)
    policy.onWrite(1_000)
    expect(policy.mustRotate(fill)).toBe(true)
    expect(policy.decide(fill, 1_000)).toEqual({ act: "hold", atMs: 1_100 })
  })

  it("holds at once if a rotation is required", () => {
    const policy = new RotationPolicy(limits, 1_000)
    policy.require()
    expect(policy.decide({ lines: 1, bytes: 10 }, 1_000)).toEqual({ act: "hold", atMs: 1_100 })
    policy.onEmptied(10, 1_100)
    expect(policy.decide({ lines: 0, bytes: 0 }, 1_100)).toEqual({ act: "none" })
  })

  it("keeps an emptied file below its former size for graceMs", () => {
    const policy = new RotationPolicy(limits, 0)
    policy.onEmptied(1_000, 2_000)
    expect(policy.mayGrowAt(999)).toBe(0)
    expect(policy.mayGrowAt(1_000)).toBe(2_100)
  })

  it("pauses after a failed rotation, unless the file must not grow", () => {
    const policy = new RotationPolicy(limits, 0)
    policy.onWrite(1_000)
    policy.onFailure(1_100)
    expect(policy.decide(full, 1_200)).toEqual({ act: "watch", atMs: 1_100 + limits.retryRotationMs })
    expect(policy.decide({ lines: 50, bytes: 0 }, 1_200)).toEqual({ act: "rotate" })
  })

  it("restarts the busy time after the file was cut", () => {
    const policy = new RotationPolicy(limits, 0)
    policy.onWrite(1_000)
    policy.decide(full, 1_000)
    policy.decide({ lines: 0, bytes: 0 }, 1_050)
    policy.onWrite(5_000)
    expect(policy.decide(full, 5_000)).toEqual({ act: "watch", atMs: 5_100 })
  })
})
