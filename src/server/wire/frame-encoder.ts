import { type Payload, textOf } from "./payload.js"

/** FIN and opcode 1, a whole text message (RFC 6455 §5.2); a relay never masks (§5.1). */
const textOpcode = 0x81
const length16 = 126
const length64 = 127
/** Up to this many characters a loop is faster than a call of Buffer's own writer. */
const shortPiece = 40

/** Bytes of an unmasked text frame around a payload of `payloadBytes`. */
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

/** The text of one frame that {@link writeFrame} wrote. */
export function readFrame(frame: Buffer): string {
  const marker = frame[1] ?? 0
  const start = marker < length16 ? 2 : marker === length16 ? 4 : 10
  return frame.toString("utf8", start)
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

function headerBytes(payloadBytes: number): number {
  if (payloadBytes < length16) return 2
  return payloadBytes < 0x1_0000 ? 4 : 10
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
