import { expect, it } from "vitest"
import { enterParty } from "../../kit/deal-room.js"
import { LastingEngine } from "../../kit/engine.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { TestRelay } from "../../kit/relay.js"

it("takes a proposal to somebody who came to another relay a moment ago", async () => {
  const clock = new FakeClock()
  const engine = await LastingEngine.make({ isShared: true })
  const late = engine.lend()
  const east = await TestRelay.start({ backbone: engine.lend(), clock })
  const west = await TestRelay.start({ backbone: late, clock })
  const ann = await enterParty(west, "ann")
  late.setLate(true)
  const bob = await enterParty(east, "bob")
  const made = { aud: west.relay.serverId, now: clock.now() }
  expect(await ann.say(ann.signer.propose(bob.signer, made))).toMatchObject({ type: "PROPOSAL" })
  expect(await bob.newStatements()).toMatchObject([{ type: "PROPOSAL" }])
})
