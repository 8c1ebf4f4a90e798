import { describe, expect, it } from "vitest"
import { closestNames } from "../../src/base/closest-names.js"

describe("closestNames", () => {
  it.each([
    ["genral", ["general"]],
    ["GENERAL", ["general"]],
    ["geenral", ["general"]],
    ["generall", ["general"]],
    ["skils", ["skills"]],
    ["agent", ["agents"]],
    ["entirely-else", []],
    ["", []],
  ])("corrects %j to %j", (text, names) => {
    expect(closestNames(text, ["agents", "general", "skills"])).toEqual(names)
  })

  it("returns the nearest first, and no more than asked", () => {
    expect(closestNames("build", ["builds", "guild", "build-2", "build"], 3)).toEqual([
      "build",
      "builds",
      "guild",
    ])
  })

  it("does not compare long names, nor all of very many", () => {
    expect(closestNames("x".repeat(81), ["x".repeat(81)])).toEqual([])
    const many = Array.from({ length: 2000 }, (_, i) => `other-${i}`)
    expect(closestNames("bob", [...many, "bob"])).toEqual([])
  })
})
