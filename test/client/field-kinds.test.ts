import { describe, expect, it } from "vitest"
import { checkOf, type Kind } from "../../src/client/field-kinds.js"

const id = "@aaaaaaaaaaaaaaaa"

describe("what a field of a server message may be", () => {
  it.each([
    ["text", ["", "x"], [undefined, null, 1, ["x"]]],
    ["agent", [id], ["bob", "@", "", 7]],
    ["waitedFor", [id, "+reviewer"], ["#general", "reviewer"]],
    ["count", [0, 3], [-1, 1.5, Number.MAX_SAFE_INTEGER + 1, "3"]],
    ["time", [-1, 0.5], [Number.NaN, Number.POSITIVE_INFINITY, "1"]],
    ["wait", [0, 86_400_000], [-1, 86_400_001, "0"]],
    ["texts", [[], ["a"]], ["a", [1], [["a"]]]],
    ["object", [{}, { a: 1 }], [null, []]],
    ["acked", ["accepted", "done"], ["mirrored", ""]],
    ["people", [[], [{ id, name: "bob" }]], [[{ id }], [null], { id, name: "bob" }]],
    ["settings", [{}, { replay: false, later: 1 }], [{ replay: "no" }, null]],
  ] as [Kind, unknown[], unknown[]][])("%s", (kind, good, bad) => {
    for (const value of good) expect([value, checkOf(kind)(value)]).toEqual([value, true])
    for (const value of bad) expect([value, checkOf(kind)(value)]).toEqual([value, false])
  })

  it("may be absent only where it says so; null is not absent", () => {
    expect([checkOf("text")(undefined), checkOf("text?")(undefined), checkOf("text?")(null)]).toEqual([
      false,
      true,
      false,
    ])
    expect(checkOf("text?")(1)).toBe(false)
  })
})
