import { describe, expect, onTestFinished, test } from "vitest"
import type { RowChange } from "../../src/backbone/backbone.js"
import { openNatsBackbone } from "../../src/backbone/nats/nats-backbone.js"
import { systemClock } from "../../src/base/clock.js"
import { until } from "../kit/condition.js"
import { CuttableNetwork, startNatsCluster } from "../kit/nats.js"
import { patienceMs, plenty } from "./conformance-kit.js"
import { both, hear, insist, isPresent, newSpace, open, reachOf, startServer, testMs } from "./nats-kit.js"

describe.runIf(isPresent)("nats that goes and comes", { timeout: testMs }, () => {
  test("a server that is killed and started again loses and doubles nothing", async () => {
    const server = await startServer()
    const space = newSpace()
    const [one, two] = await Promise.all([open(server.url, space), open(server.url, space)])
    const [logs, others] = await Promise.all([one.logs("channel", plenty), two.logs("channel", plenty)])
    const [heard, heardByOther, reach] = [await hear(logs), await hear(others), reachOf(one)]
    const before = await Promise.all([1, 2, 3].map((i) => logs.append("a", `before-${i}`, `before-${i}`)))
    await server.kill()
    await until("the loss is told", () => reach.includes(false), patienceMs)
    expect(one.isReachable).toBe(false)
    await expect(logs.append("a", "lost", "lost")).rejects.toMatchObject({
      code: "UNAVAILABLE",
      retryAfterMs: expect.any(Number),
    })
    await server.startAgain()
    const after = [await insist(logs, "a", "after-1"), await insist(others, "a", "after-2")]
    for (const list of [heard, heardByOther]) {
      await until("all are told", () => list.some(({ value }) => value === "after-2"), patienceMs)
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

  test("a family in memory begins anew with the server, and goes on being told", async () => {
    const server = await startServer()
    const lines: string[] = []
    const backbone = await open(server.url, newSpace(), (line) => void lines.push(line))
    const logs = await backbone.logs("channel", { ...plenty, storage: "memory" })
    const heard = await hear(logs)
    for (const id of ["1", "2", "3"]) await logs.append("a", id, id)
    await until("three are told", () => heard.length === 3, patienceMs)
    await server.kill()
    await server.startAgain()
    await until(
      "it is missed and found",
      () => lines.some((line) => line.includes("can be reached again")),
      patienceMs,
    )
    await insist(logs, "a", "4")
    await until("the new one is told", () => heard.length >= 4, patienceMs)
    expect(heard.map(({ value }) => value)).toEqual(["1", "2", "3", "4"])
    expect(lines.join("\n")).toMatch(/is created again/)
    // Who knows the old ones goes on behind them: no number comes twice, and none is lower than one before.
    const numbers = heard.map(({ seq }) => seq)
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b))
    const [, , third, fourth] = numbers
    expect(await logs.read("a", third ?? 0, 10)).toMatchObject([{ seq: fourth, value: "4" }])
    expect(await logs.stat("a")).toEqual({ first: fourth, last: fourth, count: 1 })
    await logs.trim("a", third ?? 0)
    expect(await logs.last("a", 10)).toMatchObject([{ seq: fourth, value: "4" }])
    await logs.trim("a", fourth ?? 0)
    expect(await logs.last("a", 10)).toEqual([])
  })

  test("a family in memory counts on though every node of a cluster was restarted", async () => {
    const servers = await startNatsCluster(3)
    onTestFinished(async () => {
      await Promise.all(servers.map((server) => server.dispose()))
    }, patienceMs)
    const follow = async () => {
      const backbone = await openNatsBackbone({
        servers: `nats://${servers.map(({ port }) => `127.0.0.1:${port}`).join(",")}`,
        ...{ clock: systemClock, log: () => {}, connectTimeoutMs: 60_000 },
      })
      onTestFinished(() => backbone.close(), patienceMs)
      const logs = await backbone.logs("channel", { ...plenty, storage: "memory" })
      return { logs, heard: await hear(logs) }
    }
    const relays = await Promise.all([follow(), follow()])
    const [{ logs: near }, { logs: far }] = relays
    for (const id of ["1", "2", "3"]) await insist(near, "a", id)
    for (const { heard } of relays) await until("three are told", () => heard.length === 3, patienceMs)
    await Promise.all(servers.map((server) => server.kill()))
    await Promise.all(servers.map((server) => server.startAgain()))
    const after = [await insist(far, "a", "4"), await insist(near, "a", "5")]
    for (const { heard } of relays) {
      await until("the new ones are told", () => heard.length >= 5, patienceMs)
      expect(heard.map(({ value }) => value)).toEqual(["1", "2", "3", "4", "5"])
      expect(heard.slice(3).map(({ seq }) => seq)).toEqual(after)
      const numbers = heard.map(({ seq }) => seq)
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
    }
  })

  test("a network that is cut and heals: told, refused meanwhile, nothing lost or doubled", async () => {
    const server = await startServer()
    const network = await CuttableNetwork.to(server)
    onTestFinished(() => network.close())
    const space = newSpace()
    const [near, far] = await Promise.all([open(server.url, space), open(network.url, space)])
    const [nearLogs, farLogs] = await both([near, far], (one) => one.logs("channel", plenty))
    const [nearTable, farTable] = await both([near, far], (one) => one.table("agent"))
    const [heard, reach] = [await hear(farLogs), reachOf(far)]
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
    await until("the last is told", () => heard.some(({ value }) => value === "4"), patienceMs)
    await until("the rows are told", () => changes.length >= 5, patienceMs)
    expect(heard).toEqual(await nearLogs.read("a", 0, 10))
    expect(heard.map(({ value }) => value).sort()).toEqual(["1", "2", "3", "4"])
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

  test("a network that is cut while much is on its way is given up for another way", async () => {
    const server = await startServer()
    const networks = [await CuttableNetwork.to(server), await CuttableNetwork.to(server)]
    onTestFinished(async () => {
      await Promise.all(networks.map((network) => network.close()))
    })
    const backbone = await open(
      networks
        .map(({ url }) => url)
        .join(",")
        .replace(",nats://", ","),
      newSpace(),
    )
    const logs = await backbone.logs("channel", plenty)
    const heard = await hear(logs)
    const used = networks.filter(({ connections }) => connections > 0)
    expect(used).toHaveLength(1)
    used[0]?.cut()
    const much = "x".repeat(512 * 1024)
    const lost = await Promise.allSettled(
      Array.from({ length: 64 }, (_, i) => logs.append("much", `much-${i}`, much)),
    )
    expect(lost.every(({ status }) => status === "rejected")).toBe(true)
    await insist(logs, "a", "after")
    await until("it is told", () => heard.some(({ value }) => value === "after"), patienceMs)
  })

  test("a node of three that is killed takes no answered entry along", async () => {
    const servers = await startNatsCluster(3)
    onTestFinished(async () => {
      await Promise.all(servers.map((server) => server.dispose()))
    }, patienceMs)
    const all = servers.map(({ port }) => `127.0.0.1:${port}`).join(",")
    const backbone = await openNatsBackbone({
      servers: `nats://${all}`,
      clock: systemClock,
      log: () => {},
      connectTimeoutMs: 60_000,
    })
    onTestFinished(() => backbone.close(), patienceMs)
    const logs = await backbone.logs("channel", plenty)
    const heard = await hear(logs)
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
    const entries = await until("they are read", () => logs.read("a", 0, 1_000).catch(() => false as const))
    expect(entries.map(({ value }) => value).sort()).toEqual([...ids].sort())
    for (const { seq, value } of entries) expect(answered.get(value)).toBe(seq)
    await until("all are told", () => heard.length >= 200, 60_000)
    expect(heard.map(({ seq }) => seq)).toEqual(entries.map(({ seq }) => seq))

    // One of three cannot decide anything.
    await servers[2]?.kill()
    await until("that is told", () => !backbone.isReachable, patienceMs)
    await expect(logs.append("a", "alone", "alone")).rejects.toMatchObject({ code: "UNAVAILABLE" })
    await servers[1]?.startAgain()
    await insist(logs, "a", "together")
    expect(backbone.isReachable).toBe(true)
    await until("it is told", () => heard.some(({ value }) => value === "together"), 60_000)
  })
})
