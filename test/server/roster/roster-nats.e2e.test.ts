import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { generateKeyPair } from "../../../src/identity/signer.js"
import type { RosterEntry } from "../../../src/protocol/server-messages.js"
import { until } from "../../kit/condition.js"
import { NatsServer } from "../../kit/nats.js"
import { enter, startOn } from "../../kit/nats-relays.js"
import { hasProgram } from "../../kit/requires.js"
import type { Wire } from "../../kit/wire.js"

const waitMs = 30_000
const testMs = 120_000

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

  it("share one roster in which an identity is connected once, even after a restart of NATS", async () => {
    const east = await startOn(server.url)
    const west = await startOn(server.url)
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
