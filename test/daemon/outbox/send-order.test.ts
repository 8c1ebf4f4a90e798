import { describe, expect, it } from "vitest"
import type { OutboxLine } from "../../../src/daemon/outbox/outbox.js"
import { SendOrder } from "../../../src/daemon/outbox/send-order.js"

/** Turns of an outbox with a line for each letter; the guard keeps back what waits until it is opened. */
function orderOf(letters: string) {
  const lines = letters.split("").map((id) => ({ id }) as OutboxLine)
  let isShut = true
  const order = new SendOrder({ take: () => lines.splice(0, 1) }, () => isShut)
  return { order, open: () => (isShut = false), next: () => order.next()?.id }
}

function given(order: SendOrder): OutboxLine {
  const line = order.next()
  if (line === undefined) throw new Error("it is nobody's turn")
  return line
}

describe("whose turn it is", () => {
  it("is the outbox's order, and after that nobody's", () => {
    const { next } = orderOf("ab")
    expect([next(), next(), next()]).toEqual(["a", "b", undefined])
  })

  it("is that of the line that was held, before the next one is taken", () => {
    const { order, next } = orderOf("ab")
    order.putBack(given(order))
    expect([next(), next()]).toEqual(["a", "b"])
  })

  it("passes by what waits for the guard, and comes back to it in order once the guard lets it go", () => {
    const { order, open, next } = orderOf("abc")
    order.hold(given(order))
    order.hold(given(order))
    expect([next(), next()]).toEqual(["c", undefined])
    open()
    expect([next(), next()]).toEqual(["a", "b"])
  })

  it("is nobody's behind 256 that wait for the guard", () => {
    const { order, open, next } = orderOf("x".repeat(256) + "y")
    for (let n = 0; n < 256; n++) order.hold(given(order))
    expect(next()).toBeUndefined()
    open()
    for (let n = 0; n < 256; n++) expect(next()).toBe("x")
    expect(next()).toBe("y")
  })

  it("goes to what is sent again in the order of the outbox, in whatever order it came back", () => {
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

  it("goes to every line that was held, in the order of the outbox", () => {
    const { order, next } = orderOf("abcd")
    const [a, b, c] = [given(order), given(order), given(order)]
    order.putBack(c)
    order.repeat(a, [b])
    order.putBack(given(order))
    order.answered(b)
    order.repeat(b, [])
    expect([next(), next(), next(), next(), next()]).toEqual(["a", "b", "c", "d", undefined])
  })

  it("goes to what the guard lets go before whatever is behind it", () => {
    const { order, open, next } = orderOf("abcd")
    const [a, b, c] = [given(order), given(order), given(order)]
    order.repeat(a, [])
    order.hold(b)
    order.putBack(c)
    open()
    expect([next(), next(), next(), next()]).toEqual(["a", "b", "c", "d"])
  })

  it("does not wait for what was sent after the line that goes again", () => {
    const { order } = orderOf("ab")
    const [a, b] = [given(order), given(order)]
    order.repeat(a, [b])
    expect(order.isUncertain).toBe(false)
  })

  it("is forgotten with the session: only what the outbox hands out again counts", () => {
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
