import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { Gcra } from "../../../src/guards/gcra.js"
import { type AgentId, type Nick, parseChannel } from "../../../src/protocol/names.js"
import { Channel } from "../../../src/server/channels/channel.js"
import { Agent } from "../../../src/server/sessions/agent.js"
import { ByteBudget } from "../../../src/server/sessions/byte-budget.js"
import { DeliveredIds } from "../../../src/server/sessions/delivered-ids.js"
import { SentIds } from "../../../src/server/sessions/sent-ids.js"
import { WriteSequencer } from "../../../src/server/sessions/write-sequencer.js"
import { SendQueue } from "../../../src/server/wire/send-queue.js"
import { WriteScheduler } from "../../../src/server/wire/write-scheduler.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { FakeSocket } from "../../kit/fake-socket.js"

const agents = 3

function channelNamed(name: string, writes: WriteScheduler): Channel {
  const limits = { retainedMessages: 50, retainedBytes: 2_000 }
  const budget = new ByteBudget(1_000_000)
  const options = {
    record: { isInviteOnly: false, isDurable: false, settings: {}, invited: [] },
    isPermanent: false,
    seq: 0,
    limits,
    budget,
    clock: new FakeClock(),
    writes,
    mayRead: (_: string, isInvited: boolean) => isInvited,
  }
  return new Channel({ name: parseChannel(name), ...options })
}

function agentAt(writes: WriteScheduler, name: string) {
  const socket = new FakeSocket()
  const owner = { isWritable: true, onOverflow: () => {} }
  const memory = {
    meter: new Gcra({ ratePerSecond: 1, burst: 1 }),
    startMs: 0,
    sentIds: new SentIds(1),
    delivered: new DeliveredIds(),
    sequencer: new WriteSequencer(new FakeClock()),
  }
  const sendQueue = new SendQueue(socket.socket, owner, writes, 1_000_000)
  return {
    socket,
    agent: new Agent(`@${name}` as AgentId, name as Nick, memory, sendQueue, {
      clock: new FakeClock(),
      staleMs: 1,
      address: "loopback",
    }),
  }
}

const step = fc.record({
  kind: fc.constantFrom("post", "post", "post", "post", "answer", "move", "stall", "drain", "flush"),
  who: fc.integer({ min: 0, max: agents - 1 }),
  where: fc.integer({ min: 0, max: 1 }),
})

/** Agents in two channels, and what each of them must have received in the end. */
class Model {
  readonly #writes = new WriteScheduler()
  readonly #channels = [channelNamed("#a", this.#writes), channelNamed("#b", this.#writes)]
  readonly #people = Array.from({ length: agents }, (_, i) => ({
    ...agentAt(this.#writes, `n${i}`),
    expected: [] as string[],
  }))
  #count = 0

  async take({ kind, who, where }: { kind: string; who: number; where: number }): Promise<void> {
    const [channel, person] = [this.#channels[where], this.#people[who]]
    if (channel === undefined || person === undefined) throw new Error("no such channel or agent")
    const { agent, socket } = person
    if (kind === "post") this.#post(channel, agent)
    else if (kind === "answer") {
      const text = `answer ${++this.#count}`
      agent.sendQueue.send(text)
      person.expected.push(text)
    } else if (kind === "move") {
      if (channel.members.has(agent)) channel.leave(agent)
      else channel.join(agent)
    } else if (kind === "stall") socket.stall()
    else if (kind === "drain") socket.drain()
    else await new Promise((resolve) => setImmediate(resolve))
  }

  async finish(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
    const isPresence = (text: string) => text.includes('"AGENT_')
    for (const { socket, expected } of this.#people) {
      socket.drain()
      expect(socket.texts.filter((text) => !isPresence(text))).toEqual(expected)
    }
  }

  #post(channel: Channel, author: Agent): void {
    const text = `${channel.name} ${channel.nextSeq()} ${"x".repeat(++this.#count)}`
    channel.publish(author, text, 0)
    for (const { agent, expected } of this.#people) {
      if (agent !== author && channel.members.has(agent)) expected.push(text)
    }
  }
}

describe("a channel", () => {
  it("sends each member exactly the messages of the others while it was a member, in order", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 80 }), async (steps) => {
        const model = new Model()
        for (const each of steps) await model.take(each)
        await model.finish()
      }),
      { numRuns: 1000 },
    )
  })

  it("writes a burst to all members from one buffer, and keeps it for replay", async () => {
    const writes = new WriteScheduler()
    const channel = channelNamed("#a", writes)
    const author = agentAt(writes, "author")
    const readers = Array.from({ length: 3 }, (_, i) => agentAt(writes, `n${i}`))
    const say = (content: string) => {
      channel.nextSeq()
      channel.publish(author.agent, content, 0)
      return new Promise((resolve) => setImmediate(resolve))
    }
    for (const { agent } of readers) channel.join(agent)
    await say("first, with the news of who joined")
    await Promise.all(["1", "2", "3"].map(say))
    const [first, ...others] = readers.map(({ socket }) => socket.written.at(-1))
    for (const written of others) expect(written).toBe(first)
    expect(Array.from(channel.replay(1, 0), ({ text }) => text)).toEqual(["1", "2", "3"])
  })
})
