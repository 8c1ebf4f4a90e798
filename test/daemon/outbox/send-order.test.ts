import { describe, expect, it } from "vitest"
import type { OutboxLine } from "../../../src/daemon/outbox/outbox.js"
import { SendOrder } from "../../../src/daemon/outbox/send-order.js"

/** Turns of an outbox with a line for each letter; the guard keeps back what waits until it is opened. */
function turnsOf(letters: string) {
  const lines = letters.split("").map((id) => ({ id }) as OutboxLine)
  let isShut = true
  const turns = new SendOrder({ take: () => lines.splice(0, 1) }, () => isShut)
  return { turns, open: () => (isShut = false), next: () => turns.next()?.id }
}

function given(turns: SendOrder): OutboxLine {
  const line = turns.next()
  if (line === undefined) throw new Error("it is nobody's turn")
  return line
}

describe("whose turn it is", () => {
  it("is the outbox's order, and after that nobody's", () => {
    const { next } = turnsOf("ab")
    expect([next(), next(), next()]).toEqual(["a", "b", undefined])
  })

  it("is that of the line that was held, before the next one is taken", () => {
    const { turns, next } = turnsOf("ab")
    turns.hold(given(turns))
    expect([next(), next()]).toEqual(["a", "b"])
  })

  it("passes by what waits for the guard, and comes back to it in order once the guard lets it go", () => {
    const { turns, open, next } = turnsOf("abc")
    turns.wait(given(turns))
    turns.wait(given(turns))
    expect([next(), next()]).toEqual(["c", undefined])
    open()
    expect([next(), next()]).toEqual(["a", "b"])
  })

  it("is nobody's behind 256 that wait for the guard", () => {
    const { turns, open, next } = turnsOf("x".repeat(256) + "y")
    for (let n = 0; n < 256; n++) turns.wait(given(turns))
    expect(next()).toBeUndefined()
    open()
    for (let n = 0; n < 256; n++) expect(next()).toBe("x")
    expect(next()).toBe("y")
  })

  it("goes to what is sent again in the order of the outbox, in whatever order it came back", () => {
    const { turns, next } = turnsOf("abcd")
    const [a, b, c] = [given(turns), given(turns), given(turns)]
    turns.repeat(c, [a, b])
    expect(turns.isUndecided).toBe(true)
    turns.answered(a)
    turns.repeat(a, [b])
    expect(turns.isUndecided).toBe(true)
    turns.answered(b)
    expect(turns.isUndecided).toBe(false)
    expect([next(), next(), next()]).toEqual(["a", "c", "d"])
  })

  it("goes to every line that was held, in the order of the outbox", () => {
    const { turns, next } = turnsOf("abcd")
    const [a, b, c] = [given(turns), given(turns), given(turns)]
    turns.hold(c)
    turns.repeat(a, [b])
    turns.hold(given(turns))
    turns.answered(b)
    turns.repeat(b, [])
    expect([next(), next(), next(), next(), next()]).toEqual(["a", "b", "c", "d", undefined])
  })

  it("goes to what the guard lets go before whatever is behind it", () => {
    const { turns, open, next } = turnsOf("abcd")
    const [a, b, c] = [given(turns), given(turns), given(turns)]
    turns.repeat(a, [])
    turns.wait(b)
    turns.hold(c)
    open()
    expect([next(), next(), next(), next()]).toEqual(["a", "b", "c", "d"])
  })

  it("does not wait for what was sent after the line that goes again", () => {
    const { turns } = turnsOf("ab")
    const [a, b] = [given(turns), given(turns)]
    turns.repeat(a, [b])
    expect(turns.isUndecided).toBe(false)
  })

  it("is forgotten with the session: only what the outbox hands out again counts", () => {
    const { turns, open, next } = turnsOf("abcd")
    const [a, b, c] = [given(turns), given(turns), given(turns)]
    turns.repeat(b, [a])
    turns.wait(a)
    turns.hold(c)
    open()
    turns.clear()
    expect([turns.isUndecided, next()]).toEqual([false, "d"])
  })
})
