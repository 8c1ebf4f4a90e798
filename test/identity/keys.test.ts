import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { formatBase58, parseBase58 } from "../../src/identity/base58.js"
import { formatBase64, formatBase64Url } from "../../src/identity/base64.js"
import {
  agentIdOf,
  checkPublicKey,
  formatDidKey,
  formatPublicPem,
  parsePublicKey,
} from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import refused from "../vectors/refused-keys.json" with { type: "json" }

const rfcKey = Buffer.from("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "hex")
const rfcDid = "did:key:z6MktwupdmLXVVqTzCw4i46r4uGyosGXRnR3XjN4Zq7oMMsw"
const rfcPem =
  "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"

describe("parsePublicKey", () => {
  it("reads did:key, both base64 alphabets and PEM as the same key", () => {
    const spellings = [
      rfcDid,
      "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=",
      "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
      rfcPem,
      rfcPem.replaceAll("\n", "\r\n"),
    ]
    for (const text of spellings) expect(Buffer.from(parsePublicKey(text))).toEqual(rfcKey)
  })

  it("reads every format that a key is written in", () => {
    for (let i = 0; i < 20; i++) {
      const { publicKey } = generateKeyPair()
      for (const format of [formatDidKey, formatBase64, formatBase64Url, formatPublicPem]) {
        expect(parsePublicKey(format(publicKey))).toEqual(publicKey)
      }
    }
  })

  it.each(refused.keys)("refuses a key of small order or not in canonical form: $why", ({ hex }) => {
    const bytes = new Uint8Array(Buffer.from(hex, "hex"))
    expect(() => checkPublicKey(bytes)).toThrow(/canonical|small order/)
    const did = `did:key:z${formatBase58(Uint8Array.from([0xed, 0x01, ...bytes]))}`
    expect(() => parsePublicKey(did)).toThrow(expect.objectContaining({ code: "INVALID_MSG" }))
    expect(() => parsePublicKey(formatBase64(bytes))).toThrow(
      expect.objectContaining({ code: "INVALID_MSG" }),
    )
  })

  it.each([
    ["an empty text", ""],
    ["a DID of another method", "did:web:example.org"],
    ["a did:key of another key type", `did:key:z${formatBase58(Uint8Array.from([0xec, 0x01, ...rfcKey]))}`],
    ["a did:key with one byte more", `did:key:z${formatBase58(Uint8Array.from([0xed, 0x01, ...rfcKey, 0]))}`],
    ["a did:key with a fragment", `${rfcDid}#${rfcDid.slice(8)}`],
    ["a did:key with a zero digit", rfcDid.replace("z6M", "z60")],
    ["31 bytes", formatBase64(rfcKey.subarray(1))],
    ["base64 without its padding", formatBase64(rfcKey).replace("=", "")],
    ["base64 with stray low bits", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURp="],
    ["base64 with white space", ` ${formatBase64(rfcKey)}`],
    ["PEM of another algorithm", rfcPem.replace("MCowBQYDK2Vw", "MCowBQYDK2Vu")],
    ["PEM with text before it", `x${rfcPem}`],
    ["a private key", "-----BEGIN PRIVATE KEY-----\nMCowBQYDK2VwAyEA\n-----END PRIVATE KEY-----\n"],
  ])("refuses %s as a public key", (_what, text) => {
    expect(() => parsePublicKey(text)).toThrow(expect.objectContaining({ code: "INVALID_MSG" }))
  })

  it("throws only ChatError, for any text", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.base64String(),
          fc.string().map((text) => `did:key:z${text}`),
        ),
        (text) => {
          try {
            parsePublicKey(text)
          } catch (error) {
            expect(error).toMatchObject({ name: "ChatError", code: "INVALID_MSG" })
          }
        },
      ),
    )
  })
})

describe("agentIdOf", () => {
  it("an agent id is @ and the first 16 hex digits of the key's SHA-256", () => {
    expect(agentIdOf(parsePublicKey(rfcDid))).toBe("@21fe31dfa154a261")
  })
})

describe("formatBase58", () => {
  it("parseBase58 reverses formatBase58, including leading zero bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 40 }), (bytes) => {
        expect(parseBase58(formatBase58(bytes))).toEqual(bytes)
      }),
    )
  })

  it("refuses characters outside the alphabet and texts too long for a key", () => {
    for (const text of ["0", "O", "I", "l", "+", "1".repeat(65)]) expect(parseBase58(text)).toBeUndefined()
  })
})
