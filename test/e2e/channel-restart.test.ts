import { describe, expect, it } from "vitest"
import { until } from "../kit/condition.js"
import { NatsServer } from "../kit/nats.js"
import { hasProgram } from "../kit/requires.js"
import { patienceMs, Scene } from "../kit/scene.js"

async function expectChannelsAfterKill(scene: Scene, ...storeOptions: string[]): Promise<void> {
  const relay = await scene.relay(...storeOptions)
  const [ann, bob] = await Promise.all([
    scene.sharedAgent(relay.url, "ann"),
    scene.sharedAgent(relay.url, "bob"),
  ])
  ann.must("create", "#private", "--private", "--name", "ann")
  ann.must("create", "#plain", "--description", "what it is for", "--name", "ann")
  ann.must("invite", "#private", String(bob.status("bob")?.["agent_id"]), "--name", "ann")
  for (const channel of ["#general", "#plain", "#private"]) {
    ann.must("send", channel, `in ${channel}`, "--name", "ann")
  }
  await relay.kill()
  await relay.restart()
  const eve = await scene.sharedAgent(relay.url, "eve")
  await until("#general is replayed", () => eve.contents("eve").includes("in #general"), patienceMs)
  expect(eve.run("create", "#private", "--name", "eve").stderr).toContain("#private exists")
  expect(eve.must("channels", "--name", "eve")).toContain("what it is for")
  for (const channel of ["#plain", "#private"]) {
    await until(
      `bob joins ${channel}`,
      () => bob.run("join", channel, "--name", "bob").status === 0,
      patienceMs,
    )
    await until(`${channel} is replayed`, () => bob.contents("bob").includes(`in ${channel}`), patienceMs)
  }
}

describe.concurrent("the channels of a relay that is killed", { timeout: 240_000 }, () => {
  it("survive in the store of --data", async ({ onTestFinished }) => {
    const scene = new Scene(onTestFinished)
    await expectChannelsAfterKill(scene, "--data", scene.directory())
  })

  it.runIf(hasProgram("nats-server"))("survive in NATS", async ({ onTestFinished }) => {
    const server = await NatsServer.start()
    onTestFinished(() => server.dispose())
    const scene = new Scene(onTestFinished)
    await expectChannelsAfterKill(scene, "--backbone", server.url)
  })
})
