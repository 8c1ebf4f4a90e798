/** One outgoing message: JSON, in pieces that need not be joined before they are written. */
export interface Payload {
  readonly pieces: readonly string[]
  /** Size in UTF-8. */
  readonly bytes: number
  /** True if every character takes one byte. */
  readonly isAscii: boolean
}

/** Makes a payload of any text. */
export function payloadOf(text: string): Payload {
  const bytes = Buffer.byteLength(text)
  return { pieces: [text], bytes, isAscii: bytes === text.length }
}

/** Makes a payload of ASCII text. The pieces are never joined, which halves what one message allocates. */
export function asciiPayload(pieces: readonly string[]): Payload {
  let bytes = 0
  for (const piece of pieces) bytes += piece.length
  return { pieces, bytes, isAscii: true }
}

export function textOf({ pieces }: Payload): string {
  return pieces.join("")
}

/** FIN and opcode 1, a whole text message (RFC 6455 §5.2); a server never masks (§5.1). */
const textOpcode = 0x81
const length16 = 126
const length64 = 127
/** Up to this many characters a loop is faster than Buffer's own writer. */
const shortPiece = 40

/** Returns the size of an unmasked text frame with `payloadBytes` of payload. */
export function frameBytes(payloadBytes: number): number {
  return headerBytes(payloadBytes) + payloadBytes
}

/**
 * Writes a message as one unmasked WebSocket text frame.
 * @returns the offset after the frame
 */
export function writeFrame(target: Buffer, offset: number, payload: Payload): number {
  const start = writeHeader(target, offset, payload.bytes)
  if (payload.isAscii) writeAscii(target, start, payload.pieces)
  else target.write(textOf(payload), start)
  return start + payload.bytes
}

/** Returns the text of one frame that {@link writeFrame} wrote. */
export function readFrame(frame: Buffer): string {
  return frame.toString("utf8", headerBytesOf(frame[1] ?? 0))
}

function writeAscii(target: Buffer, offset: number, pieces: readonly string[]): void {
  let at = offset
  for (const piece of pieces) {
    const { length } = piece
    if (length > shortPiece) target.write(piece, at, length, "latin1")
    else for (let i = 0; i < length; i++) target[at + i] = piece.charCodeAt(i)
    at += length
  }
}

/** @param length - the 7 bits of length in a frame's second byte */
function headerBytesOf(length: number): number {
  if (length < length16) return 2
  return length === length16 ? 4 : 10
}

function headerBytes(payloadBytes: number): number {
  return headerBytesOf(payloadBytes < length16 ? payloadBytes : payloadBytes < 0x1_0000 ? length16 : length64)
}

function writeHeader(target: Buffer, offset: number, payloadBytes: number): number {
  target[offset] = textOpcode
  if (payloadBytes < length16) {
    target[offset + 1] = payloadBytes
    return offset + 2
  }
  if (payloadBytes < 0x1_0000) {
    target[offset + 1] = length16
    target[offset + 2] = payloadBytes >>> 8
    target[offset + 3] = payloadBytes & 0xff
    return offset + 4
  }
  target[offset + 1] = length64
  target.writeBigUInt64BE(BigInt(payloadBytes), offset + 2)
  return offset + 10
}
