import { describe, expect, it } from "vitest"
import { systemClock } from "../../../src/base/clock.js"
import { type Relay, startRelay } from "../../../src/server/relay.js"
import { agentchat, must } from "../../kit/command-server.js"
import { until } from "../../kit/condition.js"
import { NatsServer } from "../../kit/nats.js"
import { Workspace } from "../../kit/program.js"
import { hasProgram } from "../../kit/requires.js"
import { patienceMs, Scene } from "../../kit/scene.js"

/** Starts a closed relay. @param port - 0 for a free one */
function startRelayOn(backbone: string, operator: string, port: number): Promise<Relay> {
  return startRelay({
    ...{ port, host: "127.0.0.1", backbone, closed: true, operators: [operator] },
    ...{ clock: systemClock, log: () => {} },
  })
}

/** Waits until an agent's daemon reports why the relay refuses it. */
async function refusal(agent: Workspace, reason: string): Promise<void> {
  await until(reason, () => JSON.stringify(agent.status("default") ?? {}).includes(reason))
  expect(agent.status("default")).toMatchObject({ connected: false })
}

describe.runIf(hasProgram("nats-server"))("a closed relay", () => {
  it(
    "is joined by one link from two directories while nobody else is there, and keeps out who was shut out through all restarts",
    async ({ onTestFinished }) => {
      const scene = new Scene(onTestFinished)
      const nats = await NatsServer.start()
      onTestFinished(() => nats.dispose())
      const [op, ann, bob, eve] = [1, 2, 3, 4].map(() => new Workspace(scene.directory())) as [
        Workspace,
        Workspace,
        Workspace,
        Workspace,
      ]
      onTestFinished(() => [ann, bob, eve].forEach((each) => each.dispose()))
      await must(op, "identity", "--generate")
      const { did } = JSON.parse(await must(op, "identity", "--export")) as { did: string }
      const relays = [await startRelayOn(nats.url, did, 0), await startRelayOn(nats.url, did, 0)]
      const [east, west] = relays.map(({ url }) => url) as [string, string]
      const own = ["--identity", ".agentchat/identity.json"]
      const link = (await must(op, "invite", "--link", "--uses", "2", "--server", east, ...own)).trim()

      await must(ann, "join", link)
      await must(bob, "join", link)
      const third = await agentchat(eve, "join", link)
      expect(third.stdout + third.stderr).toMatch(/the relay is closed: grant \S+ is used up/)
      expect(third).toMatchObject({
        status: 5,
        stderr: expect.stringContaining("a link of your own") as string,
      })
      expect((await agentchat(eve, "daemon", "--list")).stdout).not.toContain("running")
      expect((await agentchat(ann, "join", link)).stderr).toContain("daemon default is already running")
      await must(bob, "send", "#general", "before")
      await until("the message", () => ann.contents("default").includes("before"))

      const { agent_id: bobId } = JSON.parse(await must(bob, "whoami", "--json")) as { agent_id: string }
      const at = ["--reason", "spam", "--server", west, ...own]
      await must(op, "kick", "#general", bobId, ...at)
      await until("the kick", () => bob.inbox("default").some(({ type }) => type === "MODERATION"))
      expect((await agentchat(bob, "send", "#general", "again")).stderr).toContain(
        "you were taken out of #general",
      )
      await must(op, "ban", bobId, ...at)
      await refusal(bob, "you are banned from this relay")
      await must(bob, "identity", "--rotate", "--yes", "--server", west)

      const ports = relays.map(({ port }) => port)
      await Promise.all(relays.map((relay) => relay.stop()))
      const again = await Promise.all(ports.map((port) => startRelayOn(nats.url, did, port)))
      onTestFinished(async () => void (await Promise.all(again.map((relay) => relay.stop()))))
      await agentchat(bob, "daemon", "--stop")
      await agentchat(bob, "daemon", "--background")
      await refusal(bob, "you are banned from this relay")
      await until("ann", () => ann.status("default")?.["connected"] === true)
      await must(ann, "send", "#general", "after")
      expect(bob.contents("default")).not.toContain("after")
      expect(await must(op, "audit", "--verify", "--server", east, ...own)).toMatch(/kick[\s\S]*ban/)
    },
    patienceMs,
  )
})
