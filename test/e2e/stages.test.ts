import { readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { must } from "../kit/command-server.js"
import { until } from "../kit/condition.js"
import { NatsServer } from "../kit/nats.js"
import { killDaemon, type Workspace } from "../kit/program.js"
import { hasProgram } from "../kit/requires.js"
import { patienceMs, Scene, startDaemon } from "../kit/scene.js"

function statesOf(sender: Workspace, id: string): string[] {
  // After the last newline is a line that is still being written.
  const lines = readFileSync(sender.file("ann", "acks.jsonl"), "utf8").split("\n").slice(0, -1)
  const acks = lines.map((line) => JSON.parse(line) as { id: string; state: string })
  return acks.filter((ack) => ack.id === id).map(({ state }) => state)
}

/** Kills the author while its message is read, and then the relay. */
async function expectStagesAfterKills(scene: Scene, ...storeOptions: string[]): Promise<void> {
  const relay = await scene.relay(...storeOptions)
  const [ann, bob] = await Promise.all([scene.agent(relay.url, "ann"), scene.sharedAgent(relay.url, "bob")])
  await must(bob, "daemon", "--stop", "--name", "bob")
  const to = String(bob.status("bob")?.["agent_id"])
  await must(ann, "send", to, "x", "--name", "ann")
  const { id } = JSON.parse(readFileSync(ann.file("ann", "acks.jsonl"), "utf8")) as { id: string }
  await killDaemon(ann, "ann")
  await startDaemon(bob, relay.url, "bob")
  await until("bob has it", () => bob.contents("bob").includes("x"), patienceMs)
  await must(bob, "inbox", "--reader", "r", "--name", "bob")
  // The relay is killed before or after it hears that the message was read.
  await must(bob, "pending", "--name", "bob")
  await relay.kill()
  await relay.restart()
  await startDaemon(ann, relay.url, "ann")
  await until("both stages arrive", () => statesOf(ann, id).length >= 3, patienceMs)
  expect(statesOf(ann, id)).toEqual(["accepted", "mirrored", "retrieved"])
}

describe.concurrent("stages that an author missed because it was killed", { timeout: 240_000 }, () => {
  it("reach it after the relay was killed too, with --data", async ({ onTestFinished }) => {
    const scene = new Scene(onTestFinished)
    await expectStagesAfterKills(scene, "--data", scene.directory())
  })

  it.runIf(hasProgram("nats-server"))(
    "reach it after the relay was killed too, with NATS",
    async (context) => {
      const server = await NatsServer.start()
      context.onTestFinished(() => server.dispose())
      await expectStagesAfterKills(new Scene(context.onTestFinished), "--backbone", server.url)
    },
  )
})
