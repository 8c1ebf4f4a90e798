import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { readBackboneAddress } from "../../../src/cli/input/backbone-address.js"
import { temporaryDirectory } from "../../kit/temporary.js"

describe("readBackboneAddress", () => {
  it("takes an address as it is, and one with credentials from a file only", () => {
    const directory = temporaryDirectory()
    const url = "nats://user:secret@nats.example:4222"
    writeFileSync(join(directory, "nats-url"), `${url}\n`, { mode: 0o600 })
    expect(readBackboneAddress("nats://nats.example", directory)).toBe("nats://nats.example")
    expect(readBackboneAddress("@nats-url", directory)).toBe(url)
    expect(() => readBackboneAddress(url, directory)).toThrow(
      expect.objectContaining({ code: "USAGE", message: expect.not.stringContaining("secret") }),
    )
  })

  it("refuses a file that is not there, or that others may read", () => {
    const directory = temporaryDirectory()
    writeFileSync(join(directory, "open"), "nats://x:y@z", { mode: 0o644 })
    expect(() => readBackboneAddress("@none", directory)).toThrow(
      expect.objectContaining({ code: "NOT_FOUND" }),
    )
    expect(() => readBackboneAddress("@open", directory)).toThrow(
      expect.objectContaining({ code: "BAD_IDENTITY" }),
    )
  })
})
