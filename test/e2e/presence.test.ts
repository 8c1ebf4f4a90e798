import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { createInterface } from "node:readline"
import { describe, expect, it } from "vitest"
import { agentchat, must } from "../kit/command-server.js"
import { until } from "../kit/condition.js"
import { programPath, type Workspace } from "../kit/program.js"
import { patienceMs, Scene } from "../kit/scene.js"

type Defer = (cleanup: () => Promise<void> | void) => void

/** Starts a relay and Alice, who looks at other agents. */
async function watchRoster(scene: Scene) {
  const url = await scene.sharedRelay()
  const alice = await scene.sharedAgent(url, "alice")

  /** Returns the entry of an agent in `agentchat agents`. */
  async function shown(name: string): Promise<Record<string, unknown>> {
    const { stdout } = await agentchat(alice, "agents", "--name", "alice", "--json")
    const { roster } = JSON.parse(stdout) as { roster: Record<string, unknown>[] }
    return roster.find((entry) => entry["name"] === name) ?? {}
  }

  const becomes = (name: string, status: string) =>
    until(`${name} is ${status}`, async () => (await shown(name))["status"] === status, patienceMs)

  return { alice, shown, becomes, startAgent: (name: string) => scene.agent(url, name) }
}

/** Sends a signal to the process of a daemon; a stopped one continues when the test ends. */
function signal(work: Workspace, name: string, kind: NodeJS.Signals, defer: Defer): void {
  const { pid } = JSON.parse(readFileSync(work.file(name, "daemon.json"), "utf8")) as { pid: number }
  if (kind === "SIGSTOP") defer(() => void process.kill(pid, "SIGCONT"))
  process.kill(pid, kind)
}

describe.concurrent("the roster", { timeout: 120_000 }, () => {
  it.for(["SIGKILL", "SIGTERM"] as const)(
    "the roster shows an agent whose daemon ended by %s as offline",
    async (kind, { onTestFinished }) => {
      const { alice, shown, becomes, startAgent } = await watchRoster(new Scene(onTestFinished))
      const bob = await startAgent("bob")
      const notified = (movement: string) => {
        const isBob = ({ type, name, agents }: Record<string, unknown>) =>
          type === movement && (name === "bob" || JSON.stringify(agents).includes('"bob"'))
        return until(`${movement} of bob`, () => alice.inbox("alice").some(isBob), patienceMs)
      }
      await becomes("bob", "idle")
      // An agent that joins and leaves while notices are collected is not mentioned.
      await notified("AGENT_JOINED")
      signal(bob, "bob", kind, onTestFinished)
      await becomes("bob", "offline")
      await notified("AGENT_LEFT")
      await startAgent("carol")
      await becomes("carol", "idle")
      expect((await shown("bob"))["status"]).toBe("offline")
    },
  )

  it("the roster shows an agent as offline while its daemon is stopped, and as before when it continues", async ({
    onTestFinished,
  }) => {
    const { alice, shown, becomes, startAgent } = await watchRoster(new Scene(onTestFinished))
    const bob = await startAgent("bob")
    const args = [programPath, "inbox", "--follow", "--reader", "me", "--name", "bob", "--json"]
    const reader = spawn(process.execPath, args, {
      cwd: bob.dir,
      env: bob.env,
      stdio: ["ignore", "pipe", "inherit"],
    })
    onTestFinished(() => void reader.kill("SIGKILL"))
    const lines = createInterface({ input: reader.stdout })[Symbol.asyncIterator]()
    await must(alice, "send", "@bob", "build it", "--name", "alice")
    expect((await lines.next()).value).toContain("build it")
    await must(bob, "presence", "working", "building", "--name", "bob")
    await until("the reading", async () => (await shown("bob"))["read_ts"] !== undefined, patienceMs)
    expect(await shown("bob")).toMatchObject({ status: "working", activity: "building" })
    reader.kill("SIGSTOP")
    signal(bob, "bob", "SIGSTOP", onTestFinished)
    await must(alice, "send", "#general", "said meanwhile", "--name", "alice")
    await becomes("bob", "offline")
    const { read_ts, seen_ts } = await shown("bob")
    expect([read_ts, seen_ts]).toEqual([expect.any(Number), expect.any(Number)])
    const line = alice
      .must("agents", "--name", "alice")
      .split("\n")
      .find((one) => one.includes(" bob "))
    expect(line).toMatch(/offline/)
    expect(line).not.toMatch(/ working/)
    expect(await shown("bob")).toMatchObject({ read_ts, seen_ts })
    signal(bob, "bob", "SIGCONT", onTestFinished)
    await becomes("bob", "working")
    expect(await shown("bob")).toMatchObject({ activity: "building" })
    await until("what was said", () => bob.contents("bob").includes("said meanwhile"), patienceMs)
    expect(bob.contents("bob")).toEqual(["build it", "said meanwhile"])
  })
})
