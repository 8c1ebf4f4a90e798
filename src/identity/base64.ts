/**
 * Strict base64: accepts only the canonical spelling. Node's decoder skips unknown characters and ignores trailing bits,
 * so that a key would have many spellings.
 */

/** Decodes the standard alphabet with padding. @returns undefined for any other text */
export function parseBase64(text: string): Uint8Array | undefined {
  return decode(text, "base64")
}

/** Decodes the URL alphabet without padding (RFC 7515 §2). @returns undefined for any other text */
export function parseBase64Url(text: string): Uint8Array | undefined {
  return decode(text, "base64url")
}

/** Encodes with the standard alphabet and padding. */
export function formatBase64(bytes: Uint8Array): string {
  return view(bytes).toString("base64")
}

/** Encodes with the URL alphabet, without padding. */
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
