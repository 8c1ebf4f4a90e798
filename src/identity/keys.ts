import { createHash } from "node:crypto"
import { Point } from "@noble/ed25519"
import { LruMap } from "../base/lru-map.js"
import { ChatError } from "../protocol/errors.js"
import type { AgentId } from "../protocol/names.js"
import { formatBase58, parseBase58 } from "./base58.js"
import { formatBase64, parseBase64, parseBase64Url } from "./base64.js"

declare const brand: unique symbol
/** 32 bytes that encode, in the one canonical way, an Ed25519 point that is not of small order. */
export type PublicKey = Uint8Array & { readonly [brand]: "PublicKey" }

const keyBytes = 32
/** Multicodec `ed25519-pub` as an unsigned varint. */
const ed25519Multicodec = [0xed, 0x01] as const
const didPrefix = "did:key:z"
/** The constant DER head of an Ed25519 SubjectPublicKeyInfo (RFC 8410 §4), 12 bytes, in base64. */
const spkiHead = "MCowBQYDK2VwAyEA"
const pem = /^-----BEGIN PUBLIC KEY-----\r?\n([A-Za-z0-9+/=\r\n]+)-----END PUBLIC KEY-----\s*$/

/**
 * Keys by their did:key text. Checking that a key is a point of the curve takes longer than checking a signature
 * by it, and few keys sign much.
 */
const recentKeys = new LruMap<string, PublicKey>(4_096)

/**
 * Reads a public key as did:key, as base64 (standard or URL alphabet) of its 32 bytes, or as SPKI PEM.
 * @throws {ChatError} INVALID_MSG when it is none of these, not a canonical point, or of small order:
 * under such a key one signature fits many messages
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

/** @throws {ChatError} INVALID_MSG when the 32 bytes are no canonical point, or one of small order */
export function checkPublicKey(bytes: Uint8Array): PublicKey {
  let point: Point
  try {
    point = Point.fromBytes(bytes, false)
  } catch {
    throw invalid("is not a canonical point of the curve")
  }
  if (point.isSmallOrder()) throw invalid("is a key of small order")
  return bytes as PublicKey
}

/** The address of whoever holds the key: `@` and the first 16 hex digits of SHA-256 over its 32 bytes. */
export function agentIdOf(key: PublicKey): AgentId {
  return `@${createHash("sha256").update(key).digest("hex").slice(0, 16)}` as AgentId
}

/** `did:key:z6Mk…`; the form used inside signed statements. */
export function formatDidKey(key: PublicKey): string {
  return didPrefix + formatBase58(Uint8Array.from([...ed25519Multicodec, ...key]))
}

/** SPKI PEM, the form of older AgentChat relays. */
export function formatPublicPem(key: PublicKey): string {
  return `-----BEGIN PUBLIC KEY-----\n${spkiHead}${formatBase64(key)}\n-----END PUBLIC KEY-----\n`
}

/** Whether two keys are the same bytes. */
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
