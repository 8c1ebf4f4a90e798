import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { readBackboneAddress, readOperatorsFile } from "../../../src/cli/input/serve-options.js"
import { formatDidKey } from "../../../src/identity/keys.js"
import { generateKeyPair } from "../../../src/identity/signer.js"
import { Operators } from "../../../src/server/operators.js"
import { temporaryDirectory } from "../../kit/temporary.js"

describe("readBackboneAddress", () => {
  it("accepts credentials only from a file", () => {
    const directory = temporaryDirectory()
    const url = "nats://user:secret@nats.example:4222"
    writeFileSync(join(directory, "nats-url"), `${url}\n`, { mode: 0o600 })
    expect(readBackboneAddress("nats://nats.example", directory)).toBe("nats://nats.example")
    expect(readBackboneAddress("@nats-url", directory)).toBe(url)
    expect(() => readBackboneAddress(url, directory)).toThrow(
      expect.objectContaining({ code: "USAGE", message: expect.not.stringContaining("secret") }),
    )
  })

  it("rejects a missing file, and one that others can read", () => {
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

function fileOf(text: string): string {
  const path = join(temporaryDirectory(), "operators")
  writeFileSync(path, text)
  return path
}

describe("readOperatorsFile", () => {
  it("reads keys and ids, and skips comments", () => {
    const did = formatDidKey(generateKeyPair().publicKey)
    const text = `# us\n${did}  # ann\n\r\n@0123456789abcdef\n`
    const names = readOperatorsFile(fileOf(text), (name) => Operators.of([name]))
    expect(names).toEqual([did, "@0123456789abcdef"])
    const operators = Operators.of(names)
    expect(operators.has("@0123456789abcdef")).toBe(true)
    expect(operators.has("@0123456789abcdee")).toBe(false)
  })

  it.each(["@ann", "@abcdefgh", "ann", "did:key:z6Mk", "*"])("rejects %j, which names no key", (name) => {
    const read = () => readOperatorsFile(fileOf(`# first\n${name}\n`), (line) => Operators.of([line]))
    expect(read).toThrow(`line 2: ${JSON.stringify(name)}`)
  })
})
