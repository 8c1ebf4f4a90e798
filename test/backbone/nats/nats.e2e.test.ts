import { jetstreamManager } from "@nats-io/jetstream"
import { connect } from "@nats-io/transport-node"
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest"
import { openNatsBackbone } from "../../../src/backbone/nats/nats-backbone.js"
import { type Clock, systemClock } from "../../../src/base/clock.js"
import { until } from "../../kit/condition.js"
import { NatsServer } from "../../kit/nats.js"
import { describeBackbone } from "../conformance.js"
import { patienceMs, plenty } from "../conformance-kit.js"
import { both, collectEntries, isPresent, newSpace, open, startServer, testMs } from "../nats-kit.js"

describe.runIf(isPresent)("nats", { timeout: testMs }, () => {
  let server: NatsServer
  beforeAll(async () => {
    server = await NatsServer.start()
  }, testMs)
  afterAll(() => server.dispose())

  describeBackbone("nats", async () => {
    const space = newSpace()
    const openSpace = () =>
      openNatsBackbone({ servers: server.url, space, clock: systemClock, log: () => {} })
    let backbone = await openSpace()
    const reopen = async () => {
      await backbone.close()
      backbone = await openSpace()
      return backbone
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
    const received = await collectEntries(ofTwo)
    await ofOne.append("a", "id", "1")
    expect((await ofTwo.append("a", "id", "1")).isDuplicate).toBe(true)
    await ofTwo.append("a", "id2", "2")
    await until("both have arrived", () => received.length >= 2, patienceMs)
    expect(received).toEqual(await ofOne.read("a", 0, 10))
    expect(await ofOther.read("a", 0, 10)).toEqual([])
    const tables = await both([one, two], (backbone) => backbone.table("agent"))
    await tables[0].put("alice", "here")
    expect((await tables[1].get("alice"))?.value).toBe("here")
  })

  test("a space that a newer version wrote is refused at once", async () => {
    const space = newSpace()
    await (await (await open(server.url, space)).table("system")).put("format", "2")
    await expect(open(server.url, space)).rejects.toMatchObject({
      code: "UNSUPPORTED",
      message: expect.stringContaining("newer agentchat (version 2; this one supports 1)") as string,
    })
  })

  test("one of two relays that write a row at the same revision succeeds", async () => {
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

  test("the tombstone of a deleted row is removed, and the row can be created again", async () => {
    // Half a minute passes in two seconds.
    const clock: Clock = {
      now: () => systemClock.now(),
      monotonic: () => systemClock.monotonic() * 20,
      setTimer: (fn, ms, options) => systemClock.setTimer(fn, ms === 10_000 ? 500 : ms, options),
    }
    const space = newSpace()
    const backbone = await openNatsBackbone({ servers: server.url, space, clock, log: () => {} })
    onTestFinished(() => backbone.close(), patienceMs)
    const table = await backbone.table("task")
    await table.put("stays", "1")
    const first = (await table.put("goes", "1")) ?? Infinity
    await table.delete("goes")
    const nc = await connect({ servers: server.url })
    onTestFinished(() => nc.close())
    const { streams } = await jetstreamManager(nc)
    const rest = async () => (await streams.info(`KV_${space}_task`)).state.messages
    await until("only one row is left", async () => (await rest()) === 1, patienceMs)
    expect(await table.put("goes", "2", 0)).toBeGreaterThan(first)
    expect(await table.rows()).toHaveLength(2)
  })

  test("the bus passes messages to every relay of the same space, in order", async () => {
    const space = newSpace()
    const [one, two, other] = [
      await open(server.url, space),
      await open(server.url, space),
      await open(server.url, newSpace()),
    ]
    const received: string[][] = [[], [], []]
    for (const [index, { bus }] of [one, two, other].entries()) {
      await bus?.subscribe((key, value) => void received[index]?.push(`${key} ${value}`))
    }
    for (const value of ["1", "2 é", "3"]) await one.bus?.publish("a.b", value)
    await until("all have arrived", () => received[0]?.length === 3 && received[1]?.length === 3, patienceMs)
    expect(received).toEqual([["a.b 1", "a.b 2 é", "a.b 3"], ["a.b 1", "a.b 2 é", "a.b 3"], []])
    await expect(one.bus?.publish("no key", "x")).rejects.toMatchObject({ code: "INVALID_NAME" })
  })

  test("`last` finds the newest entries of a key wherever they are in the stream", async () => {
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

  test("`trim` removes only the older entries of a key, and none that are appended meanwhile", async () => {
    const backbone = await open(server.url, newSpace())
    const logs = await backbone.logs("inbox", { ...plenty, maxEntries: 10_000 })
    const append = (id: string) => logs.append(id.startsWith("b") ? "b" : "a", id, id)
    const ids = Array.from({ length: 2_400 }, (_, i) => `${i % 3 === 0 ? "b" : "a"}${i}`)
    const appended = await Promise.all(ids.map(append))
    const end = appended[2_000]?.seq ?? 0
    const trims = ["a", "b", "a"].map((key) => logs.trim(key, end))
    const later = await Promise.all(
      Array.from({ length: 100 }, (_, i) => append(`${"ab"[i % 2]}-later-${i}`)),
    )
    await Promise.all(trims)
    const left = [...(await logs.read("a", 0, 10_000)), ...(await logs.read("b", 0, 10_000))]
    const wanted = [...appended, ...later].map(({ seq }) => seq).filter((seq) => seq > end)
    expect(left.map(({ seq }) => seq).sort((x, y) => x - y)).toEqual(wanted.sort((x, y) => x - y))
  })

  test("a value larger than NATS accepts is refused, and the connection stays open", async () => {
    const backbone = await open(server.url, newSpace())
    const logs = await backbone.logs("channel", plenty)
    const huge = "x".repeat(1024 * 1024)
    await expect(logs.append("a", "id", huge)).rejects.toMatchObject({ code: "INVALID_MSG" })
    await logs.append("a", "id", "1")
    expect(backbone.isReachable).toBe(true)
  })

  test("a subscriber that throws does not end the connection", async () => {
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

  test("the error of an unreachable server contains no credentials", async () => {
    const gone = await startServer()
    await gone.kill()
    const address = `127.0.0.1:${gone.port}`
    const opening = open(`nats://alice:s3cret@${address}`, newSpace())
    const error = await opening.catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: "UNREACHABLE", message: `no NATS at ${address}` })
  })

  test("a server without JetStream is refused", async () => {
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
      message: `NATS at 127.0.0.1:${guarded.port} refused the credentials`,
    })
    await guarded.kill()
    await until("the loss is noticed", () => !backbone.isReachable, patienceMs)
    const logs = await backbone.logs("channel", plenty).catch((error: unknown) => error)
    expect(logs).toMatchObject({ code: "UNAVAILABLE" })
    expect(lines.length).toBeGreaterThan(0)
    expect(lines.join("\n")).not.toMatch(/s3cr/)
  })
})
