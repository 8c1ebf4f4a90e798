import { describe, expect, it, onTestFinished } from "vitest"
import { checkMessage } from "../../../src/client/message-check.js"
import { signFrame } from "../../../src/client/message-signer.js"
import { agentIdOf } from "../../../src/identity/keys.js"
import { generateKeyPair } from "../../../src/identity/signer.js"
import type { ServerMessage } from "../../../src/protocol/server-messages.js"
import { until } from "../../kit/condition.js"
import { NatsServer } from "../../kit/nats.js"
import { enter, startOn } from "../../kit/nats-relays.js"
import { hasProgram } from "../../kit/requires.js"
import { newAuthor } from "../../kit/signed-message.js"
import type { Wire } from "../../kit/wire.js"

const waitMs = 30_000
const testMs = 120_000

/** Says it until the relay has it, as a daemon does. @returns its number */
async function insist(wire: Wire, content: string, to = "#general"): Promise<number> {
  return await until(
    `${content} is taken`,
    async () => {
      const answer = await wire.answerTo({ type: "MSG", to, content, id: content })
      if (answer.type === "ACK") return answer.seq ?? 0
      expect(answer).toMatchObject({ type: "ERROR", code: "UNAVAILABLE" })
      return undefined
    },
    waitMs,
  )
}

describe.runIf(hasProgram("nats-server"))("a channel of relays on one NATS", { timeout: testMs }, () => {
  it("continues for all members after NATS was killed", async () => {
    const server = await NatsServer.start()
    onTestFinished(() => server.dispose(), waitMs)
    const ann = await enter(await startOn(server.url), generateKeyPair(), "ann")
    const bob = await enter(await startOn(server.url), generateKeyPair(), "bob")
    for (const { wire } of [ann, bob]) await wire.ask({ type: "JOIN", channel: "#general" })
    const before = await Promise.all(["red", "green", "blue"].map((content) => insist(ann.wire, content)))
    for (const content of ["red", "green", "blue"])
      expect(await bob.wire.next("MSG")).toMatchObject({ content })
    await server.kill()
    await server.startAgain()
    const after = [await insist(ann.wire, "white"), await insist(ann.wire, "black")]
    expect(await bob.wire.next("MSG")).toMatchObject({ content: "white", seq: after[0] })
    expect(await bob.wire.next("MSG")).toMatchObject({ content: "black", seq: after[1] })
    expect([...before, ...after].sort((a, b) => a - b)).toEqual([...before, ...after])
  })

  it("carries signatures from relay to relay, and keeps them with mail and history", async () => {
    const server = await NatsServer.start()
    onTestFinished(() => server.dispose(), waitMs)
    const [near, far] = [await startOn(server.url), await startOn(server.url)]
    const author = newAuthor()
    const ann = await enter(near, author.keyPair, "ann")
    const bobKeys = generateKeyPair()
    const frames = (["#general", agentIdOf(bobKeys.publicKey)] as const).map((to, index) => {
      const frame = { type: "MSG", id: `a${index}`, to, content: "hi" } as const
      return signFrame(frame, { ...author, serverId: near.serverId }, Date.now())
    })
    for (const frame of frames) expect(await ann.wire.answerTo(frame)).toMatchObject({ type: "ACK" })
    const bob = await enter(far, bobKeys, "bob")
    const reader = { serverId: far.serverId, ids: [bob.id], names: ["bob"], isOlder: false }
    expect(checkMessage(await bob.wire.next("MSG"), reader)).toMatchObject({ to: bob.id, verified: true })
    bob.wire.say({ type: "JOIN", channel: "#general" })
    expect(checkMessage(await bob.wire.next("MSG"), reader)).toMatchObject({ replay: true, verified: true })
  })

  it.each(["#general", "#kept"])(
    "%s, and the mail of its members, continue after NATS lost everything",
    async (channel) => {
      const server = await NatsServer.start()
      onTestFinished(() => server.dispose(), waitMs)
      const [annKeys, bobKeys] = [generateKeyPair(), generateKeyPair()]
      const [near, far] = [await startOn(server.url), await startOn(server.url)]
      const ann = await enter(near, annKeys, "ann")
      const bob = await enter(far, bobKeys, "bob")
      if (channel === "#kept") {
        await ann.wire.ask({ type: "CREATE_CHANNEL", channel, durable: true })
      } else await ann.wire.ask({ type: "JOIN", channel })
      await bob.wire.ask({ type: "JOIN", channel })
      const say = (content: string) => insist(ann.wire, content, channel)
      const write = (content: string) => insist(ann.wire, content, bob.id)
      for (const content of ["c1", "c2", "c3"]) await say(content)
      for (const content of ["m1", "m2", "m3"]) await write(content)
      const before = await take(bob.wire, 6)
      bob.wire.say({
        type: "RECEIVED",
        ids: before.filter(({ to }) => to === bob.id).map(({ msg_id }) => msg_id),
      })
      await server.startEmpty()
      for (const content of ["c4", "c5"]) await say(content)
      for (const content of ["m4", "m5"]) await write(content)
      const after = await take(bob.wire, 4)
      expect(after.map(({ content }) => content).sort()).toEqual(["c4", "c5", "m4", "m5"])
      bob.wire.socket.destroy()
      await say("c6")
      const again = await enter(far, bobKeys, "bob")
      const last = Math.max(...before.map(({ seq }) => seq ?? 0))
      expect(await again.wire.ask({ type: "JOIN", channel, since: last })).toMatchObject({ reset: true })
      const heard = (await take(again.wire, 1, channel)).map(({ content }) => content)
      expect(heard[0]).toBe("c4")
    },
  )
})

/** Returns the next messages, at most those of one address. */
async function take(wire: Wire, count: number, to?: string): Promise<ServerMessage<"MSG">[]> {
  const messages: ServerMessage<"MSG">[] = []
  while (messages.length < count) {
    const message = await wire.next("MSG")
    if (to === undefined || message.to === to) messages.push(message)
  }
  return messages
}
