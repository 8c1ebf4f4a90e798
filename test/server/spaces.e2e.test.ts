import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest"
import { systemClock } from "../../src/base/clock.js"
import { type Relay, startRelay } from "../../src/server/relay.js"
import { NatsServer } from "../kit/nats.js"
import { hasProgram } from "../kit/requires.js"
import { Wire } from "../kit/wire.js"

async function start(backbone: string): Promise<Relay> {
  const spaces = ["a", "b"]
  const relay = await startRelay({
    ...{ port: 0, host: "127.0.0.1", backbone, spaces, clock: systemClock, log: () => {} },
  })
  onTestFinished(() => relay.stop())
  return relay
}

async function enter({ port }: Relay, space: string, name: string): Promise<Wire> {
  const wire = await Wire.open(port, [], `/space/${space}`)
  wire.say({ type: "IDENTIFY", name }, { type: "JOIN", channel: "#general" })
  await wire.next("JOINED")
  return wire
}

describe.runIf(hasProgram("nats-server"))("spaces of two relays on one NATS", () => {
  let nats: NatsServer
  beforeAll(async () => {
    nats = await NatsServer.start()
  })
  afterAll(() => nats.dispose())

  it("are each shared by both relays, keep their ids, and do not see each other", async () => {
    const [east, west] = [await start(nats.url), await start(nats.url)]
    const ids = (relay: Relay) => relay.spaces.map(({ serverId }) => serverId)
    expect(ids(east)).toEqual(ids(west))
    expect(new Set(ids(east)).size).toBe(2)
    const [ann, bob, eve] = [
      await enter(east, "a", "ann"),
      await enter(west, "a", "bob"),
      await enter(west, "b", "eve"),
    ]
    ann.say({ type: "MSG", to: "#general", content: "for space a" })
    expect(await bob.next("MSG")).toMatchObject({ content: "for space a", name: "ann" })
    const inB = [await eve.ask({ type: "LIST_AGENTS" }), ...(await eve.settle())]
    expect(JSON.stringify(inB)).not.toMatch(/for space a|ann|bob/)
    await east.stop()
    await west.stop()
    const again = await start(nats.url)
    expect(again.spaces.map(({ serverId }) => serverId)).toEqual(ids(east))
    const replayed = (await (await enter(again, "a", "kim")).settle()).filter(({ type }) => type === "MSG")
    expect(replayed).toMatchObject([{ content: "for space a" }])
    expect((await (await enter(again, "b", "kim")).settle()).filter(({ type }) => type === "MSG")).toEqual([])
  })
})
