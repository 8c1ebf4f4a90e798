import { isUtf8 } from "node:buffer"
import { maskBytes, unmask } from "./unmask.js"

/** Where a reader hands what it has read. */
export interface FrameSink {
  /** Whether anything is still wanted; asked before each message. */
  readonly isOpen: boolean
  /** Takes one whole text message. */
  onText(text: string): void
  /** Takes bytes that are for the WebSocket library, in order. */
  onOther(bytes: Buffer): void
}

/** What the library keeps of each piece beside its bytes. */
const pieceOverheadBytes = 128

/** FIN and opcode 1: a text message that is not fragmented (RFC 6455 §5.2). */
const wholeText = 0x81
const maskBit = 0x80
/** Opcodes from here on are control frames, which may stand between fragments. */
const firstControlOpcode = 8
const closeOpcode = 8
const continuationOpcode = 0

/**
 * Reads what nearly every client sends nearly always, whole text messages that arrive in one piece, straight
 * from the socket's bytes: no Buffer, no event and no copy for each, which is a third of what a message costs.
 * Everything else is none of its business. Control frames, fragments, messages cut in two by the network, too
 * long ones and every violation of RFC 6455 go to the WebSocket library byte for byte, frame for frame, in
 * their place in the stream.
 */
export class FrameDecoder {
  readonly #sink: FrameSink
  readonly #maxTextBytes: number
  /** The beginning of a header that was cut in two. */
  #rest: Buffer | undefined
  /** Bytes still to come of a frame that the library reads. */
  #otherBytes = 0
  /** The library has a fragment and waits for more: until then every data frame is its business. */
  #isFragmented = false
  /** The peer's close frame has gone to the library: nothing may follow it. */
  #isOver = false
  /**
   * The library was given something odd. Should it take offence, it says so only after this turn of the event
   * loop, so until then it gets everything else as well.
   */
  #isYielding = false
  /** Given to the library since the message began that is not whole yet. */
  #heldBytes = 0
  /** Of the frame that {@link readHeader} saw last. */
  #payloadStart = 0
  #payloadBytes = 0

  /** @param maxTextBytes - payloads over this go to the library */
  constructor(sink: FrameSink, maxTextBytes: number) {
    this.#sink = sink
    this.#maxTextBytes = maxTextBytes
  }

  /** What the library keeps of a message that has not wholly arrived. */
  get heldBytes(): number {
    return this.#otherBytes === 0 && !this.#isFragmented ? 0 : this.#heldBytes
  }

  /** Takes the next bytes of the connection; they are unmasked in place. */
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

  /** @returns false when the header is not whole yet */
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
      this.#sink.isOpen
    )
  }

  /** @returns false, and changes nothing, when the payload is not UTF-8 */
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

  /** Hands on what belongs to the library's frame. @returns the offset after it */
  #passOn(bytes: Buffer, offset: number): number {
    const end = Math.min(bytes.length, offset + this.#otherBytes)
    if (end > offset) {
      this.#otherBytes -= end - offset
      this.#heldBytes += end - offset + pieceOverheadBytes
      this.#sink.onOther(bytes.subarray(offset, end))
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
