import { expect, it } from "vitest"
import { GuardRoom } from "./guard-room.js"

it("two who use up what a room may talk do not stop four who speak there now and then", () => {
  const room = new GuardRoom()
  let taken = 0
  for (let turn = 0; turn < 800; turn++) {
    const at = 1_800_000_000_000 + turn * 3_000
    const isHonest = turn % 100 < 4
    const refusal = room.say({ at, from: isHonest ? `@h${turn % 100}` : `@s${turn % 2}` })
    if (isHonest && refusal === undefined) taken++
  }
  expect(taken).toBeGreaterThan(26)
})
