import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { systemClock } from "../../src/base/clock.js"
import { formatDidKey } from "../../src/identity/keys.js"
import { generateKeyPair, type KeyPair } from "../../src/identity/signer.js"
import type { RosterEntry } from "../../src/protocol/server-messages.js"
import { type Relay, startRelay } from "../../src/server/relay.js"
import { until } from "../kit/condition.js"
import { NatsServer } from "../kit/nats.js"
import { prove } from "../kit/relay.js"
import { hasProgram } from "../kit/requires.js"
import { Wire } from "../kit/wire.js"

const waitMs = 30_000
const testMs = 120_000

async function start(servers: string): Promise<Relay> {
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

async function enter(relay: Relay, keys: KeyPair, name: string): Promise<{ wire: Wire; id: string }> {
  const wire = await Wire.open(relay.port)
  wire.say({ type: "IDENTIFY", name, pubkey: formatDidKey(keys.publicKey) })
  wire.say(prove(await wire.next("CHALLENGE"), keys))
  return { wire, id: (await wire.next("WELCOME")).agent_id }
}

async function find(wire: Wire, ref: string): Promise<RosterEntry | undefined> {
  const answer = await wire.ask({ type: "LIST_AGENTS", agent: ref })
  return answer.type === "AGENTS" ? answer.roster[0] : undefined
}

describe.runIf(hasProgram("nats-server"))("rosters of relays on one NATS", { timeout: testMs }, () => {
  let server: NatsServer
  beforeAll(async () => {
    server = await NatsServer.start()
  }, testMs)
  afterAll(() => server.dispose())

  it("are one roster, in which an identity is connected once, also after NATS was restarted", async () => {
    const east = await start(server.url)
    const west = await start(server.url)
    const keys = generateKeyPair()
    const bob = await enter(east, generateKeyPair(), "bob")
    const first = await enter(west, keys, "ann")
    await until("ann is known to east", async () => (await find(bob.wire, "@ann"))?.status === "idle", waitMs)
    await first.wire.ask({ type: "SET_PRESENCE", status: "working", activity: "x" })
    await until("ann works", async () => (await find(bob.wire, "@ann"))?.status === "working", waitMs)
    const second = await enter(east, keys, "ann")
    expect(await first.wire.ended()).toMatchObject({ code: 4001 })
    await server.kill()
    expect(await find(bob.wire, "@ann")).toMatchObject({ status: "idle" })
    await server.startAgain()
    const eve = await enter(west, generateKeyPair(), "eve")
    await until("eve is known to east", async () => (await find(bob.wire, "@eve"))?.status === "idle", waitMs)
    const ann = await find(eve.wire, second.id)
    expect(ann).toMatchObject({ name: "ann", status: "idle" })
    await west.stop()
    await until("eve is away", async () => (await find(bob.wire, "@eve"))?.status === "offline", waitMs)
  })
})
