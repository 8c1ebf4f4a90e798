import { describe, expect, it } from "vitest"
import type { OutboxLine } from "../../../src/daemon/outbox/outbox.js"
import { SendOrder } from "../../../src/daemon/outbox/send-order.js"

/** The send order of an outbox with a line for each letter; the guard holds messages until `open` is called. */
function orderOf(letters: string) {
  const lines = letters.split("").map((id) => ({ id, frame: { type: "MSG" } }) as OutboxLine)
  let isShut = true
  const order = new SendOrder({ take: () => lines.splice(0, 1), takeOvertaking: () => [] }, () => isShut)
  return { order, open: () => (isShut = false), next: () => order.next()?.id }
}

function given(order: SendOrder): OutboxLine {
  const line = order.next()
  if (line === undefined) throw new Error("there is no next line")
  return line
}

describe("SendOrder", () => {
  it("is the order of the outbox", () => {
    const { next } = orderOf("ab")
    expect([next(), next(), next()]).toEqual(["a", "b", undefined])
  })

  it("begins with a line that was put back", () => {
    const { order, next } = orderOf("ab")
    order.putBack(given(order))
    expect([next(), next()]).toEqual(["a", "b"])
  })

  it("overtakes messages held by the guard, and returns to them in order once they are released", () => {
    const { order, open, next } = orderOf("abc")
    order.hold(given(order))
    order.hold(given(order))
    expect([next(), next()]).toEqual(["c", undefined])
    open()
    expect([next(), next()]).toEqual(["a", "b"])
  })

  it("takes nothing behind 256 held messages", () => {
    const { order, open, next } = orderOf("x".repeat(256) + "y")
    for (let n = 0; n < 256; n++) order.hold(given(order))
    expect(next()).toBeUndefined()
    open()
    for (let n = 0; n < 256; n++) expect(next()).toBe("x")
    expect(next()).toBe("y")
  })

  it("sends lines again in the order of the outbox, in whatever order they were refused", () => {
    const { order, next } = orderOf("abcd")
    const [a, b, c] = [given(order), given(order), given(order)]
    order.repeat(c, [a, b])
    expect(order.isUncertain).toBe(true)
    order.answered(a)
    order.repeat(a, [b])
    expect(order.isUncertain).toBe(true)
    order.answered(b)
    expect(order.isUncertain).toBe(false)
    expect([next(), next(), next()]).toEqual(["a", "c", "d"])
  })

  it("returns every line that was put back, in the order of the outbox", () => {
    const { order, next } = orderOf("abcd")
    const [a, b, c] = [given(order), given(order), given(order)]
    order.putBack(c)
    order.repeat(a, [b])
    order.putBack(given(order))
    order.answered(b)
    order.repeat(b, [])
    expect([next(), next(), next(), next(), next()]).toEqual(["a", "b", "c", "d", undefined])
  })

  it("returns released messages before the lines behind them", () => {
    const { order, open, next } = orderOf("abcd")
    const [a, b, c] = [given(order), given(order), given(order)]
    order.repeat(a, [])
    order.hold(b)
    order.putBack(c)
    open()
    expect([next(), next(), next(), next()]).toEqual(["a", "b", "c", "d"])
  })

  it("does not wait for lines sent after the one that is sent again", () => {
    const { order } = orderOf("ab")
    const [a, b] = [given(order), given(order)]
    order.repeat(a, [b])
    expect(order.isUncertain).toBe(false)
  })

  it("forgets all lines when cleared", () => {
    const { order, open, next } = orderOf("abcd")
    const [a, b, c] = [given(order), given(order), given(order)]
    order.repeat(b, [a])
    order.hold(a)
    order.putBack(c)
    open()
    order.clear()
    expect([order.isUncertain, next()]).toEqual([false, "d"])
  })
})
