import { createPublicKey, verify as opensslVerify } from "node:crypto"
import { describe, expect, it } from "vitest"
import { signDetached, verifyDetached } from "../../src/identity/detached-jws.js"
import { formatDidKey, formatPublicPem } from "../../src/identity/keys.js"
import { generateKeyPair, keyPairFromSeed, sign } from "../../src/identity/signer.js"
import vectors from "../vectors/detached-jws.json" with { type: "json" }

const keyPair = keyPairFromSeed(Buffer.alloc(32, 7))
const statement = { v: 1, type: "NOTE", text: "x|5", amount: "0.05" }
const typ = "agentchat.note+jws"
const jws = signDetached(statement, keyPair, typ)
const failed = (message: string): Error =>
  expect.objectContaining({
    code: "VERIFICATION_FAILED",
    message: expect.stringContaining(message) as string,
  }) as Error

describe("signDetached", () => {
  it.each(vectors.vectors)(
    "returns the published signature: $why",
    ({ seed, typ: type, statement: signed, jws: text }) => {
      const pair = keyPairFromSeed(Buffer.from(seed, "hex"))
      expect(signDetached(signed, pair, type)).toBe(text)
      expect(verifyDetached(text, signed, type)).toEqual(pair.publicKey)
    },
  )

  it("signs header and canonical statement as RFC 7515 says", () => {
    const [header = "", payload, signature = ""] = jws.split(".")
    expect(JSON.parse(Buffer.from(header, "base64url").toString())).toEqual({
      alg: "EdDSA",
      kid: formatDidKey(keyPair.publicKey),
      typ,
    })
    expect(payload).toBe("")
    const canonical = '{"amount":"0.05","text":"x|5","type":"NOTE","v":1}'
    const input = Buffer.from(`${header}.${Buffer.from(canonical).toString("base64url")}`)
    const key = createPublicKey(formatPublicPem(keyPair.publicKey))
    expect(opensslVerify(null, input, key, Buffer.from(signature, "base64url"))).toBe(true)
  })
})

describe("verifyDetached", () => {
  it("returns the key that signed", () => {
    expect(verifyDetached(jws, statement, typ)).toEqual(keyPair.publicKey)
  })

  it("accepts the members of the statement in any order", () => {
    const { amount, ...rest } = statement
    expect(verifyDetached(jws, { amount, ...rest }, typ)).toEqual(keyPair.publicKey)
  })

  it("refuses another statement, and the same one under another type", () => {
    expect(() => verifyDetached(jws, { ...statement, amount: "0.50" }, typ)).toThrow(failed("does not match"))
    expect(() => verifyDetached(jws, { ...statement, extra: null }, typ)).toThrow(failed("does not match"))
    expect(() => verifyDetached(jws, statement, "agentchat.other+jws")).toThrow(failed("typ must be"))
  })

  it("refuses a signature with any one character changed", () => {
    for (let i = 0; i < jws.length; i++) {
      const changed = `${jws.slice(0, i)}${jws[i] === "A" ? "B" : "A"}${jws.slice(i + 1)}`
      expect(() => verifyDetached(changed, statement, typ)).toThrow(failed("signature: "))
    }
  })

  it.each([
    ["alg none", { alg: "none", kid: did(), typ }, "alg must be EdDSA"],
    ["another alg", { alg: "HS256", kid: did(), typ }, "alg must be EdDSA"],
    ["no kid", { alg: "EdDSA", typ }, "alg, kid and typ"],
    ["crit", { alg: "EdDSA", kid: did(), typ, crit: ["b64"], b64: false }, "exactly alg, kid and typ"],
    ["a key of its own", { alg: "EdDSA", kid: did(), typ, jwk: {} }, "exactly alg, kid and typ"],
    ["a kid that is no did:key", { alg: "EdDSA", kid: "me", typ }, "kid must be a did:key"],
    ["a kid that is no text", { alg: "EdDSA", kid: 1, typ }, "kid must be a did:key"],
    ["a kid with a fragment", { alg: "EdDSA", kid: `${did()}#key`, typ }, "kid: pubkey"],
    ["a list instead of an object", ["EdDSA"], "alg, kid and typ"],
    ["null instead of an object", null, "not an object"],
  ])("refuses a signed header with %s", (_what, header, message) => {
    expect(() => verifyDetached(signedWith(JSON.stringify(header)), statement, typ)).toThrow(failed(message))
  })

  it("refuses a header with a member twice, or that is no JSON", () => {
    const twice = `{"alg":"EdDSA","alg":"EdDSA","kid":"${did()}","typ":"${typ}"}`
    expect(() => verifyDetached(signedWith(twice), statement, typ)).toThrow(failed("header is not JSON"))
    expect(() => verifyDetached(signedWith("\u0000"), statement, typ)).toThrow(failed("header is not JSON"))
  })

  it.each([
    ["an attached payload", jws.replace("..", ".e30.")],
    ["a missing part", jws.replace("..", ".")],
    ["a part too many", `${jws}.`],
    ["padding", `${jws}==`],
    ["the standard alphabet", `${jws.slice(0, -4)}+/+/`],
    ["white space", `${jws} `],
    ["no characters", ""],
    ["a million characters", "A".repeat(1_000_000)],
  ])("refuses a signature with %s", (_what, text) => {
    expect(() => verifyDetached(text, statement, typ)).toThrow(failed("signature: "))
  })

  it("refuses a signature by another key than the header names", () => {
    const other = signDetached(statement, generateKeyPair(), typ)
    const mixed = `${String(jws.split(".")[0])}..${String(other.split(".")[2])}`
    expect(() => verifyDetached(mixed, statement, typ)).toThrow(failed("does not match"))
  })
})

function did(): string {
  return formatDidKey(keyPair.publicKey)
}

/** Returns a valid signature over `statement` with this text as its header. */
function signedWith(header: string): string {
  const encoded = Buffer.from(header).toString("base64url")
  const canonical = '{"amount":"0.05","text":"x|5","type":"NOTE","v":1}'
  const input = Buffer.from(`${encoded}.${Buffer.from(canonical).toString("base64url")}`)
  return `${encoded}..${Buffer.from(sign(input, keyPair)).toString("base64url")}`
}
