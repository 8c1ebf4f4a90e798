import { createRequire } from "node:module"
import type { Writable } from "node:stream"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { FrameDecoder } from "../../../src/server/wire/frame-decoder.js"
import { maskedFrame } from "../../kit/wire.js"

interface ReceiverOptions {
  readonly isServer: boolean
  readonly maxPayload: number
}
const { Receiver } = createRequire(import.meta.url)("ws") as {
  readonly Receiver: new (options: ReceiverOptions) => Writable
}

const maxTextBytes = 300
const maxPayload = 600

/** The library's receiver, which records its events. */
function library(events: string[]): Writable {
  const receiver = new Receiver({ isServer: true, maxPayload })
  receiver.on("message", (data: Buffer, isBinary: boolean) => {
    events.push(isBinary ? `binary ${data.toString("hex")}` : `text ${data.toString()}`)
  })
  for (const event of ["ping", "pong"]) {
    receiver.on(event, (data: Buffer) => events.push(`${event} ${data.toString("hex")}`))
  }
  receiver.on("conclude", (code: number) => events.push(`close ${code}`))
  receiver.on("error", (error: Error & { code?: string }) =>
    events.push(`error ${error.code ?? error.message}`),
  )
  return receiver
}

/** Our decoder in front of the library's receiver. */
function both(events: string[]): { read(chunk: Buffer): void; readonly ours: string[] } {
  const receiver = library(events)
  const ours: string[] = []
  const isOver = () => events.some((event) => /^(error|close)/.test(event))
  const sink = {
    get isReadable() {
      return !isOver()
    },
    onText: (text: string) => {
      ours.push(text)
      events.push(`text ${text}`)
    },
  }
  const reader = new FrameDecoder(sink, (bytes) => void receiver.write(Buffer.from(bytes)), maxTextBytes)
  return { ours, read: (chunk) => reader.read(chunk) }
}

/** The bytes of one frame, valid or not. */
const payload = fc.oneof(
  fc.string({ maxLength: 40 }).map((text) => Buffer.from(text)),
  fc.string({ unit: "binary", maxLength: 40 }).map((text) => Buffer.from(text.toWellFormed())),
  fc.integer({ min: 100, max: 700 }).map((length) => Buffer.alloc(length, "x")),
)
const frame = fc
  .tuple(
    fc.oneof(
      { weight: 6, arbitrary: fc.constant(0x01) },
      { weight: 2, arbitrary: fc.constantFrom(0x09, 0x0a) },
      { weight: 1, arbitrary: fc.constantFrom(0x00, 0x02, 0x03, 0x08) },
    ),
    fc.oneof({ weight: 6, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
    payload,
    fc.oneof(
      { weight: 20, arbitrary: fc.constant("whole") },
      { weight: 1, arbitrary: fc.constantFrom("unmasked", "reserved bit") },
    ),
  )
  .map(([opcode, isFinal, bytes, kind]) => {
    const whole = maskedFrame(opcode, opcode >= 8 ? bytes.subarray(0, 100) : bytes)
    if (!isFinal) whole[0] = opcode
    if (kind === "unmasked") whole[1] = (whole[1] ?? 0) & 0x7f
    if (kind === "reserved bit") whole[0] = (whole[0] ?? 0) | 0x40
    return whole
  })

const nextTurn = () => new Promise((resolve) => setImmediate(resolve))

/** The same bytes, split at other places. */
function cut(bytes: Buffer, sizes: readonly number[]): Buffer[] {
  const chunks: Buffer[] = []
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const size = sizes[i % sizes.length] ?? 1
    // A copy, because our decoder unmasks in place.
    chunks.push(Buffer.from(bytes.subarray(at, at + size)))
    at += size
  }
  return chunks
}

describe("FrameReader", () => {
  it("reads exactly what the library alone reads, however the bytes are split", async () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 400 }), { minLength: 1, maxLength: 8 })
    await fc.assert(
      fc.asyncProperty(fc.array(frame, { maxLength: 12 }), sizes, sizes, async (frames, mine, theirs) => {
        const bytes = Buffer.concat(frames)
        const [expected, found]: [string[], string[]] = [[], []]
        const alone = library(expected)
        const reader = both(found)
        for (const chunk of cut(bytes, theirs)) {
          alone.write(chunk)
          await nextTurn()
        }
        for (const chunk of cut(bytes, mine)) {
          reader.read(chunk)
          await nextTurn()
        }
        expect(found).toEqual(expected)
      }),
      { numRuns: 1000 },
    )
  })

  it("reads whole text frames itself, ASCII or not", () => {
    const events: string[] = []
    const reader = both(events)
    reader.read(Buffer.concat(["a", "é😀", ""].map((text) => maskedFrame(1, Buffer.from(text)))))
    expect(reader.ours).toEqual(["a", "é😀", ""])
  })

  it("passes a split frame to the library, and continues after it", () => {
    const events: string[] = []
    const reader = both(events)
    const bytes = Buffer.concat(["first", "second", "third"].map((text) => maskedFrame(1, Buffer.from(text))))
    reader.read(bytes.subarray(0, 20))
    reader.read(bytes.subarray(20))
    expect(events).toEqual(["text first", "text second", "text third"])
    expect(reader.ours).toEqual(["first", "third"])
  })

  it("passes invalid UTF-8 to the library unchanged, and reads nothing after it", async () => {
    const events: string[] = []
    both(events).read(
      Buffer.concat([maskedFrame(1, Buffer.from([0x61, 0xff])), maskedFrame(1, Buffer.from("x"))]),
    )
    await nextTurn()
    expect(events).toEqual(["error WS_ERR_INVALID_UTF8"])
  })
})
