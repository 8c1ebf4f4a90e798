import { Socket } from "node:net"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Gcra } from "../../../src/guards/gcra.js"
import { type AgentId, type Nick, parseChannel } from "../../../src/protocol/names.js"
import type { ServerMessage } from "../../../src/protocol/server-messages.js"
import { MembershipNotices } from "../../../src/server/channels/membership-notices.js"
import { Agent } from "../../../src/server/sessions/agent.js"
import { DeliveredIds } from "../../../src/server/sessions/delivered-ids.js"
import { SentIds } from "../../../src/server/sessions/sent-ids.js"
import { WriteSequencer } from "../../../src/server/sessions/write-sequencer.js"
import { SendQueue } from "../../../src/server/wire/send-queue.js"
import { WriteScheduler } from "../../../src/server/wire/write-scheduler.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { TestRelay } from "../../kit/relay.js"

describe("AGENT_JOINED and AGENT_LEFT", () => {
  it("are collected for 100 ms and sent to the other members", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    const ann = await relay.enter("ann", "#general")
    expect(await bob.wire.settle()).toEqual([])
    relay.clock.advance(100)
    expect(await bob.wire.settle()).toEqual([
      {
        type: "AGENT_JOINED",
        channel: "#general",
        agent: eve.id,
        name: "eve",
        ts: relay.clock.now(),
        agents: [
          { id: eve.id, name: "eve" },
          { id: ann.id, name: "ann" },
        ],
      },
    ])
  })

  it("are sent to a newcomer only for what came after its JOINED", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    const ann = await relay.enter("ann", "#general")
    await bob.wire.ask({ type: "LEAVE", channel: "#general" })
    relay.clock.advance(100)
    expect(await eve.wire.settle()).toMatchObject([
      { type: "AGENT_JOINED", agent: ann.id },
      { type: "AGENT_LEFT", agent: bob.id },
    ])
    expect(await ann.wire.settle()).toMatchObject([{ type: "AGENT_LEFT", agent: bob.id, name: "bob" }])
  })

  it("cancel out within one window", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    await eve.wire.ask({ type: "LEAVE", channel: "#general" })
    relay.clock.advance(100)
    expect(await bob.wire.settle()).toEqual([])
  })

  it("are sent before a message, so that its author is known", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    await eve.wire.ask({ type: "MSG", to: "#general", content: "hi" })
    expect(await bob.wire.settle()).toMatchObject([
      { type: "AGENT_JOINED", agent: eve.id },
      { type: "MSG", from: eve.id },
    ])
    relay.clock.advance(100)
    expect(await bob.wire.settle()).toEqual([])
  })

  it("report a lost connection", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    relay.clock.advance(100)
    await bob.wire.next("AGENT_JOINED")
    eve.wire.socket.destroy()
    await expect.poll(() => relay.log.some((line) => line.startsWith("left:"))).toBe(true)
    relay.clock.advance(100)
    expect(await bob.wire.next("AGENT_LEFT")).toMatchObject({
      agent: eve.id,
      name: "eve",
      channel: "#general",
    })
  })

  it("are a few messages for each member when 150 agents join at once", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const crowd = await Promise.all(
      Array.from({ length: 150 }, (_, i) => relay.enter(`agent-${i}`, "#general")),
    )
    relay.clock.advance(100)
    const received = (await bob.wire.settle()).flatMap((message) =>
      message.type === "AGENT_JOINED" ? [message.agents?.map(({ id }) => id) ?? [message.agent]] : [],
    )
    expect(received.length).toBeLessThan(5)
    expect(received.flat().sort()).toEqual(crowd.map(({ id }) => id).sort())
  })
})

function agentNamed(name: string): Agent {
  const socket = new Socket()
  const owner = { isWritable: false, onOverflow: () => {} }
  const memory = {
    meter: new Gcra({ ratePerSecond: 1, burst: 1 }),
    startMs: 0,
    sentIds: new SentIds(1),
    delivered: new DeliveredIds(),
    sequencer: new WriteSequencer(new FakeClock()),
  }
  const sendQueue = new SendQueue(socket, owner, new WriteScheduler(), 1)
  return new Agent(`@${name}` as AgentId, name as Nick, memory, sendQueue, {
    clock: new FakeClock(),
    staleMs: 1,
    address: "loopback",
  })
}

describe("MembershipNotices", () => {
  /** Agents by number. Each derives the members from its JOINED and from notices. */
  interface Move {
    readonly who: number
    readonly then: "go on" | "flush"
  }
  const move: fc.Arbitrary<Move> = fc.record({
    who: fc.integer({ min: 0, max: 5 }),
    then: fc.constantFrom("go on", "go on", "flush"),
  })

  it("leaves every member with the true list of members after any sequence of joins and leaves", () => {
    fc.assert(
      fc.property(fc.array(move, { maxLength: 60 }), (moves) => {
        const agents = Array.from({ length: 6 }, (_, i) => agentNamed(`n${i}`))
        const members = new Set<Agent>()
        const beliefs = new Map<Agent, Set<string>>()
        const sendTo = (recipients: Iterable<Agent>, message: ServerMessage) => {
          const {
            type,
            agent,
            name,
            agents: many,
          } = message as {
            type: string
            agent: string
            name: string
            agents?: { id: string; name: string }[]
          }
          for (const recipient of recipients) {
            for (const { id } of many ?? [{ id: agent, name }]) {
              const belief = beliefs.get(recipient)
              if (type === "AGENT_LEFT") expect(belief?.delete(id)).toBe(true)
              else expect(belief?.size).toBeLessThan(belief?.add(id).size ?? 0)
              expect(id).not.toBe(recipient.id)
            }
          }
        }
        const notices = new MembershipNotices(parseChannel("#x"), { members, sendTo }, new FakeClock())
        for (const { who, then } of moves) {
          const agent = agents[who]
          if (agent === undefined) continue
          if (members.delete(agent)) notices.add("left", agent)
          else {
            members.add(agent)
            beliefs.set(agent, new Set([...members].map(({ id }) => id)))
            notices.add("joined", agent)
          }
          if (then === "flush") notices.flush()
        }
        notices.flush()
        const truth = [...members].map(({ id }) => id).sort()
        for (const member of members) expect([...(beliefs.get(member) ?? [])].sort()).toEqual(truth)
      }),
      { numRuns: 500 },
    )
  })
})

describe("SET_PRESENCE", () => {
  it("is sent once to every agent that shares a channel, and shown in the roster", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general", "#agents")
    const eve = await relay.enter("eve", "#general", "#agents")
    const ann = await relay.enter("ann", "#skills")
    relay.clock.advance(100)
    await eve.wire.settle()
    const presence = { status: "working", activity: "tests", role: "builder" }
    expect(await bob.wire.ask({ type: "SET_PRESENCE", ...presence })).toMatchObject({
      type: "ACK",
      state: "done",
    })
    expect(await eve.wire.settle()).toEqual([
      { type: "PRESENCE_CHANGED", agent: bob.id, name: "bob", ts: relay.clock.now(), ...presence },
    ])
    expect(await ann.wire.settle()).toEqual([])
    expect(await eve.wire.ask({ type: "LIST_AGENTS", channel: "#general" })).toMatchObject({
      roster: [{ id: bob.id, name: "bob", ...presence }, { id: eve.id }],
    })
  })

  it("keeps the role and drops the activity if they are left out", async () => {
    const relay = await TestRelay.start()
    const wire = await relay.connect()
    await wire.ask({ type: "IDENTIFY", name: "bob", role: "reviewer" })
    await wire.ask({ type: "SET_PRESENCE", status: "working", activity: "x" })
    await wire.ask({ type: "SET_PRESENCE", status: "idle" })
    const { roster } = (await wire.ask({ type: "LIST_AGENTS" })) as { roster: readonly object[] } & Awaited<
      ReturnType<typeof wire.ask>
    >
    expect(roster).toMatchObject([{ status: "idle", role: "reviewer" }])
    expect(roster[0]).not.toHaveProperty("activity")
  })

  it.each(["idle", "working", "waiting", "away"])("shows %s with its activity", async (status) => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    await bob.wire.ask({ type: "SET_PRESENCE", status, activity: "x" })
    expect(await eve.wire.next("PRESENCE_CHANGED")).toMatchObject({ agent: bob.id, status, activity: "x" })
  })

  it("sends no notice if nothing changed, but updates the time", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    const presence = { type: "SET_PRESENCE", status: "working", activity: "tests", role: "builder" }
    await bob.wire.ask(presence)
    await eve.wire.settle()
    relay.clock.advance(100)
    await bob.wire.ask({ ...presence, role: undefined })
    expect(await eve.wire.settle()).toEqual([])
    expect(await eve.wire.ask({ type: "LIST_AGENTS", agent: "@bob" })).toMatchObject({
      roster: [{ status: "working", role: "builder", since: relay.clock.now() }],
    })
  })

  it("changes only the sender, whatever other agent the frame names", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enter("bob", "#general")
    const eve = await relay.enter("eve", "#general")
    const forged = { agent: bob.id, id: bob.id.slice(1), from: bob.id, name: "bob" }
    await eve.wire.ask({ ...forged, type: "SET_PRESENCE", status: "away", activity: "forged" })
    expect(await bob.wire.ask({ type: "LIST_AGENTS" })).toMatchObject({
      roster: [
        { id: bob.id, status: "idle" },
        { id: eve.id, name: "eve", status: "away", activity: "forged" },
      ],
    })
    expect(await eve.wire.ask({ type: "SET_PRESENCE", status: "offline" })).toMatchObject({
      code: "INVALID_MSG",
    })
  })
})
