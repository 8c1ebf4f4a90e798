import { onTestFinished } from "vitest"
import { systemClock } from "../../src/base/clock.js"
import { formatDidKey } from "../../src/identity/keys.js"
import type { KeyPair } from "../../src/identity/signer.js"
import { type Relay, startRelay } from "../../src/server/relay.js"
import { prove } from "./relay.js"
import { Wire } from "./wire.js"

/** A relay on these servers until the running test ends. */
export async function startOn(servers: string): Promise<Relay> {
  const relay = await startRelay({
    port: 0,
    host: "127.0.0.1",
    backbone: servers,
    clock: systemClock,
    log: () => {},
  })
  onTestFinished(() => relay.stop())
  return relay
}

/** A session of whoever has these keys. */
export async function enter(relay: Relay, keys: KeyPair, name: string): Promise<{ wire: Wire; id: string }> {
  const wire = await Wire.open(relay.port)
  wire.say({ type: "IDENTIFY", name, pubkey: formatDidKey(keys.publicKey) })
  wire.say(prove(await wire.next("CHALLENGE"), keys, Math.floor(Date.now() / 1_000)))
  return { wire, id: (await wire.next("WELCOME")).agent_id }
}
