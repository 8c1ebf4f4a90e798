import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { RowVersions } from "../../../src/server/channels/row-versions.js"

const key = "a"

describe("versions of rows", () => {
  it("takes for news what is heard, but not what is older than what was written here", () => {
    const versions = new RowVersions()
    expect(versions.hear({ key, revision: 1 })).toBe(true)
    expect(versions.note({ key, revision: 4 })).toBe(true)
    expect(versions.hear({ key, revision: 2 })).toBe(false)
    expect(versions.hear({ key, revision: 3 })).toBe(false)
    expect(versions.hear({ key, revision: 5 })).toBe(true)
  })

  it("does not take for news what was written here and heard before that was answered", () => {
    const versions = new RowVersions()
    expect(versions.hear({ key, revision: 2 })).toBe(true)
    expect(versions.note({ key, revision: 2 })).toBe(false)
    expect(versions.note({ key, revision: 1 })).toBe(false)
  })

  it("does not take for news what was read before the row was gone", () => {
    const versions = new RowVersions()
    versions.hear({ key, revision: 1 })
    expect(versions.hear({ key, revision: 3 })).toBe(true)
    expect(versions.note({ key, revision: 2 })).toBe(false)
    expect(versions.note({ key, revision: 4 })).toBe(true)
  })

  it("follows a table that was lost and begins anew", () => {
    const versions = new RowVersions()
    versions.hear({ key, revision: 50 })
    versions.note({ key, revision: 60 })
    expect(versions.hear({ key, revision: 1 })).toBe(true)
    expect(versions.note({ key, revision: 2 })).toBe(true)
  })

  it("ends at the newest row, however late the watch is and whatever it leaves out", () => {
    const news = fc.array(fc.record({ isOwn: fc.boolean(), isTold: fc.boolean() }), { minLength: 1 })
    fc.assert(
      fc.property(news, (writes) => {
        const versions = new RowVersions()
        let shown = 0
        const unheard: number[] = []
        const hearSome = (count: number) => {
          for (const revision of unheard.splice(0, count)) {
            if (versions.hear({ key, revision })) shown = revision
          }
        }
        for (const [index, { isOwn, isTold }] of writes.entries()) {
          const revision = index + 1
          if (isTold || revision === writes.length) unheard.push(revision)
          if (isOwn && versions.note({ key, revision })) shown = revision
          const before = shown
          hearSome(index % 2)
          expect(shown).toBeGreaterThanOrEqual(before)
        }
        hearSome(Infinity)
        expect(shown).toBe(writes.length)
      }),
    )
  })
})
