import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { claimPath, overlap, repositoryName } from "../../src/protocol/claims.js"
import { Fault } from "../../src/protocol/schema.js"

describe("two claimed paths", () => {
  it.each([
    ["src/a.ts", "src/a.ts"],
    ["src/*.ts", "src/a.ts"],
    ["src/a*.ts", "src/*b.ts"],
    ["src/a*c*e.ts", "src/abcde.ts"],
    ["src/**", "src/deep/er/a.ts"],
    ["**", "a"],
    ["**/*.ts", "src/x/a.ts"],
    ["**/*.ts", "a.ts"],
    ["src/**/*.ts", "**/test/*"],
    ["src/**/a/**/z.ts", "src/b/a/c/d/z.ts"],
    ["src", "src/a.ts"],
    ["src", "src/**"],
    ["src/*/a.ts", "*/b/*"],
    ["app/[id]/page.tsx", "app/[id]/*"],
  ])("%s and %s overlap", (a, b) => {
    expect([overlap(a, b), overlap(b, a)]).toEqual([true, true])
  })

  it.each([
    ["src/a.ts", "src/b.ts"],
    ["src/*.ts", "src/a.js"],
    ["src/*.ts", "src/deep/a.ts"],
    ["src/**", "srcs/a.ts"],
    ["**/*.ts", "src/a.js"],
    ["src/**/*.ts", "test/**"],
    ["a*.ts", "b*.ts"],
    ["*a.ts", "*b.ts"],
    ["src", "source/a.ts"],
    ["src/**/a/**/z.ts", "src/b/c/d/z.ts"],
    ["Src/a.ts", "src/a.ts"],
    ["app/[id]/page.tsx", "app/i/page.tsx"],
  ])("%s and %s do not overlap", (a, b) => {
    expect([overlap(a, b), overlap(b, a)]).toEqual([false, false])
  })

  it("overlap exactly if some file is meant by both", () => {
    const part = fc.constantFrom("a", "b", "ab", "*", "a*", "*b", "**")
    const glob = fc.array(part, { minLength: 1, maxLength: 4 })
    const names = ["a", "b", "ab", "aab", "abb", "ba"]
    const files = [1, 2, 3, 4].flatMap((length) => tuples(names.slice(0, length === 4 ? 3 : 6), length))
    fc.assert(
      fc.property(glob, glob, (one, other) => {
        const both = files.some((file) => means(one, file) && means(other, file))
        if (both) expect(overlap(one.join("/"), other.join("/"))).toBe(true)
        const isClear = !one.concat(other).some((segment) => segment.includes("*"))
        if (isClear && !both && one.length === other.length) {
          expect(overlap(one.join("/"), other.join("/"))).toBe(false)
        }
      }),
      { numRuns: 300 },
    )
  })

  it("are compared in a time that nobody can blow up", () => {
    const hostile = `**/${"a*".repeat(4)}/z`
    const other = `${"a".repeat(200)}/${"a/".repeat(25)}y`
    for (const path of [hostile, other]) expect(claimPath.read(path)).toBe(path)
    for (let i = 0; i < 2_000; i++) expect(overlap(hostile, other)).toBe(false)
  })
})

describe("a claimed path", () => {
  it.each(["a", "src/a.ts", "src/**", "日本/é.md", "a b/c'\"$;.ts", ".github/x", "..a/b...", "[id].tsx"])(
    "may be %s",
    (path) => expect(claimPath.read(path)).toBe(path),
  )

  it.each([
    ...[
      "",
      "/etc/passwd",
      "../a",
      "a/../b",
      "./a",
      "a/.",
      "a//b",
      "a/",
      "a\\b",
      "a\nb",
      "a\u0000",
      "a\u2028b",
    ],
    ...["\u001b[31m", "\ud800", "x".repeat(257), 7, null],
  ])("may not be %j", (path) => {
    expect(claimPath.read(path)).toBeInstanceOf(Fault)
  })

  it.each(["github.com/acme/shop", "shop", "host.example/~user/x"])("may be of %s", (name) => {
    expect(repositoryName.read(name)).toBe(name)
  })

  it.each(["", "GitHub.com/a", "a//b", "/a", "a/", "a b", "-a", "../a", "a\n", "x".repeat(201)])(
    "may not be of %j",
    (name) => {
      expect(repositoryName.read(name)).toBeInstanceOf(Fault)
    },
  )
})

/** Matches a file against a glob in the plain way. */
function means(glob: readonly string[], file: readonly string[]): boolean {
  const [first, ...rest] = glob
  if (first === undefined) return file.length === 0
  if (first === "**") return means(rest, file) || (file.length > 0 && means(glob, file.slice(1)))
  const [name, ...below] = file
  if (name === undefined) return false
  return new RegExp(`^${first.replaceAll("*", ".*")}$`).test(name) && means(rest, below)
}

function tuples(names: readonly string[], length: number): string[][] {
  if (length === 0) return [[]]
  return tuples(names, length - 1).flatMap((rest) => names.map((name) => [name, ...rest]))
}
