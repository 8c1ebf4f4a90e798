/** Bytes of the mask before a client's payload (RFC 6455 §5.3). */
export const maskBytes = 4

/**
 * Applies the mask that stands before `start`; done twice it is undone. Four bytes a round, because this is
 * the one loop over every byte that comes in: half the time of one byte a round.
 * @returns whether the bytes are ASCII then
 */
export function unmask(bytes: Buffer, start: number, end: number): boolean {
  const mask = bytes.readUInt32LE(start - maskBytes)
  const a = mask & 0xff
  const b = (mask >>> 8) & 0xff
  const c = (mask >>> 16) & 0xff
  const d = mask >>> 24
  let seen = 0
  let i = start
  for (; i + 3 < end; i += 4) {
    const w = (bytes[i] ?? 0) ^ a
    const x = (bytes[i + 1] ?? 0) ^ b
    const y = (bytes[i + 2] ?? 0) ^ c
    const z = (bytes[i + 3] ?? 0) ^ d
    bytes[i] = w
    bytes[i + 1] = x
    bytes[i + 2] = y
    bytes[i + 3] = z
    seen |= w | x | y | z
  }
  for (let maskAt = start - maskBytes; i < end; i++, maskAt++) {
    const byte = (bytes[i] ?? 0) ^ (bytes[maskAt] ?? 0)
    bytes[i] = byte
    seen |= byte
  }
  return seen < 0x80
}
