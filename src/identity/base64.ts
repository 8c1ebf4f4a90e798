/**
 * Node's decoder skips what it does not know and ignores stray low bits, so one key would have many
 * spellings. These accept the one spelling each byte string has, and nothing else.
 */

/** Standard alphabet with padding; `undefined` for any other text. */
export function parseBase64(text: string): Uint8Array | undefined {
  return decode(text, "base64")
}

/** URL alphabet without padding (RFC 7515 §2); `undefined` for any other text. */
export function parseBase64Url(text: string): Uint8Array | undefined {
  return decode(text, "base64url")
}

/** The inverse of {@link parseBase64}. */
export function formatBase64(bytes: Uint8Array): string {
  return view(bytes).toString("base64")
}

/** The inverse of {@link parseBase64Url}. */
export function formatBase64Url(bytes: Uint8Array): string {
  return view(bytes).toString("base64url")
}

function decode(text: string, encoding: "base64" | "base64url"): Uint8Array | undefined {
  const bytes = Buffer.from(text, encoding)
  return bytes.toString(encoding) === text ? new Uint8Array(bytes) : undefined
}

function view(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
