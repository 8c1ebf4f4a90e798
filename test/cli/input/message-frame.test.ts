import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { messageOptions } from "../../../src/cli/input/message-frame.js"

const { data, part } = messageOptions

describe("the parts of a message", () => {
  it("--part keeps nested JSON byte for byte", () => {
    fc.assert(
      fc.property(fc.jsonValue({ maxDepth: 5 }), (value) => {
        const text = JSON.stringify(value)
        expect(JSON.stringify(data.read([text], "--data"))).toBe(`[{"kind":"data","data":${text}}]`)
      }),
    )
    expect(part.read(['com.example.diff={"b":1,"a":{"c":[2]}}'], "--part")).toEqual([
      { kind: "com.example.diff", b: 1, a: { c: [2] } },
    ])
  })

  it("--part rejects a kind without a dot, and invalid JSON with the path of the fault", () => {
    expect(() => part.read(['diff={"a":1}'], "--part")).toThrow("its kind must be a reverse-DNS name")
    expect(() => part.read(["com.example.diff=[1]"], "--part")).toThrow("must be a JSON object")
    expect(() => data.read(["{a:1}"], "--data")).toThrow("--data: is not JSON: ")
    expect(() => data.read(['{"a":{"b":1,"b":2}}'], "--data")).toThrow("--data: is not JSON at a.b: ")
  })
})
