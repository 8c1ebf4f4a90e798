import { describe, expect, it } from "vitest"
import { LineTurns } from "../../src/daemon/line-turns.js"
import type { OutboxLine } from "../../src/daemon/outbox.js"

/** Turns of an outbox with a line for each letter; the guard keeps back what waits until it is opened. */
function turnsOf(letters: string) {
  const lines = letters.split("").map((id) => ({ id }) as OutboxLine)
  let isShut = true
  const turns = new LineTurns({ take: () => lines.splice(0, 1) }, () => isShut)
  return { turns, open: () => (isShut = false), next: () => turns.next()?.id }
}

function given(turns: LineTurns): OutboxLine {
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
    expect([turns.waiting, next(), next()]).toEqual([2, "c", undefined])
    open()
    expect([next(), next(), turns.waiting]).toEqual(["a", "b", 0])
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

  it("does not wait for what was sent after the line that goes again", () => {
    const { turns } = turnsOf("ab")
    const [a, b] = [given(turns), given(turns)]
    turns.repeat(a, [b])
    expect(turns.isUndecided).toBe(false)
  })

  it("is forgotten with the session: only what the outbox hands out again counts", () => {
    const { turns, next } = turnsOf("abcd")
    const [a, b, c] = [given(turns), given(turns), given(turns)]
    turns.repeat(b, [a])
    turns.wait(a)
    turns.hold(c)
    turns.clear()
    expect([turns.waiting, turns.isUndecided, next()]).toEqual([0, false, "d"])
  })
})
