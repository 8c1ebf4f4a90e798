/** FIN and opcode 1, a whole text message (RFC 6455 §5.2); a server never masks (§5.1). */
const textOpcode = 0x81
const length16 = 126
const length64 = 127

/** Returns the size of an unmasked text frame with `payloadBytes` of payload. */
export function frameBytes(payloadBytes: number): number {
  return headerBytes(payloadBytes) + payloadBytes
}

/**
 * Writes a message as one unmasked WebSocket text frame.
 * @param payloadBytes - size of the text in UTF-8
 * @returns the offset after the frame
 */
export function writeFrame(target: Buffer, offset: number, text: string, payloadBytes: number): number {
  const start = writeHeader(target, offset, payloadBytes)
  // Nearly every text is ASCII, which is written faster as Latin-1.
  target.write(text, start, payloadBytes, payloadBytes === text.length ? "latin1" : "utf8")
  return start + payloadBytes
}

/** Returns the text of one frame that {@link writeFrame} wrote. */
export function readFrame(frame: Buffer): string {
  return frame.toString("utf8", headerBytesOf(frame[1] ?? 0))
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
