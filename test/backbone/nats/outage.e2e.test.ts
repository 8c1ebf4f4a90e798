import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { describe, expect, test } from "vitest"
import type { RowChange } from "../../../src/backbone/backbone.js"
import { isForeign } from "../../../src/backbone/numbering.js"
import { until } from "../../kit/condition.js"
import { CuttableNetwork } from "../../kit/nats.js"
import { patienceMs, plenty } from "../conformance-kit.js"
import {
  both,
  collectEntries,
  insist,
  isPresent,
  newSpace,
  open,
  reachOf,
  startCluster,
  startServer,
  testMs,
} from "../nats-kit.js"

const noLog = () => {}

// Most of the time is spent waiting for servers and timeouts: the tests run at the same time.
describe
  .runIf(isPresent)
  .concurrent("a NATS backbone whose server or network fails", { timeout: testMs }, () => {
    test("nothing is lost or doubled when the server is killed and restarted", async ({
      onTestFinished: defer,
    }) => {
      const server = await startServer("", defer)
      const space = newSpace()
      const [one, two] = await Promise.all([
        open(server.url, space, noLog, defer),
        open(server.url, space, noLog, defer),
      ])
      const [logs, others] = await Promise.all([one.logs("channel", plenty), two.logs("channel", plenty)])
      const [received, receivedByOther, reach] = [
        await collectEntries(logs),
        await collectEntries(others),
        reachOf(one),
      ]
      const before = await Promise.all([1, 2, 3].map((i) => logs.append("a", `before-${i}`, `before-${i}`)))
      await server.kill()
      await until("the loss is reported", () => reach.includes(false), patienceMs)
      expect(one.isReachable).toBe(false)
      await expect(logs.append("a", "lost", "lost")).rejects.toMatchObject({
        code: "UNAVAILABLE",
        retryAfterMs: expect.any(Number),
      })
      await server.startAgain()
      const after = [await insist(logs, "a", "after-1"), await insist(others, "a", "after-2")]
      for (const list of [received, receivedByOther]) {
        await until("all have arrived", () => list.some(({ value }) => value === "after-2"), patienceMs)
        expect(list.map(({ value }) => value)).toEqual([
          "before-1",
          "before-2",
          "before-3",
          "after-1",
          "after-2",
        ])
        expect(list.map(({ seq }) => seq)).toEqual([...before.map(({ seq }) => seq), ...after])
      }
      expect(reach).toEqual([false, true])
    })

    test("an emptied server gives no number twice, loses no new entry, and keeps its id", async ({
      onTestFinished: defer,
    }) => {
      const server = await startServer("", defer)
      const space = newSpace()
      const backbone = await open(server.url, space, noLog, defer)
      const [logs, table] = [await backbone.logs("inbox", plenty), await backbone.table("bookmark")]
      const received = await collectEntries(logs)
      for (const id of ["1", "2", "3"]) await logs.append("a", id, id)
      const old = (await table.put("row", "old")) ?? 0
      await until("three have arrived", () => received.length === 3, patienceMs)
      const last = received.at(-1)?.seq ?? 0
      await server.startEmpty()
      for (const id of ["4", "5", "6", "7"]) await insist(logs, "a", id)
      await until("the new ones have arrived", () => received.length === 7, patienceMs)
      expect(received.map(({ value }) => value)).toEqual(["1", "2", "3", "4", "5", "6", "7"])
      const numbers = received.map(({ seq }) => seq)
      expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b))
      // A reader that continues after the old entries gets all new ones, and is known to be of another life.
      expect((await logs.read("a", last, 10)).map(({ value }) => value)).toEqual(["4", "5", "6", "7"])
      expect(isForeign(last, numbers.at(-1) ?? 0, await logs.gap("a"))).toBe(true)
      expect(isForeign(numbers.at(-1) ?? 0, numbers.at(-1) ?? 0, await logs.gap("a"))).toBe(false)
      // A write over a row that was lost is refused, although the new row may be as many changes old.
      await table.put("row", "new")
      expect(await table.put("row", "stale", old)).toBeUndefined()
      expect((await table.get("row"))?.revision).toBeGreaterThan(old)
      expect((await open(server.url, space, noLog, defer)).id).toBe(backbone.id)
    })

    test("a deleted stream is created again, and its subscribers miss nothing", async ({
      onTestFinished: defer,
    }) => {
      const server = await startServer("", defer)
      const space = newSpace()
      const backbone = await open(server.url, space, noLog, defer)
      const logs = await backbone.logs("inbox", plenty)
      const received = await collectEntries(logs)
      for (const id of ["1", "2", "3"]) await logs.append("a", id, id)
      await until("three have arrived", () => received.length === 3, patienceMs)
      const nc = await connect({ servers: server.url })
      defer(() => nc.close())
      await (await jetstreamManager(nc)).streams.delete(`${space}_log_inbox`)
      for (const id of ["4", "5"]) await insist(logs, "a", id)
      await until("the new ones have arrived", () => received.length === 5, patienceMs)
      expect(received.map(({ value }) => value)).toEqual(["1", "2", "3", "4", "5"])
      const numbers = received.map(({ seq }) => seq)
      expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b))
    })

    test("a network that is cut is reported, calls are refused meanwhile, and nothing is lost or doubled", async ({
      onTestFinished: defer,
    }) => {
      const server = await startServer("", defer)
      const network = await CuttableNetwork.to(server)
      defer(() => network.close())
      const space = newSpace()
      const [near, far] = await Promise.all([
        open(server.url, space, noLog, defer),
        open(network.url, space, noLog, defer),
      ])
      const [nearLogs, farLogs] = await both([near, far], (one) => one.logs("channel", plenty))
      const [nearTable, farTable] = await both([near, far], (one) => one.table("agent"))
      const [received, reach] = [await collectEntries(farLogs), reachOf(far)]
      await nearTable.put("stays", "1")
      await nearTable.put("goes", "1")
      await nearTable.put("changes", "1")
      const changes: RowChange[] = []
      await farTable.watch((change) => void changes.push(change))
      expect(changes).toHaveLength(3)
      await farLogs.append("a", "1", "1")
      network.cut()
      await expect(farLogs.append("a", "2", "2")).rejects.toMatchObject({ code: "UNAVAILABLE" })
      expect(far.isReachable).toBe(false)
      await nearLogs.append("a", "3", "3")
      await nearTable.put("changes", "2")
      await nearTable.delete("goes")
      await expect(farTable.get("stays")).rejects.toMatchObject({ code: "UNAVAILABLE" })
      network.heal()
      await insist(farLogs, "a", "2")
      await insist(farLogs, "a", "4")
      await until("the last has arrived", () => received.some(({ value }) => value === "4"), patienceMs)
      await until("the rows have arrived", () => changes.length >= 5, patienceMs)
      expect(received).toEqual(await nearLogs.read("a", 0, 10))
      expect(received.map(({ value }) => value).sort()).toEqual(["1", "2", "3", "4"])
      const later = changes.slice(3).map(({ key, value }) => [key, value])
      expect(later).toHaveLength(2)
      expect(later).toEqual(
        expect.arrayContaining([
          ["changes", "2"],
          ["goes", undefined],
        ]),
      )
      expect([reach[0], reach.at(-1)]).toEqual([false, true])
    })

    test("a relay switches to another server when the network is cut while many bytes are in flight", async ({
      onTestFinished: defer,
    }) => {
      const server = await startServer("", defer)
      const networks = [await CuttableNetwork.to(server), await CuttableNetwork.to(server)]
      defer(async () => {
        await Promise.all(networks.map((network) => network.close()))
      })
      const backbone = await open(
        networks
          .map(({ url }) => url)
          .join(",")
          .replace(",nats://", ","),
        newSpace(),
        noLog,
        defer,
      )
      const logs = await backbone.logs("channel", plenty)
      const received = await collectEntries(logs)
      const used = networks.filter(({ connections }) => connections > 0)
      expect(used).toHaveLength(1)
      used[0]?.cut()
      const much = "x".repeat(512 * 1024)
      const lost = await Promise.allSettled(
        Array.from({ length: 64 }, (_, i) => logs.append("much", `much-${i}`, much)),
      )
      expect(lost.every(({ status }) => status === "rejected")).toBe(true)
      await insist(logs, "a", "after")
      await until("it has arrived", () => received.some(({ value }) => value === "after"), patienceMs)
    })

    test("no appended entry is lost when one of three nodes is killed", async ({ onTestFinished: defer }) => {
      const { nodes: servers, url } = await startCluster(defer)
      const backbone = await open(url, newSpace(), noLog, defer)
      const logs = await backbone.logs("channel", plenty)
      const received = await collectEntries(logs)
      const ids = Array.from({ length: 200 }, (_, i) => `id-${i}`)
      const answered = new Map<string, number>()
      let killing: Promise<void> | undefined
      const work = async (own: string[]): Promise<void> => {
        for (const id of own) {
          answered.set(id, await insist(logs, "a", id))
          if (answered.size >= 60) killing ??= servers[1]?.kill()
        }
      }
      await Promise.all([0, 1, 2, 3].map((worker) => work(ids.filter((_, i) => i % 4 === worker))))
      await killing
      const entries = await until("the entries are read", () =>
        logs.read("a", 0, 1_000).catch(() => false as const),
      )
      expect(entries.map(({ value }) => value).sort()).toEqual([...ids].sort())
      for (const { seq, value } of entries) expect(answered.get(value)).toBe(seq)
      await until("all have arrived", () => received.length >= 200, 60_000)
      expect(received.map(({ seq }) => seq)).toEqual(entries.map(({ seq }) => seq))

      // One node of three has no quorum.
      await servers[2]?.kill()
      await until("the loss is reported", () => !backbone.isReachable, 60_000)
      await expect(logs.append("a", "alone", "alone")).rejects.toMatchObject({ code: "UNAVAILABLE" })
      await servers[1]?.startAgain()
      await insist(logs, "a", "together")
      expect(backbone.isReachable).toBe(true)
      await until("it has arrived", () => received.some(({ value }) => value === "together"), 60_000)
    })
  })
