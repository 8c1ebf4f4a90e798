import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { readOperatorsFile } from "../../../src/cli/input/operators-file.js"
import { formatDidKey } from "../../../src/identity/keys.js"
import { generateKeyPair } from "../../../src/identity/signer.js"
import { Operators } from "../../../src/server/operators.js"
import { temporaryDirectory } from "../../kit/temporary.js"

function fileOf(text: string): string {
  const path = join(temporaryDirectory(), "operators")
  writeFileSync(path, text)
  return path
}

describe("a file of operators", () => {
  it("names keys and their ids, with remarks", () => {
    const did = formatDidKey(generateKeyPair().publicKey)
    const text = `# us\n${did}  # ann\n\r\n@0123456789abcdef\n`
    const names = readOperatorsFile(fileOf(text), (name) => Operators.of([name]))
    expect(names).toEqual([did, "@0123456789abcdef"])
    const operators = Operators.of(names)
    expect(operators.has("@0123456789abcdef")).toBe(true)
    expect(operators.has("@0123456789abcdee")).toBe(false)
  })

  it.each(["@ann", "@abcdefgh", "ann", "did:key:z6Mk", "*"])("%j names nobody who can prove it", (name) => {
    const read = () => readOperatorsFile(fileOf(`# first\n${name}\n`), (line) => Operators.of([line]))
    expect(read).toThrow(`line 2: ${JSON.stringify(name)}`)
  })
})
