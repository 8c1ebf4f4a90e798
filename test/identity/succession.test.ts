import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../src/identity/signer.js"
import {
  signRevocation,
  signRotation,
  verifyRevocation,
  verifyRotation,
} from "../../src/identity/succession.js"

const [oldKey, newKey, stranger] = [generateKeyPair(), generateKeyPair(), generateKeyPair()]
const rotation = signRotation(oldKey, newKey, 1_800_000_000_000)
const revocation = signRevocation(oldKey, 1_800_000_000_000, "laptop lost")
const failure = expect.objectContaining({ code: "VERIFICATION_FAILED" }) as Error

describe("verifyRotation", () => {
  it("accepts a rotation that both keys signed, read back from JSON", () => {
    expect(() => verifyRotation(JSON.parse(JSON.stringify(rotation)) as typeof rotation)).not.toThrow()
  })

  it.each([
    ["another time", { ...rotation, ts: rotation.ts + 1 }],
    ["another successor", { ...rotation, to: signRotation(oldKey, stranger, rotation.ts).to }],
    ["another predecessor", { ...rotation, from: signRotation(stranger, newKey, rotation.ts).from }],
    ["another member", { ...rotation, note: "x" }],
    ["the signatures swapped", { ...rotation, sigs: [rotation.sigs[1], rotation.sigs[0]] as const }],
    ["the old key's signature twice", { ...rotation, sigs: [rotation.sigs[0], rotation.sigs[0]] as const }],
    ["the new key's signature twice", { ...rotation, sigs: [rotation.sigs[1], rotation.sigs[1]] as const }],
  ])("refuses a rotation with %s", (_what, changed) => {
    expect(() => verifyRotation(changed)).toThrow(failure)
  })
})

describe("verifyRevocation", () => {
  it("accepts a revocation signed by its key, with and without a reason", () => {
    expect(() => verifyRevocation(JSON.parse(JSON.stringify(revocation)) as typeof revocation)).not.toThrow()
    expect(() => verifyRevocation(signRevocation(oldKey, 0))).not.toThrow()
  })

  it.each([
    ["another reason", { ...revocation, reason: "bored" }],
    ["another time", { ...revocation, ts: 1 }],
    ["another key", { ...revocation, from: rotation.to }],
    [
      "a stranger's signature",
      { ...revocation, sig: signRevocation(stranger, revocation.ts, "laptop lost").sig },
    ],
    ["the signature of a rotation", { ...revocation, sig: rotation.sigs[0] }],
  ])("refuses a revocation with %s", (_what, changed) => {
    expect(() => verifyRevocation(changed)).toThrow(failure)
  })
})
