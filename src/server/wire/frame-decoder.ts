import { isUtf8 } from "node:buffer"

/** The receiver of what a {@link FrameDecoder} reads. */
export interface FrameSink {
  /** True if messages are still accepted. Asked before each one. */
  readonly isReadable: boolean
  /** Receives a text message. */
  onText(text: string): void
}

/** Memory that the library needs for each piece besides its bytes. */
const pieceOverheadBytes = 128

/** Bytes of the mask before a client's payload (RFC 6455 §5.3). */
const maskBytes = 4
/** FIN and opcode 1: a text message that is not fragmented (RFC 6455 §5.2). */
const wholeText = 0x81
const maskBit = 0x80
/** Opcodes from this one on are control frames, which may come between fragments. */
const firstControlOpcode = 8
const closeOpcode = 8
const continuationOpcode = 0

/**
 * Decodes text messages that arrive in one piece, which is nearly all that clients send, directly from the bytes of
 * the socket. This saves a Buffer, an event and a copy for each: a third of what a message costs.
 *
 * Everything else goes to the WebSocket library unchanged and in its place in the stream: control frames, fragments,
 * messages split by the network, messages that are too long, and all violations of RFC 6455.
 */
export class FrameDecoder {
  readonly #sink: FrameSink
  readonly #toLibrary: (bytes: Buffer) => void
  readonly #maxTextBytes: number
  /** The start of a header whose rest has not arrived. */
  #rest: Buffer | undefined
  /** Bytes to come of a frame that the library reads. */
  #otherBytes = 0
  /** True if the library has a fragment. Until the last one, it reads all data frames. */
  #isFragmented = false
  /** True if the library has the peer's close frame, after which nothing may follow. */
  #isOver = false
  /**
   * True if the library has a frame that it may reject. It does so after this turn of the event loop, so until then it
   * gets everything else as well.
   */
  #isYielding = false
  /** Size of what the library has of a message that is incomplete. */
  #heldBytes = 0
  /** Position of the payload of the frame that was read last. */
  #payloadStart = 0
  #payloadBytes = 0

  /**
   * @param toLibrary - receives the bytes for the WebSocket library
   * @param maxTextBytes - longer payloads go to the library
   */
  constructor(sink: FrameSink, toLibrary: (bytes: Buffer) => void, maxTextBytes: number) {
    this.#sink = sink
    this.#toLibrary = toLibrary
    this.#maxTextBytes = maxTextBytes
  }

  /** Memory that the library uses for an incomplete message. */
  get heldBytes(): number {
    return this.#otherBytes === 0 && !this.#isFragmented ? 0 : this.#heldBytes
  }

  /** Decodes the next bytes of the connection. They are unmasked in place. */
  read(chunk: Buffer): void {
    const bytes = this.#rest === undefined ? chunk : Buffer.concat([this.#rest, chunk])
    this.#rest = undefined
    this.#isYielding &&= this.#otherBytes > 0
    let offset = this.#passOn(bytes, 0)
    while (offset < bytes.length && !this.#isOver) {
      if (!this.#readHeader(bytes, offset)) {
        this.#rest = Buffer.from(bytes.subarray(offset))
        return
      }
      const end = this.#payloadStart + this.#payloadBytes
      const isText = this.#isWholeText(bytes, offset)
      if (isText && end <= bytes.length && this.#readText(bytes, end)) offset = end
      else {
        this.#isYielding = !isText || end <= bytes.length
        this.#noteOpcode(bytes[offset] ?? 0)
        this.#otherBytes = end - offset
        offset = this.#passOn(bytes, offset)
      }
    }
  }

  /** @returns false if the header is incomplete */
  #readHeader(bytes: Buffer, offset: number): boolean {
    if (bytes.length - offset < 2) return false
    const second = bytes[offset + 1] ?? 0
    const length = second & ~maskBit
    const lengthBytes = length < 126 ? 0 : length === 126 ? 2 : 8
    const start = offset + 2 + lengthBytes + (second >= maskBit ? maskBytes : 0)
    if (bytes.length < start) return false
    this.#payloadStart = start
    if (lengthBytes === 0) this.#payloadBytes = length
    else if (lengthBytes === 2) this.#payloadBytes = bytes.readUInt16BE(offset + 2)
    else this.#payloadBytes = Number(bytes.readBigUInt64BE(offset + 2))
    return true
  }

  #isWholeText(bytes: Buffer, offset: number): boolean {
    return (
      bytes[offset] === wholeText &&
      (bytes[offset + 1] ?? 0) >= maskBit &&
      this.#payloadBytes <= this.#maxTextBytes &&
      !this.#isFragmented &&
      !this.#isYielding &&
      this.#sink.isReadable
    )
  }

  /** @returns false, and leaves the bytes as they were, if the payload is not UTF-8 */
  #readText(bytes: Buffer, end: number): boolean {
    const start = this.#payloadStart
    if (unmask(bytes, start, end)) {
      this.#sink.onText(bytes.toString("latin1", start, end))
      return true
    }
    if (isUtf8(bytes.subarray(start, end))) {
      this.#sink.onText(bytes.toString("utf8", start, end))
      return true
    }
    unmask(bytes, start, end)
    return false
  }

  /** Passes the bytes of the library's frame to it. @returns the offset after them */
  #passOn(bytes: Buffer, offset: number): number {
    const end = Math.min(bytes.length, offset + this.#otherBytes)
    if (end > offset) {
      this.#otherBytes -= end - offset
      this.#heldBytes += end - offset + pieceOverheadBytes
      this.#toLibrary(bytes.subarray(offset, end))
    }
    return end
  }

  #noteOpcode(first: number): void {
    const opcode = first & 0x0f
    if (opcode !== continuationOpcode && opcode < firstControlOpcode) this.#heldBytes = 0
    if (opcode < firstControlOpcode) this.#isFragmented = first < 0x80
    else if (opcode === closeOpcode) this.#isOver = true
  }
}

/**
 * Applies the mask that precedes `start`. Applying it twice restores the bytes. This loop sees every byte that is
 * received; four bytes a round take half the time of one.
 * @returns whether the unmasked bytes are ASCII
 */
function unmask(bytes: Buffer, start: number, end: number): boolean {
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
