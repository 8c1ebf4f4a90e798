import { expect, test } from "vitest"
import { agentIdOf } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import { LastingEngine } from "../kit/engine.js"
import { TestRelay } from "../kit/relay.js"

const [ann, bob, carl] = [generateKeyPair(), generateKeyPair(), generateKeyPair()]
const targets = ["#general", agentIdOf(bob.publicKey), agentIdOf(carl.publicKey), "+dev"]
const pairs = targets.flatMap((first) => targets.map((second) => [first, second] as const))

/** Sends one message with the id `x` on a relay that has just started, and returns the answer. */
async function sendX(engine: LastingEngine, to: string, content: string): Promise<object> {
  const relay = await TestRelay.start({ backbone: engine.lend() })
  const { wire } = await relay.enterAs(ann, "ann")
  const answer = await wire.answerTo({ type: "MSG", to, content, id: "x" })
  await relay.stop()
  return answer
}

test.each(pairs)(
  "an id used for %s is used for %s too, after a restart of the relay",
  async (first, second) => {
    const engine = await LastingEngine.make()
    expect(await sendX(engine, first, "one")).toMatchObject({ type: "ACK" })
    expect(await sendX(engine, first, "one")).toMatchObject({ type: "ACK", duplicate: true })
    expect(await sendX(engine, second, "two")).toMatchObject({ type: "ERROR", code: "ID_USED" })
    if (first !== second) {
      expect(await sendX(engine, second, "one")).toMatchObject({ type: "ERROR", code: "ID_USED" })
    }
  },
)

test("an id stays used when the recipient has taken the message and the relay has restarted", async () => {
  const engine = await LastingEngine.make()
  const to = agentIdOf(bob.publicKey)
  expect(await sendX(engine, to, "one")).toMatchObject({ type: "ACK" })
  const relay = await TestRelay.start({ backbone: engine.lend() })
  const { wire } = await relay.enterAs(bob, "bob")
  const { msg_id } = await wire.next("MSG")
  wire.say({ type: "RECEIVED", ids: [msg_id] })
  await wire.settle()
  await relay.stop()
  expect(await sendX(engine, to, "one")).toMatchObject({ type: "ACK", duplicate: true })
  expect(await sendX(engine, to, "two")).toMatchObject({ type: "ERROR", code: "ID_USED" })
})
