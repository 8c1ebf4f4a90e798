import { describe, expect, it } from "vitest"
import { checkPublicKey } from "../../src/identity/keys.js"
import { verify } from "../../src/identity/signer.js"
import wycheproof from "../vectors/wycheproof-ed25519.json" with { type: "json" }

const bytes = (hex: string) => new Uint8Array(Buffer.from(hex, "hex"))

describe("verify", () => {
  it.each(wycheproof.vectors)("is $valid for Wycheproof $tcId: $why", (vector) => {
    const key = checkPublicKey(bytes(vector.publicKey))
    expect(verify(bytes(vector.signature), bytes(vector.message), key)).toBe(vector.valid)
  })

  it("covers valid and invalid vectors", () => {
    const valid = wycheproof.vectors.filter((vector) => vector.valid)
    expect([valid.length, wycheproof.vectors.length]).toEqual([88, 151])
  })
})
