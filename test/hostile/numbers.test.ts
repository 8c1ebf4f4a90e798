import { once } from "node:events"
import { readFileSync, writeFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { AgentChatClient } from "../../src/client/client.js"
import { until } from "../kit/condition.js"
import { DaemonHarness } from "../kit/daemon-harness.js"
import { FakeRelay, joined, msg } from "../kit/fake-relay.js"
import { TestRelay } from "../kit/relay.js"

const huge = Number.MAX_SAFE_INTEGER
const text = (n: number, seq: number) => msg(`bbbbbbbb.${n}`, { seq })

async function running(top: { seq: number }) {
  const relay = await FakeRelay.start({
    answers: { JOIN: ({ channel, id }) => joined(channel, id, top.seq) },
  })
  const daemon = new DaemonHarness()
  await daemon.start(relay)
  await until("online", () => daemon.status.connected)
  const bookmark = () => {
    daemon.sweep()
    const { channels } = JSON.parse(readFileSync(daemon.paths.bookmarks, "utf8")) as {
      channels: Record<string, number>
    }
    return channels["#general"]
  }
  return { relay, daemon, bookmark, session: await relay.session() }
}

/** Starts the daemon again. @returns the `since` of each JOIN of the new session */
async function again(relay: FakeRelay, daemon: DaemonHarness, index: number): Promise<unknown[]> {
  await daemon.start(relay)
  await until("online again", () => daemon.status.connected)
  const joins = await (await relay.session(index)).received("JOIN")
  return joins.map(({ since }) => since)
}

describe("a false number of a message", { timeout: 60_000 }, () => {
  it.each([[[huge]], [[10, huge]], [[huge, 5]]])(
    "moves no bookmark of a daemon: %j after a channel's numbers 1 and 2",
    async (numbers) => {
      const top = { seq: 0 }
      const { relay, daemon, bookmark, session } = await running(top)
      const all = [1, 2, ...numbers, 11, 12]
      session.send(...all.map((seq, index) => text(index, seq)))
      await daemon.lines("MSG", all.length)
      await until("the bookmark", () => bookmark() === 12)
      const frames = await session.received("RECEIVED")
      expect(Math.max(...frames.map(({ up_to: upTo }) => upTo?.["#general"] ?? 0))).toBe(12)
      top.seq = 12
      expect(await again(relay, daemon, 1)).toEqual([12])
    },
  )

  it("that a second one confirms lasts until the relay's own are below it: the daemon then starts over with a notice", async () => {
    const { daemon, bookmark, session } = await running({ seq: 0 })
    session.send(text(1, huge - 1), text(2, huge))
    await until("the false bookmark", () => bookmark() === huge)
    session.send(text(3, 42))
    expect(await daemon.lines("NOTICE")).toMatchObject([{ code: "STORE_RESET" }])
    session.send(text(4, 43))
    await until("the true bookmark", () => bookmark() === 43)
  })

  it("from an earlier session makes the daemon join again from what the relay has", async () => {
    const top = { seq: 0 }
    const { relay, daemon, bookmark, session } = await running(top)
    session.send(text(1, huge - 1), text(2, huge))
    await until("the false bookmark", () => bookmark() === huge)
    top.seq = 100
    expect(await again(relay, daemon, 1)).toEqual([huge, 80])
    expect(await daemon.lines("NOTICE")).toMatchObject([{ code: "STORE_RESET" }])
    expect(bookmark()).toBe(80)
    expect(await again(relay, daemon, 2)).toEqual([80])
  })

  it("makes the daemon miss nothing on a relay that keeps channels in memory", async () => {
    const relay = await TestRelay.start()
    const url = `ws://127.0.0.1:${relay.relay.port}`
    const ann = await relay.enter("ann", "#general")
    const daemon = new DaemonHarness()
    await daemon.start({ url })
    await until("online", () => daemon.status.connected)
    await ann.wire.ask({ type: "MSG", to: "#general", content: "one" })
    await daemon.lines("MSG")
    await daemon.stop()
    const bookmarks = JSON.parse(readFileSync(daemon.paths.bookmarks, "utf8")) as { channels: object }
    const poisoned = { ...bookmarks, channels: { "#general": huge } }
    writeFileSync(daemon.paths.bookmarks, JSON.stringify(poisoned))
    await ann.wire.ask({ type: "MSG", to: "#general", content: "two" })
    await daemon.start({ url })
    const lines = await daemon.lines("MSG", 2)
    expect(lines.map(({ content }) => content)).toEqual(["one", "two"])
  })

  it("moves no position of the library", async () => {
    const relay = await FakeRelay.start({
      answers: { JOIN: ({ channel, id }) => joined(channel, id, 40) },
    })
    const client = new AgentChatClient({ server: relay.url, name: "ann", reconnect: true, random: () => 0 })
    client.on("message", () => {})
    await client.connect()
    await client.join("#general")
    const back = once(client, "reconnect")
    const session = await relay.session()
    session.send(text(1, 41), text(2, huge), text(3, 42))
    await client.ping()
    session.socket.terminate()
    await back
    const [first] = await (await relay.session(1)).received("JOIN")
    expect(first).toMatchObject({ since: 42 })
    await client.disconnect()
  })
})
