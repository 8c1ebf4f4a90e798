import { createHash, createPublicKey, verify as opensslVerify } from "node:crypto"
import { inspect } from "node:util"
import { hashes, sign as nobleSign, verify as nobleVerify, Point } from "@noble/ed25519"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { checkPublicKey, formatPublicPem } from "../../src/identity/keys.js"
import {
  exportSeed,
  generateKeyPair,
  keyPairFromPem,
  keyPairFromSeed,
  sign,
  verify,
} from "../../src/identity/signer.js"

hashes.sha512 = (message) => new Uint8Array(createHash("sha512").update(message).digest())

import rfc8032 from "../vectors/ed25519.json" with { type: "json" }

const hex = (text: string) => new Uint8Array(Buffer.from(text, "hex"))
/** The order of the group (RFC 8032). */
const groupOrder = 2n ** 252n + 27742317777372353535851937790883648493n
const keyPair = keyPairFromSeed(hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
const message = new TextEncoder().encode("a statement")

describe("sign", () => {
  it.each(rfc8032.vectors)("agrees with RFC 8032 for the key $publicKey", (vector) => {
    const pair = keyPairFromSeed(hex(vector.seed))
    expect(pair.publicKey).toEqual(hex(vector.publicKey))
    expect(sign(hex(vector.message), pair)).toEqual(hex(vector.signature))
    expect(verify(hex(vector.signature), hex(vector.message), pair.publicKey)).toBe(true)
  })

  it("returns the same bytes as another implementation", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(sign(bytes, keyPair)).toEqual(nobleSign(bytes, exportSeed(keyPair)))
      }),
      { numRuns: 20 },
    )
  })
})

describe("verify", () => {
  it("agrees with another strict implementation on valid and damaged signatures", () => {
    fc.assert(
      fc.property(fc.nat({ max: 64 * 8 }), fc.uint8Array({ maxLength: 40 }), (bit, message) => {
        const signature = sign(message, keyPair)
        if (bit < 64 * 8) signature[bit >> 3] = (signature[bit >> 3] ?? 0) ^ (1 << (bit & 7))
        const other = nobleVerify(signature, message, keyPair.publicKey, { zip215: false })
        expect(verify(signature, message, keyPair.publicKey)).toBe(other)
      }),
      { numRuns: 60 },
    )
  })

  it("accepts the signature of any key over any message", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ minLength: 32, maxLength: 32 }),
        fc.uint8Array({ maxLength: 300 }),
        (seed, bytes) => {
          const pair = keyPairFromSeed(seed)
          expect(verify(sign(bytes, pair), bytes, pair.publicKey)).toBe(true)
        },
      ),
      { numRuns: 25 },
    )
  })

  it("refuses a signature with any one bit flipped", () => {
    const signature = sign(message, keyPair)
    for (let bit = 0; bit < signature.length * 8; bit++) {
      expect(verify(flip(signature, bit), message, keyPair.publicKey)).toBe(false)
    }
  })

  it("refuses a message with any one bit flipped, and another key", () => {
    const signature = sign(message, keyPair)
    for (let bit = 0; bit < message.length * 8; bit++) {
      expect(verify(signature, flip(message, bit), keyPair.publicKey)).toBe(false)
    }
    expect(verify(signature, message, generateKeyPair().publicKey)).toBe(false)
  })

  it("refuses S + n·L, which satisfies the equation but is not canonical", () => {
    const signature = sign(message, keyPair)
    const s = littleEndian(signature.subarray(32))
    for (let n = 1n; s + n * groupOrder < 2n ** 256n; n++) {
      const malleated = Uint8Array.from([...signature.subarray(0, 32), ...toLittleEndian(s + n * groupOrder)])
      expect(verify(malleated, message, keyPair.publicKey)).toBe(false)
    }
  })

  it("refuses R that is not canonical or not on the curve", () => {
    const s = sign(message, keyPair).subarray(32)
    for (const r of ["ed", "ee", "ff"].map((low) => hex(`${low}${"ff".repeat(30)}7f`))) {
      expect(verify(Uint8Array.from([...r, ...s]), message, keyPair.publicKey)).toBe(false)
    }
  })

  it("refuses signatures of another length", () => {
    const signature = sign(message, keyPair)
    expect(verify(signature.subarray(1), message, keyPair.publicKey)).toBe(false)
    expect(verify(Uint8Array.from([...signature, 0]), message, keyPair.publicKey)).toBe(false)
    expect(verify(new Uint8Array(0), message, keyPair.publicKey)).toBe(false)
    expect(verify(new Uint8Array(64), message, keyPair.publicKey)).toBe(false)
  })

  it("agrees with OpenSSL on random mutations", () => {
    const pem = createPublicKey(formatPublicPem(keyPair.publicKey))
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 64, maxLength: 64 }), fc.nat(63), (noise, prefixLength) => {
        const mixed = Uint8Array.from([
          ...sign(message, keyPair).subarray(0, prefixLength),
          ...noise.subarray(prefixLength),
        ])
        expect(verify(mixed, message, keyPair.publicKey)).toBe(opensslVerify(null, message, pem, mixed))
      }),
      { numRuns: 25 },
    )
  })
})

describe("a key pair", () => {
  it("a key pair shows no secret when it is printed or serialized", () => {
    const secret = Buffer.from(exportSeed(keyPair))
    const shown = inspect(keyPair, { depth: 9, showHidden: true }) + JSON.stringify(keyPair)
    for (const encoding of ["hex", "base64", "base64url"] as const) {
      expect(shown).not.toContain(secret.toString(encoding).slice(0, 12))
    }
  })

  it("keyPairFromPem accepts only PKCS #8 PEM of Ed25519", () => {
    const pem = keyPair.privateKey.export({ format: "pem", type: "pkcs8" }).toString()
    expect(keyPairFromPem(pem)?.publicKey).toEqual(keyPair.publicKey)
    expect(keyPairFromPem(pem.replace("MC4CAQ", "MC4CAA"))).toBeUndefined()
    expect(keyPairFromPem("")).toBeUndefined()
  })

  it("a public key is in the group that the base point generates", () => {
    for (let i = 0; i < 5; i++) {
      const { publicKey } = generateKeyPair()
      expect(Point.fromBytes(checkPublicKey(publicKey)).isTorsionFree()).toBe(true)
    }
  })
})

function flip(bytes: Uint8Array, bit: number): Uint8Array {
  const flipped = Uint8Array.from(bytes)
  flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7))
  return flipped
}

function littleEndian(bytes: Uint8Array): bigint {
  return bytes.reduceRight((value, byte) => value * 256n + BigInt(byte), 0n)
}

function toLittleEndian(value: bigint): number[] {
  return Array.from({ length: 32 }, (_, index) => Number((value >> BigInt(8 * index)) & 255n))
}
