import { expect, it } from "vitest"
import { openNatsBackbone } from "../../src/backbone/nats/nats-backbone.js"
import { systemClock } from "../../src/base/clock.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import { until } from "../kit/condition.js"
import { LastingEngine } from "../kit/engine.js"
import { NatsServer } from "../kit/nats.js"
import { startOn } from "../kit/nats-relays.js"
import { TestRelay } from "../kit/relay.js"
import { hasProgram } from "../kit/requires.js"

it("a relay whose store got another id closes its sessions and says the new id everywhere", async () => {
  const engine = (await LastingEngine.make({ isShared: true })).lend()
  const relay = await TestRelay.start({ backbone: engine })
  const keys = generateKeyPair()
  const before = await relay.enterAs(keys, "ann", "#general")
  const half = await relay.connect()
  engine.setId("srv_another")
  expect(await before.wire.ended()).toMatchObject({ code: 1001, reason: "SHUTTING_DOWN" })
  await half.ended()
  // The proof names the new id, or it would be refused.
  const after = await relay.enterAs(keys, "ann", "#general")
  expect(after.welcome.server_id).toBe("srv_another")
  expect(relay.relay.health()["server_id"]).toBe("srv_another")
})

it.runIf(hasProgram("nats-server"))("relays of a NATS that was emptied end up with one id", async () => {
  const server = await NatsServer.start()
  try {
    const east = await startOn(server.url)
    const west = await startOn(server.url)
    expect(east.serverId).toBe(west.serverId)
    // As a relay does that starts on the empty NATS before the others have noticed.
    const late = await openNatsBackbone({ servers: server.url, clock: systemClock, log: () => {} })
    await (await late.table("system")).put("id", "srv_late")
    await until("one id", () => east.serverId === "srv_late" && west.serverId === "srv_late", 45_000)
    await until("the third too", () => late.id === "srv_late", 45_000)
    await late.close()
    const { serverId } = await startOn(server.url)
    expect(serverId).toBe("srv_late")
  } finally {
    await server.dispose()
  }
})
