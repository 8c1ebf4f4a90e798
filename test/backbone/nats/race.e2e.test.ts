import { beforeAll, describe, expect, it, onTestFinished } from "vitest"
import type { Backbone } from "../../../src/backbone/backbone.js"
import { openNatsBackbone } from "../../../src/backbone/nats/nats-backbone.js"
import { systemClock } from "../../../src/base/clock.js"
import { until } from "../../kit/condition.js"
import { isLong } from "../../kit/long.js"
import { type NatsServer, startNatsCluster } from "../../kit/nats.js"
import { patienceMs, plenty } from "../conformance-kit.js"
import { isPresent, newSpace, testMs } from "../nats-kit.js"

const rounds = isLong ? 100 : 24

describe.runIf(isPresent)("relays at different nodes of a NATS cluster", { timeout: testMs }, () => {
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

  it("relays that start at once create each log and table once, and all follow them", async () => {
    const space = newSpace()
    const starting = await Promise.all(
      nodes.map(({ url }) =>
        openNatsBackbone({
          servers: url,
          space,
          clock: systemClock,
          log: () => {},
          connectTimeoutMs: 60_000,
        }),
      ),
    )
    onTestFinished(async () => {
      await Promise.all(starting.map((relay) => relay.close()))
    }, patienceMs)
    expect(new Set(starting.map(({ id }) => id)).size).toBe(1)
    const received: string[] = []
    const changed: string[] = []
    const opened = await Promise.all(
      starting.map(async (relay) => {
        const [logs, table] = await Promise.all([relay.logs("channel", plenty), relay.table("agent")])
        await logs.subscribe(({ value }) => void received.push(value))
        await table.watch(({ key }) => void changed.push(key))
        const more = ["a", "b", "c"].map((name) => Promise.all([relay.logs(name, plenty), relay.table(name)]))
        await Promise.all(more)
        return { logs, table }
      }),
    )
    await opened[0]?.logs.append("a", "id", "seen")
    await opened[1]?.table.put("seen", "")
    await until("all have arrived", () => received.length >= 3 && changed.length >= 3, patienceMs)
    expect([...received, ...changed]).toEqual(Array.from({ length: 6 }, () => "seen"))
  })

  /** Applies a function to every relay at once. */
  const openEach = <T>(open: (relay: Backbone) => Promise<T>): Promise<T[]> => Promise.all(relays.map(open))

  it("one of many concurrent changes of a row succeeds", async () => {
    const tables = await openEach((relay) => relay.table("race"))
    let revision = (await tables[0]?.put("row", "", 0)) ?? 0
    for (let round = 0; round < rounds; round++) {
      const tries = tables.map((table, index) => table.put("row", `${round} ${index}`, revision))
      const revisions = (await Promise.all(tries)).filter((given) => given !== undefined)
      expect(revisions).toHaveLength(1)
      revision = revisions[0] ?? 0
      expect(await tables[0]?.get("row")).toMatchObject({ revision })
    }
  })

  it("one of many concurrent creations or deletions of a row succeeds", async () => {
    const tables = await openEach((relay) => relay.table("coming"))
    for (let round = 0; round < rounds / 4; round++) {
      const revisions = await Promise.all(tables.map((table) => table.put("row", "", 0)))
      const [revision = 0, ...more] = revisions.filter((given) => given !== undefined)
      expect(more).toEqual([])
      const gone = await Promise.all(tables.map((table) => table.delete("row", revision)))
      expect(gone.filter(Boolean)).toHaveLength(1)
    }
  })

  it("a relay reads what another relay has written", async () => {
    const retention = { maxEntries: 1_000, whenFull: "drop-oldest" } as const
    const logs = await openEach((relay) => relay.logs("fresh", retention))
    for (let round = 0; round < rounds / 4; round++) {
      const { seq } = (await logs[round % 3]?.append("log", `${round}`, `${round}`)) ?? { seq: 0 }
      for (const reader of logs) {
        expect((await reader.read("log", seq - 1, 10)).map(({ value }) => value)).toEqual([`${round}`])
        expect((await reader.last("log", 1)).map((entry) => entry.seq)).toEqual([seq])
      }
    }
  })

  it("no entry is lost that is appended while older ones are removed", async () => {
    const retention = { maxEntries: 20_000, whenFull: "refuse-new" } as const
    const logs = await openEach((relay) => relay.logs("passing", retention))
    const received = new Set<number>()
    const [first] = logs
    const trims: Promise<void>[] = []
    await first?.subscribe(({ key, seq }) => {
      received.add(seq)
      trims.push(first.trim(key, seq))
    })
    const acknowledged: number[] = []
    for (let round = 0; round < rounds; round++) {
      const appends = logs.map((log, index) => log.append(`log${round % 5}`, `${round}.${index}`, ""))
      acknowledged.push(...(await Promise.all(appends)).map(({ seq }) => seq))
    }
    await until("all have arrived", () => acknowledged.every((seq) => received.has(seq)), patienceMs)
    await Promise.all(trims)
    expect(await first?.read("log0", 0, 1_000)).toEqual([])
  })

  it("entries written before a node was killed are found after its restart", async () => {
    const [first, second] = relays
    const [, , third] = nodes
    const retention = { maxEntries: 100_000, whenFull: "drop-oldest" } as const
    const writer = await first?.logs("busy", retention)
    const reader = await second?.logs("busy", retention)
    let isOver = false
    let written = 0
    const acknowledged: number[] = []
    const write = async () => {
      while (!isOver) {
        const id = `${written++}`
        await until(
          "the entry is appended",
          async () => {
            const appended = await writer?.append("log", id, id).catch(() => undefined)
            if (appended?.isDuplicate === false) acknowledged.push(appended.seq)
            return appended !== undefined
          },
          patienceMs,
        )
      }
    }
    const writers = Array.from({ length: 16 }, write)
    for (let times = 0; times < (isLong ? 2 : 1); times++) {
      const before = written
      await until("some entries", () => written > before + 300, patienceMs)
      await third?.kill()
      await until("some more", () => written > before + 600, patienceMs)
      await third?.startAgain()
    }
    isOver = true
    await Promise.all(writers)
    for (let times = 0; times < 6; times++) {
      const entries = await until(
        "an answer",
        () => reader?.read("log", 0, 100_000).catch(() => undefined),
        patienceMs,
      )
      const found = new Set(entries.map(({ seq }) => seq))
      expect(acknowledged.filter((seq) => !found.has(seq))).toEqual([])
    }
  })
})
