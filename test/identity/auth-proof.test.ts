import { sign as opensslSign } from "node:crypto"
import { describe, expect, it } from "vitest"
import {
  signChallenge,
  signCompatChallenge,
  verifyChallenge,
  verifyCompatChallenge,
} from "../../src/identity/auth-proof.js"
import { signDetached } from "../../src/identity/detached-jws.js"
import { generateKeyPair } from "../../src/identity/signer.js"

const keyPair = generateKeyPair()
const claims = { aud: "relay-1", challenge_id: "c1", nonce: "n1", iat: 1_800_000_000 }
const compatClaims = { challenge_id: "c1", nonce: "n1", timestamp: 1_800_000_000_000 }
const failure = expect.objectContaining({ code: "VERIFICATION_FAILED" }) as Error

describe("verifyChallenge", () => {
  it("accepts a proof by the key, whatever other fields the signed object had", () => {
    const sig = signChallenge({ ...claims, type: "CHALLENGE" } as typeof claims, keyPair)
    expect(() => verifyChallenge(sig, claims, keyPair.publicKey)).not.toThrow()
  })

  it.each([
    ["for another relay", { ...claims, aud: "relay-2" }],
    ["of another challenge", { ...claims, challenge_id: "c2" }],
    ["with another nonce", { ...claims, nonce: "n2" }],
    ["of another time", { ...claims, iat: claims.iat + 1 }],
    ["whose fields run into each other", { ...claims, challenge_id: "c1n", nonce: "1" }],
  ])("refuses a proof %s", (_what, other) => {
    const sig = signChallenge(other, keyPair)
    expect(() => verifyChallenge(sig, claims, keyPair.publicKey)).toThrow(failure)
  })

  it("refuses a proof by another key", () => {
    const sig = signChallenge(claims, generateKeyPair())
    expect(() => verifyChallenge(sig, claims, keyPair.publicKey)).toThrow(
      "must be made by the key of IDENTIFY",
    )
  })

  it("refuses a signature with another type", () => {
    const sig = signDetached(claims, keyPair, "agentchat.proposal+jws")
    expect(() => verifyChallenge(sig, claims, keyPair.publicKey)).toThrow(failure)
  })
})

describe("verifyCompatChallenge", () => {
  it("accepts a signature over the text of older versions", () => {
    const text = "AGENTCHAT_AUTH|n1|c1|1800000000000"
    const signature = opensslSign(null, Buffer.from(text), keyPair.privateKey).toString("base64")
    expect(signCompatChallenge(compatClaims, keyPair)).toBe(signature)
    expect(() => verifyCompatChallenge(signature, compatClaims, keyPair.publicKey)).not.toThrow()
  })

  it("refuses a signature of another challenge or key, and text that is not base64", () => {
    const signature = signCompatChallenge(compatClaims, keyPair)
    const other = { ...compatClaims, nonce: "n2" }
    expect(() => verifyCompatChallenge(signature, other, keyPair.publicKey)).toThrow(failure)
    expect(() => verifyCompatChallenge(signature, compatClaims, generateKeyPair().publicKey)).toThrow(failure)
    expect(() => verifyCompatChallenge(`${signature} `, compatClaims, keyPair.publicKey)).toThrow(failure)
  })
})
