import { beforeAll, describe, expect, it } from "vitest"
import type { Backbone, Logs } from "../../src/backbone/backbone.js"
import { openNatsBackbone } from "../../src/backbone/nats.js"
import { systemClock } from "../../src/base/clock.js"
import { until } from "../kit/condition.js"
import { type NatsServer, startNatsCluster } from "../kit/nats.js"
import { patienceMs } from "./conformance-kit.js"
import { isPresent, newSpace, testMs } from "./nats-kit.js"

const rounds = 100

describe.runIf(isPresent)("relays at different nodes of one NATS", { timeout: testMs }, () => {
  let nodes: NatsServer[] = []
  let relays: Backbone[] = []

  beforeAll(async () => {
    nodes = await startNatsCluster(3)
    const space = newSpace()
    const open = ({ url }: NatsServer) =>
      openNatsBackbone({ servers: url, space, clock: systemClock, log: () => {} })
    const first = await until("a relay", () => nodes[0] && open(nodes[0]).catch(() => undefined), patienceMs)
    relays = [first, ...(await Promise.all(nodes.slice(1).map(open)))]
    return async () => {
      await Promise.all(relays.map((relay) => relay.close()))
      await Promise.all(nodes.map((node) => node.dispose()))
    }
  }, testMs)

  it("change a row one after the other, however many try it at once", async () => {
    const tables = await Promise.all(relays.map((relay) => relay.table("race")))
    let revision = (await tables[0]?.put("row", "", 0)) ?? 0
    for (let round = 0; round < rounds; round++) {
      const tries = tables.map((table, index) => table.put("row", `${round} ${index}`, revision))
      const revisions = (await Promise.all(tries)).filter((given) => given !== undefined)
      expect(revisions).toHaveLength(1)
      revision = revisions[0] ?? 0
      expect(await tables[0]?.get("row")).toMatchObject({ revision })
    }
  })

  it("make and remove a row one after the other", async () => {
    const tables = await Promise.all(relays.map((relay) => relay.table("coming")))
    for (let round = 0; round < rounds / 4; round++) {
      const made = await Promise.all(tables.map((table) => table.put("row", "", 0)))
      const [revision = 0, ...more] = made.filter((given) => given !== undefined)
      expect(more).toEqual([])
      const gone = await Promise.all(tables.map((table) => table.delete("row", revision)))
      expect(gone.filter(Boolean)).toHaveLength(1)
    }
  })

  it("read at once what one of them has written", async () => {
    const keeping = { maxEntries: 1_000, atBound: "drop-oldest", on: "memory" } as const
    const logs: Logs[] = []
    for (const relay of relays) logs.push(await relay.logs("fresh", keeping))
    for (let round = 0; round < rounds; round++) {
      const { seq } = (await logs[round % 3]?.append("log", `${round}`, `${round}`)) ?? { seq: 0 }
      for (const reader of logs) {
        expect((await reader.read("log", seq - 1, 10)).map(({ value }) => value)).toEqual([`${round}`])
        expect((await reader.last("log", 1)).map((entry) => entry.seq)).toEqual([seq])
      }
    }
  })
})
