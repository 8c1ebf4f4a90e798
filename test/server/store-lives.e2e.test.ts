import { cpSync, rmSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { FakeClock } from "../kit/fake-clock.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"
import { storeOpener } from "../kit/store.js"
import { temporaryDirectory } from "../kit/temporary.js"

const store = storeOpener()
const keys = { ann: generateKeyPair(), bob: generateKeyPair() }
const startMs = 1_800_000_000_000
const hourMs = 3_600_000

/** The store of a relay, with a copy. */
class CopiedStore {
  readonly #dir = join(temporaryDirectory(), "data")
  #clock = new FakeClock(startMs)
  relay: TestRelay | undefined

  /** Starts the relay at a time. */
  async start(nowMs: number): Promise<TestRelay> {
    this.#clock = new FakeClock(nowMs)
    const backbone = await store.open(this.#dir, this.#clock)
    this.relay = await TestRelay.start({ backbone, clock: this.#clock })
    return this.relay
  }

  /** Stops the relay, and starts it from a copy of the store that was made before. */
  async restore(nowMs: number): Promise<TestRelay> {
    await this.relay?.stop()
    rmSync(this.#dir, { recursive: true })
    cpSync(`${this.#dir}.copy`, this.#dir, { recursive: true })
    return this.start(nowMs)
  }

  async copyAndRestart(nowMs: number): Promise<TestRelay> {
    await this.relay?.stop()
    cpSync(this.#dir, `${this.#dir}.copy`, { recursive: true })
    return this.start(nowMs)
  }
}

async function post({ wire }: TestAgent, to: string, ...contents: readonly string[]): Promise<void> {
  for (const content of contents) {
    expect(await wire.answerTo({ type: "MSG", id: content, to, content })).toMatchObject({ type: "ACK" })
  }
}

async function receive({ wire }: TestAgent): Promise<ServerMessage<"MSG">[]> {
  const messages = await wire.settle()
  return messages.filter((message): message is ServerMessage<"MSG"> => message.type === "MSG")
}

const rejoin = ({ wire }: TestAgent, channel: string, since: number) =>
  wire.ask({ type: "JOIN", channel, since }) as Promise<ServerMessage<"JOINED">>

/**
 * Says two things in a channel, copies the store, and says three more, all of which ann and bob read.
 * @returns the number of the last message
 */
async function sayAndCopy(copied: CopiedStore, durable = true): Promise<number> {
  const first = await copied.start(startMs)
  const ann = await first.enterAs(keys.ann, "ann")
  await ann.wire.ask({ type: "CREATE_CHANNEL", channel: "#d", durable })
  await first.enterAs(keys.bob, "bob", "#d")
  await post(ann, "#d", "a1", "a2")
  const second = await copied.copyAndRestart(startMs + hourMs)
  const bob = await second.enterAs(keys.bob, "bob", "#d")
  await post(await second.enterAs(keys.ann, "ann", "#d"), "#d", "b1", "b2", "b3")
  const seq = (await receive(bob)).at(-1)?.seq ?? 0
  bob.wire.say({ type: "RECEIVED", up_to: { "#d": seq } })
  await bob.wire.settle()
  return seq
}

describe("a store restored from an older copy", () => {
  it.each([
    ["a durable channel, later", true, 2 * hourMs],
    ["a plain channel, later", false, 2 * hourMs],
    ["a durable channel, with a clock set back by a month", true, -30 * 24 * hourMs],
    ["a plain channel, with a clock set back by a month", false, -30 * 24 * hourMs],
  ])(
    "sends a member that is ahead of it all that is said from then on: %s",
    async (_when, durable, afterMs) => {
      const copied = new CopiedStore()
      const ahead = await sayAndCopy(copied, durable)
      const restored = await copied.restore(startMs + afterMs)
      const bob = await restored.enterAs(keys.bob, "bob")
      expect(await rejoin(bob, "#d", ahead)).toMatchObject({ reset: true })
      const ann = await restored.enterAs(keys.ann, "ann", "#d")
      const said = ["c1", "c2", "c3", "c4", "c5", "c6"]
      await post(ann, "#d", ...said)
      const received = await receive(bob)
      expect(received.map(({ content }) => content).filter((content) => said.includes(content))).toEqual(said)
    },
  )

  it("sends a member that returns when the new life is longer all of it, and reports the reset once", async () => {
    const copied = new CopiedStore()
    const ahead = await sayAndCopy(copied)
    const restored = await copied.restore(startMs + 2 * hourMs)
    const ann = await restored.enterAs(keys.ann, "ann", "#d")
    const said = Array.from({ length: 20 }, (_, i) => `c${i}`)
    await post(ann, "#d", ...said)
    const bob = await restored.enterAs(keys.bob, "bob")
    expect(await rejoin(bob, "#d", ahead)).toMatchObject({ reset: true })
    const received = await receive(bob)
    expect(received.map(({ content }) => content).filter((content) => content.startsWith("c"))).toEqual(said)
    const again = await restored.enterAs(keys.bob, "bob")
    expect(await rejoin(again, "#d", received.at(-1)?.seq ?? 0)).not.toHaveProperty("reset")
    expect(await receive(again)).toEqual([])
  })

  it("is no reset for a member whose position the copy knows, nor is a plain restart", async () => {
    const copied = new CopiedStore()
    const ahead = await sayAndCopy(copied)
    await copied.relay?.stop()
    const restarted = await copied.start(startMs + 2 * hourMs)
    const bob = await restarted.enterAs(keys.bob, "bob")
    expect(await rejoin(bob, "#d", ahead)).not.toHaveProperty("reset")
    const restored = await copied.restore(startMs + 3 * hourMs)
    const again = await restored.enterAs(keys.bob, "bob")
    expect(await rejoin(again, "#d", 2)).not.toHaveProperty("reset")
  })

  it("gives no number to two messages, also when it is restored twice", async () => {
    const copied = new CopiedStore()
    const seqs = [await sayAndCopy(copied)]
    for (const afterMs of [2 * hourMs, 2 * hourMs + 5]) {
      const restored = await copied.restore(startMs + afterMs)
      const bob = await restored.enterAs(keys.bob, "bob", "#d")
      await receive(bob)
      await post(await restored.enterAs(keys.ann, "ann", "#d"), "#d", `c${afterMs}`)
      seqs.push((await receive(bob)).at(-1)?.seq ?? 0)
    }
    expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b))
  })
})
