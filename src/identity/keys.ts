import { createHash } from "node:crypto"
import { Point } from "@noble/ed25519"
import { LruMap } from "../base/lru-map.js"
import { ChatError } from "../protocol/errors.js"
import type { AgentId } from "../protocol/names.js"
import { formatBase58, parseBase58 } from "./base58.js"
import { formatBase64, parseBase64, parseBase64Url } from "./base64.js"

declare const brand: unique symbol
/** The canonical 32-byte encoding of an Ed25519 point that is not of small order. */
export type PublicKey = Uint8Array & { readonly [brand]: "PublicKey" }

const keyBytes = 32
/** Multicodec `ed25519-pub` as an unsigned varint. */
const ed25519Multicodec = [0xed, 0x01] as const
const didPrefix = "did:key:z"
/** The constant 12-byte DER prefix of an Ed25519 SubjectPublicKeyInfo (RFC 8410 §4), in base64. */
const spkiHead = "MCowBQYDK2VwAyEA"
const pem = /^-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PUBLIC KEY-----\s*$/

/**
 * Parsed keys by did:key. Checking that a key is a point of the curve takes longer than checking a signature, and a few
 * keys make most signatures.
 */
const recentKeys = new LruMap<string, PublicKey>(4_096)

/**
 * Parses a public key: did:key, base64 (standard or URL alphabet) of 32 bytes, or SPKI PEM.
 * @throws {ChatError} INVALID_MSG for any other text, a point that is not canonical, or a key of small order, for which
 * one signature is valid for many messages
 */
export function parsePublicKey(text: string): PublicKey {
  const known = recentKeys.get(text)
  if (known !== undefined) return known
  const bytes = decodeKeyText(text)
  if (bytes?.length !== keyBytes) {
    throw invalid("must be an Ed25519 key as did:key, base64 of 32 bytes, or SPKI PEM")
  }
  const key = checkPublicKey(bytes)
  if (text.startsWith(didPrefix)) recentKeys.set(text, key)
  return key
}

/** Checks 32 bytes. @throws {ChatError} INVALID_MSG if they are not a canonical point, or one of small order */
export function checkPublicKey(bytes: Uint8Array): PublicKey {
  let point: Point
  try {
    point = Point.fromBytes(bytes, false)
  } catch {
    throw invalid("must be a canonical point of the curve")
  }
  if (point.isSmallOrder()) throw invalid("must not be of small order")
  return bytes as PublicKey
}

/** Returns the agent id of a key: `@` and the first 16 hex digits of the SHA-256 of its 32 bytes. */
export function agentIdOf(key: PublicKey): AgentId {
  return `@${createHash("sha256").update(key).digest("hex").slice(0, 16)}` as AgentId
}

/** Formats a key as did:key, such as `did:key:z6Mk…`: the form in signed statements. */
export function formatDidKey(key: PublicKey): string {
  return didPrefix + formatBase58(Uint8Array.from([...ed25519Multicodec, ...key]))
}

/** Formats a key as SPKI PEM, for relays of older versions. */
export function formatPublicPem(key: PublicKey): string {
  return `-----BEGIN PUBLIC KEY-----\n${spkiHead}${formatBase64(key)}\n-----END PUBLIC KEY-----\n`
}

export function isSameKey(a: PublicKey, b: PublicKey): boolean {
  return Buffer.compare(a, b) === 0
}

function decodeKeyText(text: string): Uint8Array | undefined {
  if (text.startsWith("did:")) return decodeDidKey(text)
  const body = pem.exec(text)?.[1]?.replace(/[\r\n]/g, "")
  if (body !== undefined) {
    return body.startsWith(spkiHead) ? parseBase64(body.slice(spkiHead.length)) : undefined
  }
  return parseBase64(text) ?? parseBase64Url(text)
}

function decodeDidKey(text: string): Uint8Array | undefined {
  if (!text.startsWith(didPrefix)) return undefined
  const bytes = parseBase58(text.slice(didPrefix.length))
  const [first, second] = ed25519Multicodec
  return bytes?.[0] === first && bytes[1] === second ? bytes.slice(ed25519Multicodec.length) : undefined
}

function invalid(problem: string): ChatError {
  return new ChatError("INVALID_MSG", `pubkey: ${problem}`)
}
