import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { frameBytes, readFrame, writeFrame } from "../../../src/server/wire/frame-encoder.js"
import { splitFrame } from "../../kit/wire.js"

function encodeFrames(texts: readonly string[]): Buffer {
  const sizes = texts.map((text) => Buffer.byteLength(text))
  const frames = Buffer.alloc(sizes.reduce((sum, bytes) => sum + frameBytes(bytes), 0))
  let offset = 0
  for (const [i, text] of texts.entries()) offset = writeFrame(frames, offset, text, sizes[i] ?? 0)
  expect(offset).toBe(frames.length)
  return frames
}

function decode(frames: Buffer): string[] {
  const texts: string[] = []
  for (let rest = frames; rest.length > 0; ) {
    const frame = splitFrame(rest)
    if (frame === undefined) throw new Error("a frame is cut short")
    expect(frame.opcode).toBe(1)
    texts.push(frame.payload.toString())
    rest = rest.subarray(frame.end)
  }
  return texts
}

describe("writeFrame", () => {
  it.each([0, 1, 125, 126, 127, 65_535, 65_536, 70_000])("writes a payload of %i bytes", (length) => {
    const text = "x".repeat(length)
    const frames = encodeFrames([text])
    expect(frames.length).toBe(frameBytes(length))
    expect(decode(frames)).toEqual([text])
    expect(readFrame(frames)).toBe(text)
  })

  it("encodes every text unchanged and in order", () => {
    const text = fc.oneof(
      fc.string(),
      fc.string({ unit: "binary" }),
      fc.string({ minLength: 120, maxLength: 140 }),
    )
    fc.assert(
      fc.property(fc.array(text, { maxLength: 20 }), (texts) => {
        const wellFormed = texts.map((each) => each.toWellFormed())
        expect(decode(encodeFrames(wellFormed))).toEqual(wellFormed)
      }),
    )
  })
})
