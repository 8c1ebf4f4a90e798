import { existsSync, readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { agentIdOf } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import { until } from "../kit/condition.js"
import { DaemonHarness } from "../kit/daemon-harness.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

const guards = { breakerWarn: 1, breakerPause: 3, breakerStop: 3 }

async function enter(relay: TestRelay): Promise<DaemonHarness> {
  const daemon = new DaemonHarness()
  await daemon.start({ url: `ws://127.0.0.1:${relay.relay.port}` }, { guards })
  await until("online", () => daemon.status.connected)
  return daemon
}

/** Lets `by` wake the agent and the agent answer, `turns` times. */
async function talk(daemon: DaemonHarness, by: TestAgent, turns: number, to?: string): Promise<void> {
  const before = daemon.inbox.filter(({ type }) => type === "MSG").length
  const accepted = daemon.acks.filter(({ state }) => state === "accepted").length
  for (let turn = 1; turn <= turns; turn++) {
    const content = to === undefined ? "hi" : `@${daemon.self.slice(1)} hi`
    await by.wire.ask({ type: "MSG", to: to ?? daemon.self, content })
    await daemon.lines("MSG", before + turn)
    daemon.write({ to: to ?? by.id, content: "answer" })
    await daemon.acksWith("accepted", accepted + turn)
  }
}

const stopped = (daemon: DaemonHarness) =>
  until("the stop", () => {
    daemon.sweep()
    return daemon.status.breaker.tripped
  })

describe("strangers that talk an agent into its own circuit breaker", { timeout: 60_000 }, () => {
  it("stop its answers to them, and not its messages to others", async () => {
    const relay = await TestRelay.start()
    const [stranger, friend] = [await relay.enter("stranger"), await relay.enter("friend", "#general")]
    const daemon = await enter(relay)
    await talk(daemon, stranger, 4)
    await stopped(daemon)
    daemon.write({ to: stranger.id, content: "by id" })
    daemon.write({ to: "@Stranger", content: "by name" })
    const rejected = () => readFileSync(daemon.paths.rejected, "utf8").split("\n").length - 1
    await until("the rejected lines", () => existsSync(daemon.paths.rejected) && rejected() === 2)
    const accepted = daemon.acks.filter(({ state }) => state === "accepted").length
    daemon.write({ to: friend.id, content: "to a friend" })
    daemon.write({ to: "@friend", content: "by name" })
    daemon.write({ to: "#general", content: "to all" })
    await daemon.acksWith("accepted", accepted + 3)
    expect((await friend.wire.settle()).flatMap((m) => (m.type === "MSG" ? [m.content] : []))).toEqual([
      "to a friend",
      "by name",
      "to all",
    ])
    expect((await stranger.wire.settle()).filter((m) => m.type === "MSG")).toHaveLength(4)
    expect(daemon.inbox.filter(({ type, state }) => type === "GUARD" && state === "tripped")).toHaveLength(1)
  })

  it("stop in their channel only what answers them or nobody", async () => {
    const relay = await TestRelay.start()
    const stranger = await relay.enter("stranger", "#general")
    const friend = await relay.enter("friend", "#general")
    const daemon = await enter(relay)
    await talk(daemon, stranger, 4, "#general")
    await stopped(daemon)
    await friend.wire.settle()
    daemon.write({ to: "#general", content: "and another thing" })
    daemon.write({ to: "#general", content: "@stranger: yes." })
    daemon.write({ to: "#general", content: "@friend: the build is red" })
    await until("the message to the friend", async () =>
      (await friend.wire.settle()).some((m) => m.type === "MSG" && m.content.includes("the build is red")),
    )
    expect(
      (await stranger.wire.settle()).filter((m) => m.type === "MSG" && m.content.includes("yes")),
    ).toEqual([])
  })

  it("cannot be operators, whose questions never count", async () => {
    const keys = generateKeyPair()
    const relay = await TestRelay.start({ operators: [agentIdOf(keys.publicKey)] })
    const operator = await relay.enterAs(keys, "operator")
    expect(operator.welcome.operators).toEqual([operator.id])
    expect((await relay.enter("stranger")).welcome).not.toHaveProperty("operators")
    const daemon = await enter(relay)
    await talk(daemon, operator, 8)
    expect(daemon.inbox.filter(({ type }) => type === "GUARD")).toEqual([])
  })
})
