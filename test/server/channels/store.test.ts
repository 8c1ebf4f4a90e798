import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { RowVersions } from "../../../src/server/channels/store.js"

const key = "a"

describe("RowVersions", () => {
  it("accepts watched revisions, except those below a revision written here", () => {
    const versions = new RowVersions()
    expect(versions.acceptWatched({ key, revision: 1 })).toBe(true)
    expect(versions.acceptOwn({ key, revision: 4 })).toBe(true)
    expect(versions.acceptWatched({ key, revision: 2 })).toBe(false)
    expect(versions.acceptWatched({ key, revision: 3 })).toBe(false)
    expect(versions.acceptWatched({ key, revision: 5 })).toBe(true)
  })

  it("rejects an own write that the watch reported before it was acknowledged", () => {
    const versions = new RowVersions()
    expect(versions.acceptWatched({ key, revision: 2 })).toBe(true)
    expect(versions.acceptOwn({ key, revision: 2 })).toBe(false)
    expect(versions.acceptOwn({ key, revision: 1 })).toBe(false)
  })

  it("rejects a value read before the row was deleted", () => {
    const versions = new RowVersions()
    versions.acceptWatched({ key, revision: 1 })
    expect(versions.acceptWatched({ key, revision: 3 })).toBe(true)
    expect(versions.acceptOwn({ key, revision: 2 })).toBe(false)
    expect(versions.acceptOwn({ key, revision: 4 })).toBe(true)
  })

  it("accepts the revisions of a table that was lost and starts again", () => {
    const versions = new RowVersions()
    versions.acceptWatched({ key, revision: 50 })
    versions.acceptOwn({ key, revision: 60 })
    expect(versions.acceptWatched({ key, revision: 1 })).toBe(true)
    expect(versions.acceptOwn({ key, revision: 2 })).toBe(true)
  })

  it("ends at the newest revision, however late the watch is and whatever it leaves out", () => {
    const news = fc.array(fc.record({ isOwn: fc.boolean(), isWatched: fc.boolean() }), { minLength: 1 })
    fc.assert(
      fc.property(news, (writes) => {
        const versions = new RowVersions()
        let shown = 0
        const unreported: number[] = []
        const reportSome = (count: number) => {
          for (const revision of unreported.splice(0, count)) {
            if (versions.acceptWatched({ key, revision })) shown = revision
          }
        }
        for (const [index, { isOwn, isWatched }] of writes.entries()) {
          const revision = index + 1
          if (isWatched || revision === writes.length) unreported.push(revision)
          if (isOwn && versions.acceptOwn({ key, revision })) shown = revision
          const before = shown
          reportSome(index % 2)
          expect(shown).toBeGreaterThanOrEqual(before)
        }
        reportSome(Infinity)
        expect(shown).toBe(writes.length)
      }),
    )
  })
})
