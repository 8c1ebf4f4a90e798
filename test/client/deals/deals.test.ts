import { readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { describe, expect, it, onTestFinished } from "vitest"
import { systemClock } from "../../../src/base/clock.js"
import { createIdentity, type Identity } from "../../../src/identity/identity-file.js"
import { AgentChatClient, type AgentChatClientOptions, type DealEvent } from "../../../src/index.js"
import { checkReceipt } from "../../../src/proposals/receipt-check.js"
import { startRelay } from "../../../src/server/relay.js"
import { until } from "../../kit/condition.js"
import { newIdentity } from "../../kit/identity.js"
import { temporaryDirectory } from "../../kit/temporary.js"
import { hearAll } from "./deal-client.js"

const unlimited = { ratePerSecond: 100_000, rateBurst: 100_000 }

async function relayUrl(): Promise<string> {
  const relay = await startRelay({
    port: 0,
    host: "127.0.0.1",
    clock: systemClock,
    log: () => {},
    limits: unlimited,
  })
  onTestFinished(() => relay.stop())
  return relay.url
}

async function connect(
  server: string,
  name: string,
  identity: Identity = newIdentity(),
  options: Partial<AgentChatClientOptions> = {},
): Promise<{ client: AgentChatClient; identity: Identity; events: DealEvent[] }> {
  const client = new AgentChatClient({ server, name, identity, ...options })
  onTestFinished(() => client.disconnect())
  const events: DealEvent[] = []
  hearAll(client, events)
  client.on("error", (error) => {
    throw error
  })
  await client.connect()
  return { client, identity, events }
}

/** Runs the example of the document against a relay; its client is gone when the test ends. */
async function runExample(server: string): Promise<{ identity: Identity; printed: string[] }> {
  const document = readFileSync(join(import.meta.dirname, "../../../doc/library.md"), "utf8")
  const example = [...document.matchAll(/```js\n(.*?)```/gs)].find(([text]) => text.includes("propose("))?.[1]
  if (example === undefined) throw new Error("doc/library.md has no example of a proposal")
  const home = temporaryDirectory()
  const path = join(home, "identity.json")
  const identity = createIdentity(path)
  const body = example
    .replace(/^import .*$/m, "")
    .replace("ws://127.0.0.1:6667", server)
    .replace("./.agentchat/identity.json", path)
  const file = join(home, "example.mjs")
  writeFileSync(file, `export async function example(AgentChatClient, console) {\n${body}\n}\n`)
  const { example: run } = (await import(pathToFileURL(file).href)) as {
    example: (client: typeof AgentChatClient, console: object) => Promise<void>
  }
  class Client extends AgentChatClient {
    constructor(options: AgentChatClientOptions) {
      super(options)
      onTestFinished(() => this.disconnect())
    }
  }
  const printed: string[] = []
  await run(Client, { log: (...words: string[]) => printed.push(words.join(" ")) })
  return { identity, printed }
}

const statesOf = (events: readonly DealEvent[]) => events.map(({ type, state }) => `${type} ${state}`)

/** Both parties, and a proposal of Alice that Bob has received. */
async function propose(server: string) {
  const alice = await connect(server, "alice")
  const bob = await connect(server, "bob")
  const { id } = await alice.client.propose("@bob", { task: "echo hello", amount: 0.05, currency: "SOL" })
  await until("the proposal", () => bob.events.length === 1)
  return { alice, bob, id }
}

describe("a deal over a relay", () => {
  it("works exactly as doc/library.md shows", async () => {
    const server = await relayUrl()
    const other = await connect(server, "other-agent")
    other.client.on("proposal", ({ id }) => void other.client.accept(id, "their-payment-code"))
    const { identity, printed } = await runExample(server)
    await until("the completion", () => other.events.length === 2)
    const [{ id } = { id: "" }] = other.events as DealEvent<"PROPOSAL">[]
    expect(other.events).toMatchObject([
      { type: "PROPOSAL", name: "my-agent", amount: "0.05", payment_code: "PM8TJS...", expires: 300 },
      { type: "COMPLETE", proposal_id: id, proof: "tx:5abc...", state: "completed" },
    ])
    expect(printed).toEqual([`Proposal sent: ${id}`, "Proposal accepted! their-payment-code"])
    const mine = await other.client.propose(identity.agentId, { task: "liquidity for me too" })
    await until("the answer", () => other.events.length === 3)
    expect(other.events[2]).toMatchObject({
      type: "ACCEPT",
      proposal_id: mine.id,
      payment_code: "my-payment-code",
    })
  })

  it("notifies the other party of each statement, and has a receipt at the end", async () => {
    const { alice, bob, id } = await propose(await relayUrl())
    await bob.client.accept(id)
    await until("accepted", () => alice.events.length === 1)
    await alice.client.complete(id)
    await until("completed", () => bob.events.length === 2)
    await bob.client.complete(id, "as agreed")
    await until("completed by both", () => alice.events.length === 2)
    await alice.client.dispute(id, "it was not", { fault: "other" })
    await until("disputed", () => bob.events.length === 3)
    await bob.client.dispute(id, "true", { fault: "self" })
    await until("agreed", () => alice.events.length === 3)
    expect(statesOf(bob.events)).toEqual(["PROPOSAL pending", "COMPLETE completed", "DISPUTE disputed"])
    expect(statesOf(alice.events)).toEqual(["ACCEPT accepted", "COMPLETE completed", "DISPUTE disputed"])
    const receipt = await alice.client.receipt(id)
    expect(await bob.client.receipt(id)).toEqual(receipt)
    expect(checkReceipt(receipt)).toMatchObject({
      status: "valid",
      proves: ["integrity", "accepted-by-both", "completed-by-both", "disputed", "fault-agreed"],
    })
    expect(await bob.client.proposals()).toMatchObject([{ id, state: "disputed", name: "alice" }])
  })

  it("ends with a rejection", async () => {
    const { alice, bob, id } = await propose(await relayUrl())
    await bob.client.reject(id, "no time")
    await until("rejected", () => alice.events.length === 1)
    expect(alice.events).toMatchObject([{ type: "REJECT", reason: "no time", state: "rejected" }])
    await expect(bob.client.accept(id)).rejects.toMatchObject({ code: "PROPOSAL_STATE" })
    await expect(alice.client.receipt(id)).rejects.toMatchObject({ code: "PROPOSAL_STATE" })
  })

  it("records statements that both parties send at once", async () => {
    const { alice, bob, id } = await propose(await relayUrl())
    await bob.client.accept(id)
    const both = await Promise.all([alice.client.complete(id, "a"), bob.client.complete(id, "b")])
    expect(both.map(({ proof }) => proof)).toEqual(["a", "b"])
    expect((await alice.client.receipt(id)).complete).toHaveLength(2)
  })

  it("reaches an agent that was offline, once, in a new process", async () => {
    const server = await relayUrl()
    const { alice, bob, id } = await propose(server)
    await alice.client.disconnect()
    await bob.client.accept(id)
    await bob.client.complete(id)
    const again = await connect(server, "alice", alice.identity)
    await until("both steps", () => again.events.length === 2)
    expect(statesOf(again.events)).toEqual(["ACCEPT accepted", "COMPLETE completed"])
    await again.client.ping()
    await again.client.disconnect()
    const third = await connect(server, "alice", alice.identity)
    await bob.client.dispute(id, "nothing was paid")
    await until("the dispute", () => third.events.length === 1)
    expect(statesOf(third.events)).toEqual(["DISPUTE disputed"])
  })

  it("is not confirmed by a client that only sends a message", async () => {
    const server = await relayUrl()
    const alice = await connect(server, "alice")
    const identity = newIdentity()
    const passing = new AgentChatClient({ server, name: "bob", identity })
    onTestFinished(() => passing.disconnect())
    await passing.connect()
    await alice.client.propose("@bob", { task: "echo" })
    await passing.send("#general", "hello")
    await passing.disconnect()
    const bob = await connect(server, "bob", identity)
    await until("the proposal", () => bob.events.length === 1)
  })

  it("is refused with an agent that has no identity", async () => {
    const server = await relayUrl()
    const alice = await connect(server, "alice")
    const guest = new AgentChatClient({ server, name: "guest" })
    onTestFinished(() => guest.disconnect())
    await guest.connect()
    await expect(alice.client.propose("@guest", { task: "x" })).rejects.toMatchObject({
      code: "IDENTITY_REQUIRED",
    })
    await expect(alice.client.propose("@nobody", { task: "x" })).rejects.toMatchObject({
      code: "AGENT_NOT_FOUND",
    })
    await expect(alice.client.propose("@alice", { task: "x" })).rejects.toMatchObject({ code: "INVALID_MSG" })
  })
})
