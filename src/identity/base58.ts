const alphabet = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"

/** Encodes bytes as base58btc. Takes quadratic time; meant for keys. */
export function formatBase58(bytes: Uint8Array): string {
  let value = 0n
  for (const byte of bytes) value = value * 256n + BigInt(byte)
  let digits = ""
  for (; value > 0n; value /= 58n) digits = (alphabet[Number(value % 58n)] ?? "") + digits
  const zeros = bytes.findIndex((byte) => byte !== 0)
  return "1".repeat(zeros < 0 ? bytes.length : zeros) + digits
}

/**
 * Decodes base58btc.
 * @returns undefined for a character outside the alphabet or a text of more than 64 characters
 */
export function parseBase58(text: string): Uint8Array | undefined {
  if (text.length > 64) return undefined
  let value = 0n
  for (const char of text) {
    const digit = alphabet.indexOf(char)
    if (digit < 0) return undefined
    value = value * 58n + BigInt(digit)
  }
  const bytes: number[] = []
  for (; value > 0n; value /= 256n) bytes.unshift(Number(value % 256n))
  const zeros = /^1*/.exec(text)?.[0].length ?? 0
  return Uint8Array.from([...new Array<number>(zeros).fill(0), ...bytes])
}
