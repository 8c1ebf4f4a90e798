import { describe, expect, it } from "vitest"
import { digestOf } from "../../src/guards/text-digest.js"

const report = "the nightly run of the parser tests found nothing new and took as long as ever "

describe("digestOf", () => {
  it("ignores case, spaces and punctuation", () => {
    expect(digestOf("Hello,  WORLD!")).toEqual(digestOf("hello world"))
    expect(digestOf("helloworld").hash).not.toBe(digestOf("hello world").hash)
  })

  it("compares texts without words by their punctuation", () => {
    expect(digestOf("?!").hash).not.toBe(digestOf("!?").hash)
  })

  it("ignores characters that nobody sees", () => {
    expect(digestOf("ste\u200bp of the pro\u00adof")).toEqual(digestOf("step of the proof"))
  })

  it("ignores a few digits in a long text, but not where they are many or the text is short", () => {
    const long = report.repeat(10)
    expect(digestOf(`${long}(attempt 7)`).hash).toBe(digestOf(`${long}(attempt 12)`).hash)
    expect(digestOf(`${long}(attempt 7)`, true).hash).not.toBe(digestOf(`${long}(attempt 12)`, true).hash)
    expect(digestOf("build 7 passed").hash).not.toBe(digestOf("build 8 passed").hash)
    const prices = (first: number) => Array.from({ length: 80 }, (_, n) => `item ${first + n}`).join(", ")
    expect(digestOf(prices(1)).hash).not.toBe(digestOf(prices(2)).hash)
  })

  it("counts words", () => {
    expect(digestOf("still failing.").words).toBe(2)
    expect(digestOf("").words).toBe(0)
  })
})
