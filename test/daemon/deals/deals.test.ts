import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { readDealLog } from "../../../src/daemon/deals/proposals-file.js"
import { checkReceipt } from "../../../src/proposals/receipt-check.js"
import { until } from "../../kit/condition.js"
import { DaemonHarness } from "../../kit/daemon-harness.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { parseReceipt } from "../../kit/receipt-line.js"
import { TestRelay } from "../../kit/relay.js"
import { temporaryDirectory } from "../../kit/temporary.js"

interface Server {
  readonly url: string
  readonly clock: FakeClock
}

async function startServer(): Promise<Server> {
  const relay = await TestRelay.start()
  return { url: `ws://127.0.0.1:${relay.relay.port}`, clock: relay.clock }
}

async function join(server: Server, nick: string, daemon = new DaemonHarness()): Promise<DaemonHarness> {
  await daemon.start(server, { nick: nick as never })
  await until("online", () => daemon.status.connected)
  return daemon
}

/** Writes a line and waits for its ack. */
async function send(daemon: DaemonHarness, line: object): Promise<Record<string, unknown>> {
  const id = `line-${daemon.acks.length + daemon.inbox.length}`
  daemon.write({ ...line, id })
  return until(`the ack of ${JSON.stringify(line)}`, () => {
    daemon.sweep()
    const refused = daemon.inbox.find((each) => each["type"] === "REJECTED" && each["id"] === id)
    if (refused !== undefined) throw new Error(JSON.stringify(refused))
    return daemon.acks.find((ack) => ack["id"] === id && ack["state"] === "accepted")
  })
}

/** Writes a line that is rejected. @returns the REJECTED line of the inbox */
async function refused(daemon: DaemonHarness, line: object): Promise<Record<string, unknown>> {
  const id = `line-${daemon.acks.length + daemon.inbox.length}`
  daemon.write({ ...line, id })
  return until(`the refusal of ${JSON.stringify(line)}`, () => {
    daemon.sweep()
    return daemon.inbox.find((each) => each["type"] === "REJECTED" && each["id"] === id)
  })
}

const verdicts = (daemon: DaemonHarness) => daemon.receipts.map((line) => checkReceipt(parseReceipt(line)))
const stepsIn = (daemon: DaemonHarness) =>
  daemon.inbox
    .filter(({ type }) => ["PROPOSAL", "ACCEPT", "REJECT", "COMPLETE", "DISPUTE"].includes(String(type)))
    .map(({ type, state, self }) => `${String(type)} ${String(state)}${self === true ? " self" : ""}`)

async function proposed(alice: DaemonHarness, bob: DaemonHarness): Promise<string> {
  await send(alice, { type: "PROPOSAL", to: "@bob", task: "echo hello", amount: 0.05, currency: "SOL" })
  const [line] = await bob.lines("PROPOSAL")
  return String(line?.["id"])
}

describe("daemons that make deals", { timeout: 60_000 }, () => {
  it("make, accept and complete a proposal by lines alone, and each has a receipt", async () => {
    const server = await startServer()
    const alice = await join(server, "alice")
    const bob = await join(server, "bob")
    const ack = await send(alice, { type: "PROPOSAL", to: "@bob", task: "x", amount: 0.05, currency: "SOL" })
    const [proposal] = await bob.lines("PROPOSAL")
    const id = String(proposal?.["id"])
    expect(proposal).toMatchObject({
      from: alice.self,
      name: "alice",
      to: bob.self,
      state: "pending",
      task: "x",
      amount: "0.05",
      currency: "SOL",
      expires: 604_800,
    })
    expect(proposal).not.toHaveProperty("sig")
    expect(ack).toMatchObject({
      msg_id: proposal?.["msg_id"],
      evidence: { proposal_id: id, state: "pending", to: bob.self },
    })
    await send(bob, { type: "ACCEPT", proposal_id: id, payment_code: "code" })
    await alice.lines("ACCEPT")
    await send(alice, { type: "COMPLETE", proposal_id: id, proof: "done" })
    await bob.lines("COMPLETE")
    for (const daemon of [alice, bob]) {
      await until("the receipt", () => daemon.receipts.length === 1)
      expect(verdicts(daemon)).toMatchObject([
        { status: "valid", proves: ["integrity", "accepted-by-both", "completed-by-one"] },
      ])
    }
    await send(bob, { type: "COMPLETE", proposal_id: id })
    await alice.lines("COMPLETE", 2)
    await until("the second receipts", () => alice.receipts.length + bob.receipts.length === 4)
    expect(alice.receipts).toEqual(bob.receipts)
    expect(verdicts(bob)[1]).toMatchObject({ proves: expect.arrayContaining(["completed-by-both"]) })
    expect(stepsIn(alice)).toEqual([
      "PROPOSAL pending self",
      "ACCEPT accepted",
      "COMPLETE completed self",
      "COMPLETE completed",
    ])
    expect(stepsIn(bob)).toEqual([
      "PROPOSAL pending",
      "ACCEPT accepted self",
      "COMPLETE completed",
      "COMPLETE completed self",
    ])
    const [logged] = readDealLog(bob.paths.proposals)
    expect(logged?.deal).toMatchObject({ id, state: "completed" })
    expect(new Set(logged?.names.values())).toEqual(new Set(["alice", "bob"]))
  })

  it("send several statements at once, in order, between other lines", async () => {
    const server = await startServer()
    const alice = await join(server, "alice")
    const bob = await join(server, "bob")
    const id = await proposed(alice, bob)
    bob.write({ type: "ACCEPT", proposal_id: id })
    bob.write({ to: "@alice", content: "on it" })
    bob.write({ type: "COMPLETE", proposal_id: id })
    bob.write({ to: "@alice", content: "there" })
    await alice.lines("MSG", 2)
    await alice.lines("COMPLETE")
    const order = alice.inbox.map(({ type, content }) => content ?? type)
    expect(order.filter((each) => !["AGENT_JOINED", "PROPOSAL"].includes(String(each)))).toEqual([
      "ACCEPT",
      "on it",
      "COMPLETE",
      "there",
    ])
  })

  it("reject a proposal, and dispute a completed deal", async () => {
    const server = await startServer()
    const alice = await join(server, "alice")
    const bob = await join(server, "bob")
    const first = await proposed(alice, bob)
    await send(bob, { type: "REJECT", proposal_id: first, reason: "no time" })
    expect(await alice.lines("REJECT")).toMatchObject([{ state: "rejected", reason: "no time" }])
    const ack = await send(alice, { type: "PROPOSAL", to: bob.self, task: "again" })
    const { proposal_id: second } = ack["evidence"] as { proposal_id: string }
    await until("the proposal", () => bob.inbox.some(({ id }) => id === second))
    await send(bob, { type: "ACCEPT", proposal_id: second })
    await alice.lines("ACCEPT")
    await send(alice, { type: "DISPUTE", proposal_id: second, reason: "not done", fault: "other" })
    await bob.lines("DISPUTE")
    await send(bob, { type: "DISPUTE", proposal_id: second, reason: "true", fault: "self" })
    await until("both receipts", () => alice.receipts.length === 2)
    expect(verdicts(alice)[1]).toMatchObject({ proves: expect.arrayContaining(["fault-agreed"]) })
  })

  it("get delivery stages for a statement as for a message", async () => {
    const server = await startServer()
    const alice = await join(server, "alice")
    const bob = await join(server, "bob")
    await proposed(alice, bob)
    const [ack] = await alice.acksWith("mirrored")
    expect(ack).toMatchObject({ by: bob.self, state: "mirrored" })
    expect(alice.log).not.toContain("mismatch")
    expect(bob.log).not.toContain("mismatch")
  })

  it("write each missed statement to the inbox once", async () => {
    const server = await startServer()
    const alice = await join(server, "alice")
    const bob = await join(server, "bob")
    const id = await proposed(alice, bob)
    await alice.stop()
    await send(bob, { type: "ACCEPT", proposal_id: id })
    await send(bob, { type: "COMPLETE", proposal_id: id })
    await join(server, "alice", alice)
    await alice.lines("COMPLETE")
    await until("the receipt", () => alice.receipts.length === 1)
    await join(server, "alice", alice)
    await send(alice, { type: "COMPLETE", proposal_id: id })
    expect(stepsIn(alice)).toEqual([
      "PROPOSAL pending self",
      "ACCEPT accepted",
      "COMPLETE completed",
      "COMPLETE completed self",
    ])
    expect(readFileSync(alice.paths.proposals, "utf8").split("\n")).toHaveLength(5)
  })

  it("in one directory write one receipt per deal", async () => {
    const server = await startServer()
    const root = temporaryDirectory()
    const alice = await join(server, "alice", new DaemonHarness(new FakeClock(), { root, name: "a" }))
    const bob = await join(server, "bob", new DaemonHarness(new FakeClock(), { root, name: "b" }))
    const id = await proposed(alice, bob)
    await send(bob, { type: "ACCEPT", proposal_id: id })
    await send(bob, { type: "COMPLETE", proposal_id: id })
    await alice.lines("COMPLETE")
    await alice.stop()
    await bob.stop()
    expect(alice.receipts).toHaveLength(1)
    await join(server, "alice", alice)
    await join(server, "bob", bob)
    await alice.stop()
    expect(bob.receipts).toHaveLength(1)
  })

  it("reject an illegal statement with the reason", async () => {
    const server = await startServer()
    const alice = await join(server, "alice")
    const bob = await join(server, "bob")
    const id = await proposed(alice, bob)
    expect(await refused(alice, { type: "ACCEPT", proposal_id: id })).toMatchObject({ code: "NOT_A_PARTY" })
    expect(await refused(bob, { type: "COMPLETE", proposal_id: id })).toMatchObject({
      code: "PROPOSAL_STATE",
      reason: "COMPLETE: the proposal is pending",
      hint: "it can be answered with ACCEPT or REJECT",
    })
    expect(await refused(bob, { type: "ACCEPT", proposal_id: "prop_unknown1" })).toMatchObject({
      code: "PROPOSAL_NOT_FOUND",
    })
    expect(await refused(alice, { type: "PROPOSAL", to: "@nobody", task: "x" })).toMatchObject({
      code: "AGENT_NOT_FOUND",
    })
    expect(await refused(alice, { type: "PROPOSAL", to: "@alice", task: "x" })).toMatchObject({
      code: "INVALID_MSG",
      reason: "to: cannot be yourself",
    })
    await send(bob, { type: "REJECT", proposal_id: id })
    expect(await refused(bob, { type: "ACCEPT", proposal_id: id })).toMatchObject({ code: "PROPOSAL_STATE" })
    expect(stepsIn(bob)).toEqual(["PROPOSAL pending", "REJECT rejected self"])
  })

  it("refuse drafts without an identity", async () => {
    const server = await startServer()
    const alice = await join(server, "alice")
    const daemon = new DaemonHarness()
    await daemon.start(server, { nick: "eve" as never, identity: undefined as never })
    await until("online", () => daemon.status.connected)
    expect(await refused(daemon, { type: "PROPOSAL", to: "@alice", task: "x" })).toMatchObject({
      code: "IDENTITY_REQUIRED",
      hint: expect.stringContaining("--ephemeral"),
    })
    expect(await refused(alice, { type: "PROPOSAL", to: "@eve", task: "x" })).toMatchObject({
      code: "IDENTITY_REQUIRED",
      reason: "to: @eve has no identity and cannot sign",
    })
  })
})
