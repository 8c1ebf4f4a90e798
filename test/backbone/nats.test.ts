import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest"
import type { Backbone, LogEntry, Logs, RowChange } from "../../src/backbone/backbone.js"
import { openNatsBackbone } from "../../src/backbone/nats.js"
import { systemClock } from "../../src/base/clock.js"
import { until } from "../kit/condition.js"
import { CuttableNetwork, NatsServer, startNatsCluster } from "../kit/nats.js"
import { hasProgram } from "../kit/requires.js"
import { describeBackbone } from "./conformance.js"
import { patienceMs, plenty } from "./conformance-kit.js"

const testMs = 120_000
const isPresent = hasProgram("nats-server")

let spaces = 0

/** A space nobody used yet. */
function newSpace(): string {
  return `space${spaces++}`
}

async function open(servers: string, space: string, log: (line: string) => void = () => {}) {
  const backbone = await openNatsBackbone({ servers, space, clock: systemClock, log })
  onTestFinished(() => backbone.close(), patienceMs)
  return backbone
}

async function startServer(config = ""): Promise<NatsServer> {
  const server = await NatsServer.start({ config })
  onTestFinished(() => server.dispose(), patienceMs)
  return server
}

/** The same of two relays. */
async function both<T>(backbones: readonly [Backbone, Backbone], of: (backbone: Backbone) => Promise<T>) {
  return Promise.all([of(backbones[0]), of(backbones[1])])
}

/** Appends until it is answered, as a sender does. */
async function insist(logs: Logs, key: string, id: string): Promise<number> {
  return until(
    `${id} is taken`,
    async () => {
      try {
        return (await logs.append(key, id, id)).seq
      } catch (error) {
        expect(error).toMatchObject({ code: "UNAVAILABLE" })
        return undefined
      }
    },
    60_000,
  )
}

async function hear(logs: Logs): Promise<LogEntry[]> {
  const heard: LogEntry[] = []
  await logs.subscribe((entry) => void heard.push(entry))
  return heard
}

/** What `isReachable` became, in order. */
function reachOf(backbone: Backbone): boolean[] {
  const states: boolean[] = []
  backbone.onReach((isReachable) => void states.push(isReachable))
  return states
}

describe.runIf(isPresent)("nats", { timeout: testMs }, () => {
  let server: NatsServer
  beforeAll(async () => {
    server = await NatsServer.start()
  }, testMs)
  afterAll(() => server.dispose())

  describeBackbone("nats", async () => {
    const space = newSpace()
    const backbone = await open(server.url, space)
    const reopen = async () => {
      await backbone.close()
      return open(server.url, space)
    }
    return { backbone, reopen, cleanup: () => backbone.close() }
  })

  test("relays share the id, the logs and the tables of a space, and nothing with another space", async () => {
    const space = newSpace()
    const [one, two] = await Promise.all([open(server.url, space), open(server.url, space)])
    const other = await open(server.url, newSpace())
    expect(two.id).toBe(one.id)
    expect(other.id).not.toBe(one.id)
    expect([one.kind, one.isShared]).toEqual(["nats", true])
    const [ofOne, ofTwo] = await both([one, two], (backbone) => backbone.logs("channel", plenty))
    const ofOther = await other.logs("channel", plenty)
    const heard = await hear(ofTwo)
    await ofOne.append("a", "id", "1")
    expect((await ofTwo.append("a", "id", "1")).isDuplicate).toBe(true)
    await ofTwo.append("a", "id2", "2")
    await until("both are told", () => heard.length >= 2, patienceMs)
    expect(heard).toEqual(await ofOne.read("a", 0, 10))
    expect(await ofOther.keys()).toEqual([])
    const tables = await both([one, two], (backbone) => backbone.table("agent"))
    await tables[0].put("alice", "here")
    expect((await tables[1].get("alice"))?.value).toBe("here")
  })

  test("of two relays that take over one row, one does", async () => {
    const space = newSpace()
    const backbones = await Promise.all([open(server.url, space), open(server.url, space)])
    const [one, two] = await both(backbones, (backbone) => backbone.table("agent"))
    let revision = (await one.put("alice", "0", 0)) ?? 0
    for (let round = 0; round < 20; round++) {
      const written = await Promise.all([one.put("alice", "x", revision), two.put("alice", "x", revision)])
      const won = written.filter((result) => result !== undefined)
      expect(won).toHaveLength(1)
      revision = won[0] ?? 0
    }
    const deleted = await Promise.all([one.delete("alice", revision), two.delete("alice", revision)])
    expect(deleted.filter(Boolean)).toHaveLength(1)
  })

  test("entries pass from relay to relay when nothing is kept", async () => {
    const space = newSpace()
    const backbones = await Promise.all([open(server.url, space), open(server.url, space)])
    const keeping = { maxEntries: 0, atBound: "drop-oldest", on: "memory" } as const
    const [one, two] = await both(backbones, (backbone) => backbone.logs("channel", keeping))
    const heard = await hear(two)
    const first = await one.append("a", "id é", "1")
    await until("the first is told", () => heard.length > 0, patienceMs)
    const second = await two.append("a", "id2", "2")
    await two.append("a", "id é", "1")
    await one.append("end", "end", "end")
    await until("the last is told", () => heard.some(({ key }) => key === "end"), patienceMs)
    expect(heard.map(({ value }) => value)).toEqual(["1", "2", "end"])
    expect(heard.slice(0, 2).map(({ seq }) => seq)).toEqual([first.seq, second.seq])
    expect(second.seq).toBeGreaterThan(first.seq)
  })

  test("the newest entries of a key are found wherever they stand among others", async () => {
    const backbone = await open(server.url, newSpace())
    const logs = await backbone.logs("channel", { ...plenty, maxEntries: 10_000 })
    const spread = [
      ...Array.from({ length: 600 }, () => "early"),
      ...Array.from({ length: 900 }, (_, i) => (i % 300 === 7 ? "rare" : "even")),
      ...Array.from({ length: 600 }, () => "late"),
      "early",
    ]
    await Promise.all(spread.map((key, i) => logs.append(key, `id-${i}`, `${i}`)))
    for (const key of ["early", "rare", "even", "late"]) {
      const all = spread.flatMap((one, i) => (one === key ? [`${i}`] : []))
      for (const count of [1, 2, 20, 150, 599, 10_000]) {
        expect((await logs.last(key, count)).map(({ value }) => value)).toEqual(all.slice(-count))
      }
    }
  })

  test("what is larger than NATS takes is refused, and the connection stands", async () => {
    const backbone = await open(server.url, newSpace())
    const logs = await backbone.logs("channel", plenty)
    const huge = "x".repeat(1024 * 1024)
    await expect(logs.append("a", "id", huge)).rejects.toMatchObject({ code: "INVALID_MSG" })
    await logs.append("a", "id", "1")
    expect(backbone.isReachable).toBe(true)
  })

  test("a listener that fails does not end the connection", async () => {
    const lines: string[] = []
    const backbone = await open(server.url, newSpace(), (line) => void lines.push(line))
    const logs = await backbone.logs("channel", plenty)
    const table = await backbone.table("agent")
    await logs.subscribe(() => {
      throw new Error("a bug")
    })
    await table.watch(() => {
      throw new Error("a bug")
    })
    await logs.append("a", "id", "1")
    await table.put("a", "1")
    await until("both are logged", () => lines.length >= 2, patienceMs)
    await logs.append("a", "id2", "2")
    expect(backbone.isReachable).toBe(true)
  })

  test("what is not there is told without credentials", async () => {
    const gone = await startServer()
    await gone.kill()
    const address = `127.0.0.1:${gone.port}`
    const opening = open(`nats://alice:s3cret@${address}`, newSpace())
    const error = await opening.catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: "UNREACHABLE", message: `no NATS answers at ${address}` })
  })

  test("a server without JetStream is no store", async () => {
    const bare = await startServer("jetstream: false")
    await expect(
      openNatsBackbone({ servers: bare.url, clock: systemClock, log: () => {}, connectTimeoutMs: 1_000 }),
    ).rejects.toMatchObject({ code: "UNREACHABLE" })
  })

  test.each([
    ["user and password", "authorization { user: alice, password: 's3cr%t' }", "alice:s3cr%25t@"],
    ["a token", "authorization { token: s3cr-t }", "s3cr-t@"],
  ])("credentials of the form %s are used and never shown", async (_, config, credentials) => {
    const guarded = await startServer(config)
    const lines: string[] = []
    const servers = guarded.url.replace("//", `//${credentials}`)
    const backbone = await open(servers, newSpace(), (line) => void lines.push(line))
    await expect(open(guarded.url, newSpace())).rejects.toMatchObject({
      code: "UNREACHABLE",
      message: `NATS at 127.0.0.1:${guarded.port} refuses the credentials`,
    })
    await guarded.kill()
    await until("it is missed", () => !backbone.isReachable, patienceMs)
    const logs = await backbone.logs("channel", plenty).catch((error: unknown) => error)
    expect(logs).toMatchObject({ code: "UNAVAILABLE" })
    expect(lines.length).toBeGreaterThan(0)
    expect(lines.join("\n")).not.toMatch(/s3cr/)
  })
})

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
    const logs = await backbone.logs("channel", { ...plenty, on: "memory" })
    const heard = await hear(logs)
    for (const id of ["1", "2", "3"]) await logs.append("a", id, id)
    await until("three are told", () => heard.length === 3, patienceMs)
    await server.kill()
    await server.startAgain()
    await until(
      "it is missed and found",
      () => lines.some((line) => line.includes("reached again")),
      patienceMs,
    )
    await insist(logs, "a", "4")
    await until("the new one is told", () => heard.length >= 4, patienceMs)
    expect(heard.map(({ value }) => value)).toEqual(["1", "2", "3", "4"])
    expect(lines.join("\n")).toMatch(/begins anew/)
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
