import { describe, expect, it } from "vitest"
import { agentIdOf, formatDidKey } from "../../../src/identity/keys.js"
import { generateKeyPair, type KeyPair } from "../../../src/identity/signer.js"
import { signRevocation, signRotation } from "../../../src/identity/succession.js"
import type { Grant } from "../../../src/protocol/grants.js"
import { act, chief, enter, knock, mint, startClosed } from "../../kit/closed-relay.js"
import { LastingEngine } from "../../kit/engine.js"
import { prove, TestRelay } from "../../kit/relay.js"
import type { Wire } from "../../kit/wire.js"

const [worker, other, third, stranger] = [1, 2, 3, 4].map(generateKeyPair) as [
  KeyPair,
  KeyPair,
  KeyPair,
  KeyPair,
]
const operators = [formatDidKey(chief.publicKey)]

async function revoke(op: Wire, relay: TestRelay, grant: Grant) {
  await act(op, relay, { action: "revoke", grant: grant.id })
}

describe("a closed relay", () => {
  it("lets in operators and agents with a grant, and nobody else", async () => {
    const relay = await startClosed()
    await enter(relay, chief)
    await enter(relay, worker, [mint(relay)])
    const wire = await relay.connect()
    expect(await wire.ask({ type: "IDENTIFY", name: "bob" })).toMatchObject({ code: "IDENTITY_REQUIRED" })
    expect(await (await knock(relay, stranger)).next("ERROR")).toMatchObject({ code: "FORBIDDEN" })
  })

  it.each<[string, Partial<Grant>, KeyPair]>([
    ["of somebody else", {}, stranger],
    ["for another relay", { aud: "srv_2" }, chief],
    ["that has expired", { exp: 1 }, chief],
    ["for another key", { to: formatDidKey(other.publicKey) }, chief],
  ])("refuses a grant %s", async (_, facts, keyPair) => {
    const relay = await startClosed()
    const wire = await knock(relay, worker, [mint(relay, facts, keyPair)])
    expect(await wire.next("ERROR")).toMatchObject({ code: "FORBIDDEN" })
    expect(await wire.ended()).toBeDefined()
  })

  it("refuses a grant that was changed", async () => {
    const relay = await startClosed()
    const wire = await knock(relay, worker, [{ ...mint(relay), profile: "admin" }])
    expect(await wire.next("ERROR")).toMatchObject({ code: "FORBIDDEN" })
  })

  it("lets one key use a grant, again and again, on every relay and after restarts", async () => {
    const engine = await LastingEngine.make({ isShared: true })
    const [east, west] = [await startClosed(engine), await startClosed(engine)]
    const grant = mint(east)
    await enter(east, worker, [grant])
    expect(await (await knock(west, other, [grant])).next("ERROR")).toMatchObject({ code: "FORBIDDEN" })
    await enter(west, worker)
    const later = await startClosed(engine)
    expect(await (await knock(later, other, [grant])).next("ERROR")).toMatchObject({ code: "FORBIDDEN" })
    await enter(later, worker)
  })

  it("lets as many keys use a grant as it says, also at the same time", async () => {
    const relay = await startClosed()
    const grant = mint(relay, { uses: 2 })
    const wires = await Promise.all([worker, other, third].map((keyPair) => knock(relay, keyPair, [grant])))
    const outcomes = wires.map((wire) =>
      wire.next("WELCOME").then(
        () => "welcome",
        () => "refused",
      ),
    )
    expect((await Promise.all(outcomes)).sort()).toEqual(["refused", "welcome", "welcome"])
  })

  it("lets one key use a grant for one although two show it at the same time on two relays", async () => {
    const engine = await LastingEngine.make({ isShared: true })
    const relays = [await startClosed(engine), await startClosed(engine)] as const
    const grant = mint(relays[0])
    const wires = await Promise.all([knock(relays[0], worker, [grant]), knock(relays[1], other, [grant])])
    const answers = await Promise.all(
      wires.map((wire) =>
        wire.next("WELCOME").then(
          () => "welcome",
          () => "refused",
        ),
      ),
    )
    expect(answers.sort()).toEqual(["refused", "welcome"])
  })
})

describe("a grant", () => {
  const team = { read: ["#team.>"], write: ["#team.web"], roles: ["reviewer"] } as unknown as Partial<Grant>

  it("hides the channels that it does not let an agent read", async () => {
    const relay = await startClosed()
    const { wire: op } = await enter(relay, chief)
    for (const channel of ["#team.web", "#team.api", "#secret"])
      await op.ask({ type: "CREATE_CHANNEL", channel })
    const { wire, welcome } = await enter(relay, worker, [mint(relay, team)])
    expect(welcome.rights).toEqual({ profile: "agent", ...team })
    const { list } = (await wire.ask({ type: "LIST_CHANNELS" })) as unknown as { list: { name: string }[] }
    expect(list.map(({ name }) => name)).toEqual(["#team.api", "#team.web"])
    expect(await wire.ask({ type: "JOIN", channel: "#secret" })).toMatchObject({ code: "CHANNEL_NOT_FOUND" })
    expect(await wire.ask({ type: "LIST_AGENTS", channel: "#secret" })).toMatchObject({
      code: "CHANNEL_NOT_FOUND",
    })
    await wire.ask({ type: "JOIN", channel: "#>" })
    const joined = (await wire.settle()).flatMap((message) =>
      message.type === "JOINED" ? message.channel : [],
    )
    expect(joined).toEqual(["#team.api", "#team.web"])
    await op.ask({ type: "CREATE_CHANNEL", channel: "#new" })
    expect(JSON.stringify(await wire.settle())).not.toContain("#new")
  })

  it.each([
    [{ type: "MSG", to: "#team.api", content: "x" }, "does not let you write #team.api"],
    [{ type: "MSG", to: "#secret", content: "x" }, "does not let you write #secret"],
    [{ type: "CREATE_CHANNEL", channel: "#mine" }, "does not let you write #mine"],
    [{ type: "SET_CHANNEL", channel: "#team.api", description: "x" }, "does not let you write #team.api"],
    [{ type: "SET_PRESENCE", status: "idle", role: "builder" }, "does not let you serve the role builder"],
  ])("refuses %j", async (frame, problem) => {
    const relay = await startClosed()
    const { wire: op } = await enter(relay, chief)
    for (const channel of ["#team.web", "#team.api", "#secret"])
      await op.ask({ type: "CREATE_CHANNEL", channel })
    const { wire } = await enter(relay, worker, [mint(relay, team)])
    await wire.ask({ type: "JOIN", channel: "#team.api" })
    const answer = await wire.ask(frame)
    expect(answer).toMatchObject({ code: "FORBIDDEN" })
    expect(JSON.stringify(answer)).toContain(problem)
    expect(await wire.ask({ type: "MSG", to: "#team.web", content: "x" })).toMatchObject({ type: "ACK" })
  })

  it("refuses a role in IDENTIFY that it does not have, and tasks of other roles", async () => {
    const relay = await startClosed()
    const grant = mint(relay, team)
    const wire = await knock(relay, worker, [grant], { role: "builder" })
    expect(await wire.next("ERROR")).toMatchObject({ code: "FORBIDDEN" })
    const { wire: op } = await enter(relay, chief)
    const { msg_id } = (await op.ask({ type: "MSG", to: "+builder", content: "x" })) as { msg_id?: string }
    const { wire: bob } = await enter(relay, worker, [grant], { role: "reviewer" })
    expect(await bob.ask({ type: "CLAIM", task: msg_id })).toMatchObject({ code: "FORBIDDEN" })
  })

  it("that was revoked, or has expired, ends the session and lets nobody in again", async () => {
    const engine = await LastingEngine.make({ isShared: true })
    const [east, west] = [await startClosed(engine), await startClosed(engine)]
    const { wire: op } = await enter(east, chief)
    const [grant, short] = [mint(east), mint(east, { exp: west.clock.now() + 1_000 })]
    const { wire: bob } = await enter(west, worker, [grant])
    const { wire: ann } = await enter(west, other, [short])
    await revoke(op, east, grant)
    expect(await bob.next("ERROR")).toMatchObject({ code: "FORBIDDEN" })
    expect(await bob.ended()).toBeDefined()
    west.clock.advance(1_000)
    expect(await ann.ask({ type: "MSG", to: "#general", content: "x" })).toMatchObject({ code: "FORBIDDEN" })
    west.clock.advance(2_000)
    expect(await ann.ended()).toBeDefined()
    for (const [keyPair, shown] of [
      [worker, grant],
      [other, short],
    ] as const) {
      expect(await (await knock(west, keyPair, [shown])).next("ERROR")).toMatchObject({ code: "FORBIDDEN" })
    }
    expect(await op.ask({ type: "LIST_GRANTS" })).toMatchObject({
      list: [{ revoked: true, keys: [agentIdOf(worker.publicKey)] }, { keys: [agentIdOf(other.publicKey)] }],
    })
    expect(await (await enter(east, third, [mint(east)])).wire.ask({ type: "LIST_GRANTS" })).toMatchObject({
      code: "OPERATOR_REQUIRED",
    })
  })

  it("that narrows takes the agent out of what it may no longer read", async () => {
    const relay = await startClosed()
    const { wire: op } = await enter(relay, chief)
    await op.ask({ type: "CREATE_CHANNEL", channel: "#secret" })
    const all = mint(relay)
    const { wire } = await enter(relay, worker, [all, mint(relay, team)])
    await wire.ask({ type: "JOIN", channel: "#secret" })
    await revoke(op, relay, all)
    expect(await wire.next("LEFT")).toMatchObject({ channel: "#secret" })
    await op.ask({ type: "MSG", to: "#secret", content: "hidden" })
    expect(JSON.stringify(await wire.settle())).not.toContain("hidden")
  })

  it("goes to the key that replaced its key, and ends with a revoked one", async () => {
    const relay = await startClosed()
    await enter(relay, worker, [mint(relay)])
    const wire = await relay.connect()
    wire.say({ type: "IDENTIFY", name: "agent", pubkey: formatDidKey(other.publicKey) })
    wire.say({ ...prove(await wire.next("CHALLENGE"), other), rotations: [signRotation(worker, other, 1)] })
    await wire.next("WELCOME")
    const { wire: op } = await enter(relay, chief)
    await op.ask({ type: "KEY_STATEMENT", statement: signRevocation(worker, 1) })
    expect(await wire.next("ERROR")).toMatchObject({ code: "FORBIDDEN" })
  })
})

it("a grant for the id that the relay has since its store was replaced lets its agent in", async () => {
  const backbone = (await LastingEngine.make()).lend()
  const relay = await TestRelay.start({ operators, closed: true, backbone })
  backbone.id = "srv_replaced"
  await enter(relay, worker, [mint(relay)])
})

describe("an observer", () => {
  it("reads channels unseen, writes nothing and gets no direct mail", async () => {
    const relay = await startClosed()
    const { wire: bob } = await enter(relay, worker, [mint(relay)], { name: "bob" })
    await bob.ask({ type: "JOIN", channel: "#general" })
    const observer = mint(relay, { profile: "observer", write: [], roles: [] })
    const { wire: eve, welcome } = await enter(relay, other, [observer], { name: "eve" })
    expect(await eve.ask({ type: "JOIN", channel: "#general" })).toMatchObject({ type: "JOINED", count: 1 })
    const ack = await bob.ask({ type: "MSG", to: "#general", content: "hello" })
    expect(ack).toMatchObject({ recipients: 0 })
    expect(await eve.next("MSG")).toMatchObject({ content: "hello" })
    await eve.ask({ type: "SET_PRESENCE", status: "working", activity: "watching" })
    relay.clock.advance(60_000)
    const seen = JSON.stringify([
      ...(await bob.settle()),
      await bob.ask({ type: "LIST_AGENTS" }),
      await bob.ask({ type: "LIST_AGENTS", channel: "#general" }),
      await bob.ask({ type: "LIST_CHANNELS" }),
    ])
    expect(seen).not.toContain(welcome.agent_id)
    for (const to of ["@eve", welcome.agent_id]) {
      expect(await bob.ask({ type: "MSG", to, content: "x" })).toMatchObject({ code: "AGENT_NOT_FOUND" })
    }
    for (const frame of [
      { type: "MSG", to: "#general", content: "x" },
      { type: "MSG", to: "@bob", content: "x" },
      { type: "MSG", to: "+any", content: "x" },
      { type: "CREATE_CHANNEL", channel: "#x" },
      { type: "SET_PRESENCE", status: "idle", role: "any" },
    ]) {
      expect(await eve.ask(frame)).toMatchObject({ code: "FORBIDDEN" })
    }
  })

  it("that is an admin reads every channel", async () => {
    const relay = await startClosed()
    const { wire: op } = await enter(relay, chief)
    await op.ask({ type: "CREATE_CHANNEL", channel: "#secret", invite_only: true })
    const admin = mint(relay, { profile: "admin", read: [], write: [], roles: [] })
    const { wire } = await enter(relay, worker, [admin])
    expect(await wire.ask({ type: "JOIN", channel: "#secret" })).toMatchObject({ type: "JOINED" })
    expect(await wire.ask({ type: "MSG", to: "#secret", content: "x" })).toMatchObject({ code: "FORBIDDEN" })
  })
})

describe("what oversees a closed relay", () => {
  async function enterWithTasks() {
    const relay = await startClosed()
    const { wire: op } = await enter(relay, chief)
    const { wire: bob } = await enter(relay, worker, [mint(relay)], { name: "bob" })
    for (const to of ["+human", "+tester"]) await bob.ask({ type: "MSG", to, content: `for ${to}` })
    const look = async (keyPair: KeyPair, facts: Partial<Grant>) => {
      const { wire } = await enter(relay, keyPair, [
        mint(relay, { read: [], write: [], roles: [], ...facts }),
      ])
      return { tasks: await wire.ask({ type: "LIST_TASKS" }), deals: await wire.ask(allDeals) }
    }
    return { op, look }
  }
  const allDeals = { type: "LIST_PROPOSALS", all: true }
  const both = { type: "TASKS", list: [{ role: "human" }, { role: "tester" }] }

  it("shows operators and admins the tasks of all roles, and the deals of all agents", async () => {
    const { op, look } = await enterWithTasks()
    expect(await op.ask({ type: "LIST_TASKS" })).toMatchObject(both)
    expect(await op.ask(allDeals)).toMatchObject({ type: "PROPOSALS", list: [] })
    const seen = await look(other, { profile: "admin" })
    expect(seen).toMatchObject({ tasks: both, deals: { type: "PROPOSALS" } })
  })

  it("shows others the tasks of their roles, and no deals", async () => {
    const { look } = await enterWithTasks()
    const roles = ["Human"] as unknown as Grant["roles"]
    const human = { type: "TASKS", list: [{ role: "human", content: "for +human" }] }
    const forbidden = { code: "FORBIDDEN" }
    expect(await look(other, { roles })).toMatchObject({ tasks: human, deals: forbidden })
    expect(await look(third, { profile: "observer", roles })).toMatchObject({ tasks: human })
    const guest = await look(stranger, { profile: "guest" })
    expect(guest).toMatchObject({ tasks: { type: "TASKS", list: [] }, deals: forbidden })
    expect(guest.tasks).toHaveProperty("list", [])
  })
})

it("an open relay asks for no grant, and its agents may do everything", async () => {
  const relay = await TestRelay.start({ operators })
  const { wire, welcome } = await enter(relay, worker, [mint(relay, { read: [], write: [] })])
  expect(welcome.rights).toBeUndefined()
  expect(await wire.ask({ type: "MSG", to: "#general", content: "x" })).toMatchObject({ type: "ACK" })
})
