import { createPublicKey, verify as opensslVerify } from "node:crypto"
import { describe, expect, it } from "vitest"
import { formatPublicPem, parsePublicKey } from "../../src/identity/keys.js"
import { answerIdOf, signerOf, signMessage } from "../../src/identity/message-signature.js"
import { keyPairFromSeed } from "../../src/identity/signer.js"
import vectors from "../vectors/messages.json" with { type: "json" }

describe("the signature of a message", () => {
  it.each(vectors.vectors)("is the published one: $why", ({ seed, facts, sig }) => {
    expect(signMessage(facts, keyPairFromSeed(Buffer.from(seed, "hex")))).toBe(sig)
    expect(signerOf(facts, sig)).toBe(facts.from)
  })

  it.each(vectors.vectors)(
    "is one of OpenSSL over the published bytes: $why",
    ({ did, signingInput, payload, sig }) => {
      const [header = "", body = ""] = signingInput.split(".")
      expect(JSON.parse(Buffer.from(header, "base64url").toString())).toEqual({
        alg: "EdDSA",
        kid: did,
        typ: "agentchat.msg+jws",
      })
      expect(Buffer.from(body, "base64url").toString()).toBe(payload)
      const key = createPublicKey(formatPublicPem(parsePublicKey(did)))
      const bytes = Buffer.from(sig.split(".")[2] ?? "", "base64url")
      expect(opensslVerify(null, Buffer.from(signingInput), key, bytes)).toBe(true)
    },
  )

  const [{ facts, sig, seed } = { facts: { content: "" }, sig: "", seed: "" }] = vectors.vectors
  const signed = facts as Parameters<typeof signerOf>[0]
  const keyPair = keyPairFromSeed(Buffer.from(seed, "hex"))

  it.each([
    "aud",
    "from",
    "id",
    "to",
    "content",
    "parts",
    "kind",
    "in_reply_to",
    "choices",
    "schema",
    "default",
    "ts",
  ])("is not of a message with another %s", (member) => {
    const value = { parts: [{ kind: "data", data: 1 }], ts: 1 }[member] ?? "@x"
    expect(() => signerOf({ ...signed, [member]: value }, sig)).toThrow("does not match")
  })

  it("covers an empty list of parts as none, because a relay passes on none", () => {
    expect(signMessage({ ...signed, parts: [] }, keyPair)).toBe(sig)
  })

  it("is the same each time, so that a message sent again has the same", () => {
    expect(signMessage(signed, keyPair)).toBe(signMessage({ ...signed }, keyPair))
  })

  it("does not exist for a text without a canonical form", () => {
    expect(signMessage({ ...signed, content: "\ud800" }, keyPair)).toBeUndefined()
    const endless: { kind: string; data?: unknown } = { kind: "data" }
    endless.data = endless
    expect(signMessage({ ...signed, parts: [endless] }, keyPair)).toBeUndefined()
  })
})

describe("answerIdOf", () => {
  it("depends on the worker and the task alone", () => {
    const id = answerIdOf("@7f3a9c0e1b2d4f56" as Parameters<typeof answerIdOf>[0], "k3j9x2ab.a1")
    expect(id).toBe("7f3a9c0e1b2d4f56.done.E8i7JG7Ep_ec6NQiBTBG4f")
  })
})
