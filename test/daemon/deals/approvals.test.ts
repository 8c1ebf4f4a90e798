import { readFileSync, writeFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { until } from "../../kit/condition.js"
import { DaemonHarness } from "../../kit/daemon-harness.js"
import { TestRelay } from "../../kit/relay.js"

interface Party {
  readonly daemon: DaemonHarness
  readonly start: () => Promise<void>
}

async function makeParty(url: string, nick: string, options: object = {}): Promise<Party> {
  const daemon = new DaemonHarness()
  const start = async () => {
    await daemon.start({ url }, { nick: nick as never, ...options })
    await until("online", () => daemon.status.connected)
  }
  await start()
  return { daemon, start }
}

async function makeScene(options: object = { approve_deals: true }) {
  const relay = await TestRelay.start()
  const url = `ws://127.0.0.1:${relay.relay.port}`
  const ann = (await makeParty(url, "ann")).daemon
  const pia = (await makeParty(url, "pia", { role: "human" })).daemon
  const bob = await makeParty(url, "bob", options)
  ann.write({
    type: "PROPOSAL",
    to: bob.daemon.self,
    task: "mow \u001b[31m",
    amount: "5",
    currency: "USD",
    expires: 600,
  })
  const [proposal] = await bob.daemon.lines("PROPOSAL")
  return { relay, ann, pia, bob, id: String(proposal?.["id"]) }
}

function countOf(daemon: DaemonHarness, type: string): number {
  return daemon.inbox.filter((line) => line["type"] === type).length
}

describe("a deal that a person has to approve", { timeout: 90_000 }, () => {
  it("is accepted once a person has said yes", async () => {
    const { ann, pia, bob, id } = await makeScene()
    bob.daemon.write({ type: "ACCEPT", proposal_id: id, payment_code: "PM1" })
    const [task] = await pia.lines("TASK")
    expect(task).toMatchObject({ choices: ["yes", "no"], default: "no" })
    expect(task?.["content"]).toMatch(/^Accept the deal prop_.*\ntask: mow .*\nprice: 5 USD$/s)
    expect(countOf(ann, "ACCEPT")).toBe(0)
    pia.write({ type: "DONE", task: task?.["task"], content: "yes" })
    expect(await ann.lines("ACCEPT")).toMatchObject([{ proposal_id: id, payment_code: "PM1" }])
  })

  it("is rejected after a no, and after the expiry, with the reason", async () => {
    const { relay, ann, pia, bob, id } = await makeScene({})
    bob.daemon.write({ type: "ACCEPT", proposal_id: id, ask: true })
    const [task] = await pia.lines("TASK")
    pia.write({ type: "DONE", task: task?.["task"], content: "no" })
    expect(await ann.lines("REJECT")).toMatchObject([{ reason: "a person did not approve it" }])
    ann.write({ type: "PROPOSAL", to: bob.daemon.self, task: "paint", expires: 50 })
    const [, second] = await bob.daemon.lines("PROPOSAL", 2)
    bob.daemon.write({ type: "ACCEPT", proposal_id: second?.["id"], ask: true })
    await pia.lines("TASK", 2)
    relay.clock.advance(45_000)
    const [, rejected] = await ann.lines("REJECT", 2)
    expect(rejected).toMatchObject({ proposal_id: second?.["id"], reason: "no person approved it in time" })
  })

  it("is accepted once, if the daemon is killed and takes every line again", async () => {
    const { ann, pia, bob, id } = await makeScene()
    const { daemon, start } = bob
    daemon.write({ type: "ACCEPT", proposal_id: id })
    const [task] = await pia.lines("TASK")
    const memory = readFileSync(daemon.paths.memory)
    await daemon.stop()
    pia.write({ type: "DONE", task: task?.["task"], content: "yes" })
    await pia.acksWith("accepted")
    await start()
    await ann.lines("ACCEPT")
    await daemon.stop()
    // As after a crash before the answer was saved.
    writeFileSync(daemon.paths.memory, memory)
    daemon.write({ type: "ACCEPT", proposal_id: id })
    await start()
    daemon.sweep()
    expect(countOf(ann, "ACCEPT")).toBe(1)
    expect(countOf(pia, "TASK")).toBe(1)
  })
})
