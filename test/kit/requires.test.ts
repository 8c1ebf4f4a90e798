import { describe, expect, it, vi } from "vitest"
import { hasAbility, hasProgram } from "./requires.js"

describe("hasProgram", () => {
  it("finds a program on the PATH", () => {
    expect(hasProgram("sh", { PATH: "/usr/bin:/bin", CI: "true" })).toBe(true)
  })

  it("does not take a folder for a program", () => {
    vi.spyOn(console, "warn").mockReturnValue()
    expect(hasProgram("usr", { PATH: "/" })).toBe(false)
  })

  it("fails the tests in CI when the program is missing", () => {
    expect(() => hasProgram("no-such-program", { PATH: "/bin", CI: "true" })).toThrow(
      "no-such-program is missing",
    )
  })
})

describe("hasAbility", () => {
  it("says once what makes tests be skipped", () => {
    const warn = vi.spyOn(console, "warn").mockReturnValue()
    expect(hasAbility("the right to fly", () => false, {})).toBe(false)
    expect(hasAbility("the right to fly", () => false, {})).toBe(false)
    expect(warn).toHaveBeenCalledOnce()
    expect(warn.mock.calls[0]?.[0]).toContain("the right to fly")
  })
})
