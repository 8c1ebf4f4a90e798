import { describe, expect, it } from "vitest"
import { AttackedRelay, canMeasureProcesses } from "../kit/attack.js"
import { Wire } from "../kit/wire.js"

const namesakes = 300
const lookups = 190

describe.skipIf(!canMeasureProcesses)("wrong names", () => {
  it("cost a relay less than its start, however many agents have a similar one", async (context) => {
    const attacked = await AttackedRelay.start(context)
    const long = "ab".repeat(29)
    for (let n = 0; n < namesakes; n++) {
      const wire = await Wire.open(attacked.port)
      wire.say({ type: "IDENTIFY", name: `${long}${1_000 + n}` })
      await wire.next("WELCOME")
    }
    const mallory = await Wire.open(attacked.port)
    mallory.say({ type: "IDENTIFY", name: "mallory" })
    await mallory.next("WELCOME")
    const before = attacked.cost().cpu
    for (let n = 0; n < lookups; n++) mallory.say({ type: "LIST_AGENTS", agent: `@${long}xyz${n}` })
    for (let n = 0; n < lookups; n++) await mallory.next("ERROR")
    expect(attacked.cost().cpu - before).toBeLessThan(1)
  })
})
