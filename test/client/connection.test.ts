import { once } from "node:events"
import { describe, expect, it } from "vitest"
import { until } from "../kit/condition.js"
import { FakeClock } from "../kit/fake-clock.js"
import { joined, msg, welcome } from "../kit/fake-relay.js"
import { openSession } from "../kit/session.js"

describe("Connection.request", () => {
  it("resolves with the answer to its id, in whatever order answers arrive", async () => {
    const waiting: string[] = []
    const { connection, messages } = await openSession({
      answers: {
        JOIN: ({ channel, id }) => {
          waiting.unshift(JSON.stringify(joined(channel, id)))
          return waiting.length === 3 ? waiting : undefined
        },
      },
    })
    const channels = ["#a", "#b", "#c"]
    const answers = await Promise.all(
      channels.map((channel) => connection.request({ type: "JOIN", channel })),
    )
    expect(answers.map(({ channel }) => channel)).toEqual(channels)
    expect(messages).toEqual([])
  })

  it("gives each frame an id that no other session uses", async () => {
    const first = await openSession()
    const second = await openSession()
    for (const { connection } of [first, first, second]) await connection.request({ type: "PING" })
    const ids = [
      ...(await (await first.relay.session()).received("PING", 2)),
      ...(await (await second.relay.session()).received("PING")),
    ]
    expect(new Set(ids.map(({ id }) => id)).size).toBe(3)
    for (const { id } of ids) expect(id).toMatch(/^[A-Za-z0-9._:~-]{1,64}$/)
  })

  it("rejects with the relay's error", async () => {
    const { connection } = await openSession({
      answers: {
        MSG: ({ id }) => ({
          type: "ERROR",
          re: id,
          code: "RATE_LIMITED",
          message: "slow down",
          retry_after_ms: 700,
        }),
      },
    })
    await expect(connection.request({ type: "MSG", to: "#a", content: "x" })).rejects.toMatchObject({
      code: "RATE_LIMITED",
      retryAfterMs: 700,
    })
  })

  it("rejects an answer of the wrong kind", async () => {
    const { connection } = await openSession({
      answers: { JOIN: ({ id }) => ({ type: "PONG", re: id, ts: 1 }) },
    })
    await expect(connection.request({ type: "JOIN", channel: "#a" })).rejects.toMatchObject({
      code: "UNSUPPORTED",
    })
  })

  it("rejects if no answer arrives in time, and passes a late one on", async () => {
    const { relay, connection, messages } = await openSession({ answers: { PING: () => undefined } })
    await expect(connection.request({ type: "PING", id: "p" }, 20)).rejects.toMatchObject({
      code: "TIMEOUT",
      message: "PING: no answer within 20 ms",
    })
    ;(await relay.session()).send({ type: "PONG", re: "p", ts: 1 })
    await until("the late answer", () => messages.length === 1)
  })

  it("refuses an id that already waits for an answer", async () => {
    const { connection } = await openSession({ answers: { PING: () => undefined } })
    const first = connection.request({ type: "PING", id: "p" })
    first.catch(() => {})
    await expect(connection.request({ type: "PING", id: "p" })).rejects.toMatchObject({ code: "USAGE" })
  })

  it("rejects pending requests when the session ends", async () => {
    const { relay, connection } = await openSession({ answers: { PING: () => undefined } })
    const waiting = connection.request({ type: "PING" })
    waiting.catch(() => {})
    const session = await relay.session()
    await session.received("PING")
    session.socket.close(4002, "you do not read")
    await expect(waiting).rejects.toMatchObject({ code: "SLOW_READER" })
    await expect(connection.request({ type: "PING" })).rejects.toMatchObject({ code: "UNREACHABLE" })
  })
})

describe("Connection.send", () => {
  it("passes answers on that no request waits for", async () => {
    const { connection, messages } = await openSession()
    connection.send({ type: "MSG", to: "#general", content: "hi", id: "line-1" })
    await until("the ACK", () => messages.length === 1)
    expect(messages[0]).toMatchObject({ type: "ACK", re: "line-1", state: "accepted" })
  })

  it("keeps the order of ten thousand frames", async () => {
    const { relay, connection } = await openSession({ answers: { MSG: () => undefined } })
    for (let i = 0; i < 10_000; i++) connection.send({ type: "MSG", to: "#general", content: String(i) })
    expect(connection.bufferedBytes).toBeGreaterThan(0)
    const received = await (await relay.session()).received("MSG", 10_000)
    expect(received.map(({ content }) => Number(content))).toEqual(
      Array.from({ length: 10_000 }, (_, i) => i),
    )
    await until("everything left", () => connection.bufferedBytes === 0)
  })

  it("answers a frame over the relay's limit itself and keeps the session", async () => {
    const limited = welcome("bob", "@aaaaaaaa", "relay-1", { frame_bytes: 1_000 })
    const { relay, connection, messages } = await openSession({ answers: { IDENTIFY: () => limited } })
    const content = "ü".repeat(500)
    connection.send({ type: "MSG", to: "#general", content, id: "big" })
    await until("the refusal", () => messages.length === 1)
    expect(messages[0]).toMatchObject({ type: "ERROR", re: "big", code: "INVALID_MSG" })
    await expect(connection.request({ type: "MSG", to: "#general", content })).rejects.toMatchObject({
      code: "INVALID_MSG",
      message: "MSG: larger than the 1000 bytes this relay reads",
    })
    await connection.request({ type: "PING" })
    expect((await relay.session()).frames.map(({ type }) => type)).toEqual(["IDENTIFY", "PING"])
  })

  it("does nothing after the session has ended", async () => {
    const { connection, relay, ends } = await openSession()
    ;(await relay.session()).socket.terminate()
    await until("the end", () => ends.length === 1)
    expect(() => connection.send({ type: "PING" })).not.toThrow()
    connection.pause()
    connection.resume()
    await connection.close()
  })
})

describe("the end of a session", () => {
  it("is reported once, with the reason", async () => {
    const { relay, ends } = await openSession()
    ;(await relay.session()).socket.close(1001, "maintenance\u001b[2J")
    await until("the end", () => ends.length === 1)
    expect(ends[0]).toMatchObject({ code: "SHUTTING_DOWN" })
    expect(ends[0]?.message).toMatch(/^ws:\/\/127\.0\.0\.1:\d+: maintenance\\u\{1b\}\[2J$/)
  })

  it("comes with SESSION_DISPLACED even if the relay leaves the socket open", async () => {
    const { relay, messages, ends } = await openSession()
    ;(await relay.session()).send({ type: "SESSION_DISPLACED", reason: "elsewhere", ts: 1 })
    await until("the end", () => ends.length === 1)
    expect(ends[0]?.code).toBe("SESSION_DISPLACED")
    expect(messages).toHaveLength(1)
  })

  it("is not reported after close, which completes the closing handshake", async () => {
    const { relay, connection, ends } = await openSession({ answers: { MSG: () => undefined } })
    const session = await relay.session()
    const closed = once(session.socket, "close")
    connection.send({ type: "MSG", to: "#general", content: "last words" })
    await connection.close()
    expect((await closed)[0]).toBe(1000)
    expect(await session.received("MSG")).toHaveLength(1)
    expect(ends).toEqual([])
    await connection.close()
  })

  it("does not wait for a relay that does not answer the closing handshake", async () => {
    const clock = new FakeClock()
    const { relay, connection } = await openSession({}, { clock })
    const session = await relay.session()
    session.socket.pause()
    const closing = connection.close()
    clock.advance(1_000)
    await closing
    session.socket.resume()
  })

  it("is detected when the relay falls silent", async () => {
    const clock = new FakeClock()
    const { relay, ends } = await openSession({}, { clock })
    ;(await relay.session()).socket.pause()
    clock.advance(30_000)
    await until("the end", () => ends.length === 1)
    expect(ends[0]).toMatchObject({ code: "UNREACHABLE" })
    expect(ends[0]?.message).toContain("does not respond")
  })
})

describe("Connection.pause", () => {
  it("applies backpressure to the relay until resume", async () => {
    const { relay, connection, messages } = await openSession()
    const { socket } = await relay.session()
    connection.pause()
    const frame = JSON.stringify(msg("big", { content: "x".repeat(100_000) }))
    for (let i = 0; i < 300; i++) socket.send(frame)
    await until("the kernel's buffers full", () => socket.bufferedAmount > 1_000_000)
    const early = messages.length
    expect(early).toBeLessThan(300)
    connection.resume()
    await until("all messages", () => messages.length === 300)
    await until("everything sent", () => socket.bufferedAmount === 0)
  })

  it("does not take its own pause for silence of the relay", async () => {
    const clock = new FakeClock()
    const { connection, ends } = await openSession({}, { clock })
    connection.pause()
    clock.advance(3_600_000)
    connection.resume()
    clock.advance(19_000)
    expect(ends).toEqual([])
  })
})

describe("a hostile relay", () => {
  it.each([
    ["no JSON", "}{"],
    ["null", "null"],
    ["a message with wrong types", { type: "MSG", from: 1, to: {}, content: [] }],
    ["an answer to nothing", { type: "JOINED", re: "never-asked" }],
    ["an unknown type", { type: "EXEC", command: "x" }],
    ["a deep nest", "[".repeat(100_000)],
    ["an empty frame", ""],
  ])("does not disturb the session with %s", async (_what, frame) => {
    const { relay, connection, messages, ends } = await openSession()
    const session = await relay.session()
    session.send(frame)
    session.socket.send(Buffer.from([0xff, 0x00]), { binary: true })
    await connection.request({ type: "PING" })
    expect(messages).toEqual([])
    expect(ends).toEqual([])
  })

  it("ends its own session with a frame over the limit or text that is not UTF-8", async () => {
    for (const frame of [Buffer.alloc(17 * 1024 * 1024, 0x20), Buffer.from([0xff, 0xfe])]) {
      const { relay, messages, ends } = await openSession()
      ;(await relay.session()).socket.send(frame, { binary: false })
      await until("the end", () => ends.length === 1)
      expect(ends[0]?.code).toBe("UNREACHABLE")
      expect(messages).toEqual([])
    }
  })
})
