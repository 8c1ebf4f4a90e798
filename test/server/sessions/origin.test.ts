import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { addressOrigin, FairShare, keyOrigin } from "../../../src/server/sessions/origin.js"

const hourMs = 3_600_000

describe("addressOrigin", () => {
  it("counts all loopback addresses as one", () => {
    for (const address of ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]) {
      expect(addressOrigin(address)).toBe("loopback")
    }
  })

  it("counts the /64 of an IPv6 address as one, and an IPv4 address as itself", () => {
    expect(addressOrigin("2001:db8:1:2::7")).toBe("2001:db8:1:2::/64")
    expect(addressOrigin("2001:db8:1:2:ffff:ffff:ffff:ffff")).toBe("2001:db8:1:2::/64")
    expect(addressOrigin("::ffff:192.0.2.7")).toBe("192.0.2.7")
  })
})

describe("keyOrigin", () => {
  const id = "@0123456789abcdef"

  it("counts a new key with its address, and one known for an hour by itself", () => {
    expect(keyOrigin(id, "192.0.2.7", hourMs - 1)).toBe("192.0.2.7")
    expect(keyOrigin(id, "192.0.2.7", hourMs)).toBe(id)
  })

  it("counts each key of this machine by itself", () => {
    expect(keyOrigin(id, "loopback", 0)).toBe(id)
  })
})

describe("FairShare", () => {
  it("gives one origin a quarter", () => {
    const share = new FairShare(1_000)
    while (share.fits("a")) share.take("a")
    expect(share.usedBy("a")).toBe(250)
  })

  it("leaves room for a new origin however many greedy ones there are", () => {
    const share = new FairShare(1_000_000)
    for (let i = 0; i < 100; i++) while (share.fits(`greedy ${i}`, 200)) share.take(`greedy ${i}`, 200)
    expect(share.fits("new", 1_900)).toBe(true)
    expect(share.fits("greedy 0", 200)).toBe(false)
  })

  it("never exceeds its size, and is empty when everything is given back", () => {
    const moves = fc.array(
      fc.tuple(fc.constantFrom("a", "b", "c", "d", "e"), fc.integer({ min: 1, max: 40 })),
    )
    fc.assert(
      fc.property(moves, (taking) => {
        const share = new FairShare(100)
        const taken = taking.filter(([origin, amount]) => {
          if (!share.fits(origin, amount)) return false
          share.take(origin, amount)
          return true
        })
        expect(share.total).toBeLessThanOrEqual(100)
        for (const [origin, amount] of taken) share.give(origin, amount)
        expect([share.total, share.usedBy("a")]).toEqual([0, 0])
      }),
    )
  })
})
