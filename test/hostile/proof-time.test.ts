import { describe, expect, it } from "vitest"
import { formatDidKey } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { prove, TestRelay } from "../kit/relay.js"

const keys = generateKeyPair()
const days = 86_400

/** Identifies with a proof whose time differs from that of the relay. */
async function identify(offsetSeconds: number): Promise<ServerMessage> {
  const relay = await TestRelay.start()
  const wire = await relay.connect()
  wire.say({ type: "IDENTIFY", name: "ann", pubkey: formatDidKey(keys.publicKey) })
  const iat = Math.floor(relay.clock.now() / 1_000) + offsetSeconds
  return wire.ask(prove(await wire.next("CHALLENGE"), keys, iat))
}

describe("the time of a proof", () => {
  it.each([0, -35 * days, -365 * days, days, 365 * days])("may differ by %s seconds", async (offset) => {
    expect(await identify(offset)).toMatchObject({ type: "WELCOME" })
  })

  it.each([-1_800_000_000, -367 * days, 367 * days, 2 ** 50])(
    "may not differ by %s seconds",
    async (offset) => {
      expect(await identify(offset)).toMatchObject({
        type: "ERROR",
        code: "VERIFICATION_FAILED",
        message: "VERIFY_IDENTITY.iat: is more than a year from the relay's clock",
        hint: expect.stringContaining("set the clock") as string,
      })
    },
  )
})
