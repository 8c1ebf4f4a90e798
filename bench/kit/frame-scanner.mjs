const textOpcode = 1
const pingOpcode = 9

/**
 * Reads the unmasked frames that a server sends (RFC 6455 §5.2) at the lowest cost: it counts text messages and
 * decodes their text only while somebody listens. One process can count for hundreds of sockets without becoming the
 * bottleneck.
 */
export class FrameScanner {
  /** Number of whole text messages so far. */
  messages = 0
  /** Called with each text message while set. @type {((text: string) => void) | undefined} */
  onText
  /** Called with the payload of each ping. @type {((payload: Buffer) => void) | undefined} */
  onPing
  #opcode = 0
  #left = 0
  #head = Buffer.alloc(10)
  #headLength = 0
  /** @type {Buffer[]} */
  #parts = []

  /** @param {Buffer} chunk @param {number} [length] - number of valid bytes */
  push(chunk, length = chunk.length) {
    let at = 0
    while (at < length) {
      if (this.#left === 0) at = this.#readHead(chunk, at, length)
      else {
        const end = Math.min(length, at + this.#left)
        if (this.onText !== undefined || this.#opcode === pingOpcode) {
          this.#parts.push(Buffer.from(chunk.subarray(at, end)))
        }
        this.#left -= end - at
        at = end
        if (this.#left === 0) this.#finish()
      }
    }
  }

  /** @param {Buffer} chunk @param {number} at @param {number} length */
  #readHead(chunk, at, length) {
    if (this.#headLength === 0 && length - at >= 4) {
      const size = chunk[at + 1] ?? 0
      if (size < 127) {
        this.#opcode = (chunk[at] ?? 0) & 0x0f
        this.#left = size < 126 ? size : ((chunk[at + 2] ?? 0) << 8) | (chunk[at + 3] ?? 0)
        if (this.#left === 0) this.#finish()
        return at + (size < 126 ? 2 : 4)
      }
    }
    return this.#readHeadByte(chunk[at] ?? 0, at)
  }

  /** Handles the rare header that is split between chunks or belongs to a long message. @param {number} byte @param {number} at */
  #readHeadByte(byte, at) {
    this.#head[this.#headLength++] = byte
    const size = this.#head[1] ?? 0
    const headLength = this.#headLength < 2 || size < 126 ? 2 : size === 126 ? 4 : 10
    if (this.#headLength === headLength) {
      this.#opcode = (this.#head[0] ?? 0) & 0x0f
      this.#left = size < 126 ? size : size === 126 ? this.#head.readUInt16BE(2) : this.#head.readUIntBE(4, 6)
      this.#headLength = 0
      if (this.#left === 0) this.#finish()
    }
    return at + 1
  }

  #finish() {
    if (this.#opcode === textOpcode) this.messages++
    // A ping may be empty; a text without a listener has left no parts.
    if (this.#parts.length === 0 && this.#opcode !== pingOpcode) return
    const payload = Buffer.concat(this.#parts)
    this.#parts = []
    if (this.#opcode === textOpcode) this.onText?.(payload.toString())
    else if (this.#opcode === pingOpcode) this.onPing?.(payload)
  }
}
