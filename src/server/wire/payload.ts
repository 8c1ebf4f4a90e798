/** One message as it goes out: JSON, in pieces that need not be joined to be written. */
export interface Payload {
  readonly pieces: readonly string[]
  /** Size in UTF-8. */
  readonly bytes: number
  /** Whether every character is one byte. */
  readonly isAscii: boolean
}

/** Any text. */
export function payloadOf(text: string): Payload {
  const bytes = Buffer.byteLength(text)
  return { pieces: [text], bytes, isAscii: bytes === text.length }
}

/** Text that is known to be ASCII; the pieces are never joined, which saves half of what one message allocates. */
export function asciiPayload(pieces: readonly string[]): Payload {
  let bytes = 0
  for (const piece of pieces) bytes += piece.length
  return { pieces, bytes, isAscii: true }
}

/** The payload as one text. */
export function textOf({ pieces }: Payload): string {
  return pieces.join("")
}
