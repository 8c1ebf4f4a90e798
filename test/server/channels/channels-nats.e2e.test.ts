import { describe, expect, it, onTestFinished } from "vitest"
import { generateKeyPair } from "../../../src/identity/signer.js"
import { until } from "../../kit/condition.js"
import { NatsServer } from "../../kit/nats.js"
import { enter, startOn } from "../../kit/nats-relays.js"
import { hasProgram } from "../../kit/requires.js"
import type { Wire } from "../../kit/wire.js"

const waitMs = 30_000
const testMs = 120_000

/** Says it until the relay has it, as a daemon does. @returns its number */
async function insist(wire: Wire, content: string): Promise<number> {
  return await until(
    `${content} is taken`,
    async () => {
      const answer = await wire.answerTo({ type: "MSG", to: "#general", content, id: content })
      if (answer.type === "ACK") return answer.seq
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
})
