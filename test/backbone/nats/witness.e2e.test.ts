import { jetstream, jetstreamManager } from "@nats-io/jetstream"
import { connect, headers } from "@nats-io/transport-node"
import { describe, expect, it, onTestFinished } from "vitest"
import { CuttableNetwork, NatsServer } from "../../kit/nats.js"
import { NatsWitness } from "../../kit/nats-witness.js"
import { hasProgram } from "../../kit/requires.js"

/** Starts a NATS server with a connection that a witness records, and one that it does not. */
async function startWitnessed() {
  const server = await NatsServer.start()
  const witness = new NatsWitness()
  const network = await CuttableNetwork.to(server, () => witness.record("it"))
  const [open, secret] = [await connect({ servers: network.url }), await connect({ servers: server.url })]
  onTestFinished(async () => {
    await Promise.all([open.close(), secret.close()])
    await network.close()
    await server.dispose()
  })
  const [manager, secretly] = [await jetstreamManager(open), await jetstreamManager(secret)]
  const config = { name: "log", subjects: ["agentchat.log.>"] }
  await secretly.streams.add(config)
  const write = async (id: string) => {
    const messageHeaders = headers()
    messageHeaders.set("Nats-Msg-Id", id)
    return (await jetstream(open).publish("agentchat.log.x", `of ${id}`, { headers: messageHeaders })).seq
  }
  const losses = async () => (await witness.findLosses(server.url, /^log$/)).map(({ id }) => id)
  return { manager, secretly, config, write, losses, witness }
}

describe.skipIf(!hasProgram("nats-server"))("NatsWitness", () => {
  it("a witness reports acknowledged messages that are gone, except those removed over its connection", async () => {
    const { manager, secretly, write, losses, witness } = await startWitnessed()
    const [a, b] = [await write("a"), await write("b")]
    await write("c")
    await write("c")
    expect(await losses()).toEqual([])
    await manager.streams.deleteMessage("log", a)
    await secretly.streams.deleteMessage("log", b)
    expect(await losses()).toEqual(["b"])
    expect(witness.log.filter((line) => line.includes("writes"))).toHaveLength(4)
  })

  it("a witness reports a message whose number was used again, even after its successor was removed", async () => {
    const { manager, secretly, config, write, losses } = await startWitnessed()
    await write("a")
    await write("b")
    await secretly.streams.delete("log")
    await secretly.streams.add(config)
    const c = await write("c")
    expect(await losses()).toEqual(["a", "b"])
    await manager.streams.deleteMessage("log", c)
    expect(await losses()).toEqual(["a", "b"])
  })
})
