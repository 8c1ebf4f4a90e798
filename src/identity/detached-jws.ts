import { LruMap } from "../base/lru-map.js"
import { parseStrictJson } from "../base/strict-json.js"
import { ChatError } from "../protocol/errors.js"
import { formatBase64Url, parseBase64Url } from "./base64.js"
import { canonicalize } from "./canonical-json.js"
import { formatDidKey, type PublicKey, parsePublicKey } from "./keys.js"
import { type KeyPair, sign, verify } from "./signer.js"

/** Maximum length of a signature, in characters. */
const maxCharacters = 1024
const headerMembers = "alg,kid,typ"

/**
 * Signs an object: compact JWS with detached payload (RFC 7515 appendix F), `header..signature`. The payload is the
 * canonical JSON of the object; the header is exactly `{alg: "EdDSA", kid: did:key, typ}`.
 * @param typ - the purpose, such as `agentchat.auth+jws`; a signature for one purpose is invalid for another
 * @throws {ChatError} INVALID_MSG if the object has no canonical form
 */
export function signDetached(statement: object, keyPair: KeyPair, typ: string): string {
  const header = formatHeader(formatDidKey(keyPair.publicKey), typ)
  const signature = sign(signingInput(header, statement), keyPair)
  return `${header}..${formatBase64Url(signature)}`
}

/**
 * Verifies a detached JWS.
 * @param typ - the only accepted type
 * @returns the key that signed; the caller must check that it is the right one
 * @throws {ChatError} VERIFICATION_FAILED, with the reason
 */
export function verifyDetached(jws: string, statement: object, typ: string): PublicKey {
  if (jws.length > maxCharacters) throw failed(`must be at most ${maxCharacters} characters`)
  const [header, payload, signatureText, ...rest] = jws.split(".")
  if (header === undefined || payload !== "" || signatureText === undefined || rest.length > 0) {
    throw failed("must have the form header..signature")
  }
  const key = readHeader(header, typ)
  const signature = parseBase64Url(signatureText)
  if (signature === undefined) throw failed("signature is not base64url")
  if (!verify(signature, signingInput(header, statement), key)) throw failed("does not match the statement")
  return key
}

/** Returns the encoded header that {@link signDetached} writes. @param did - did:key of the signer */
export function formatHeader(did: string, typ: string): string {
  return encode(canonicalize({ alg: "EdDSA", kid: did, typ }))
}

/** Keys of valid headers, by type and header: one agent signs all its messages under the same. */
const recentHeaders = new LruMap<string, PublicKey>(4_096)

function readHeader(encoded: string, typ: string): PublicKey {
  const name = `${typ} ${encoded}`
  const known = recentHeaders.get(name)
  if (known !== undefined) return known
  const key = parseHeader(encoded, typ)
  recentHeaders.set(name, key)
  return key
}

/** Returns the key in a header. Refuses every member, algorithm and type that {@link formatHeader} does not write. */
function parseHeader(encoded: string, typ: string): PublicKey {
  const bytes = parseBase64Url(encoded)
  if (bytes === undefined) throw failed("header is not base64url")
  const header = parseHeaderJson(bytes)
  if (Object.keys(header).sort().join() !== headerMembers) {
    throw failed("header must have exactly alg, kid and typ")
  }
  if (header["alg"] !== "EdDSA") throw failed("alg must be EdDSA")
  if (header["typ"] !== typ) throw failed(`typ must be ${typ}`)
  const kid = header["kid"]
  if (typeof kid !== "string" || !kid.startsWith("did:key:")) throw failed("kid must be a did:key")
  try {
    return parsePublicKey(kid)
  } catch (error) {
    throw error instanceof ChatError ? failed(`kid: ${error.message}`) : error
  }
}

function parseHeaderJson(bytes: Uint8Array): Record<string, unknown> {
  let header: unknown
  try {
    header = parseStrictJson(new TextDecoder("utf-8", { fatal: true }).decode(bytes))
  } catch {
    throw failed("header is not JSON")
  }
  if (typeof header !== "object" || header === null) throw failed("header is not an object")
  return header as Record<string, unknown>
}

function signingInput(header: string, statement: object): Uint8Array {
  return Buffer.from(`${header}.${encode(canonicalize(statement))}`)
}

function encode(text: string): string {
  return formatBase64Url(Buffer.from(text))
}

function failed(problem: string): ChatError {
  return new ChatError("VERIFICATION_FAILED", `signature: ${problem}`)
}
