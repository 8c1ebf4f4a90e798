import { describe, expect, it } from "vitest"
import { TestRelay } from "../kit/relay.js"

describe("SET_PRESENCE", () => {
  it("again and again is shown five times at once, then once a second, and last as it is", async () => {
    const relay = await TestRelay.start()
    const { wire } = await relay.enter("mallory", "#general")
    const member = await relay.enter("member", "#general")
    for (let n = 0; n < 200; n++)
      await wire.ask({
        type: "SET_PRESENCE",
        status: n % 2 === 0 ? "working" : "idle",
        activity: `step ${n}`,
      })
    const shown = (await member.wire.settle()).filter(({ type }) => type === "PRESENCE_CHANGED")
    expect(shown).toHaveLength(5)
    relay.clock.advance(1_000)
    expect(await member.wire.next("PRESENCE_CHANGED")).toMatchObject({ status: "idle", activity: "step 199" })
    relay.clock.advance(60_000)
    expect((await member.wire.settle()).filter(({ type }) => type === "PRESENCE_CHANGED")).toEqual([])
  })
})
