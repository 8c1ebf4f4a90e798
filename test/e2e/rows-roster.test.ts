import { spawn } from "node:child_process"
import { readFileSync } from "node:fs"
import { createInterface } from "node:readline"
import { beforeEach, describe, expect, it, onTestFinished } from "vitest"
import { until } from "../kit/condition.js"
import { programPath, RelayProcess, Workspace } from "../kit/program.js"

/** How long anything may take on a machine that does ten other things; promised are 8 s. */
const waitMs = 40_000

describe("the roster", { timeout: 120_000 }, () => {
  let relay: RelayProcess
  let alice: Workspace

  beforeEach(async () => {
    relay = await RelayProcess.start("--rate", "1000/s", "--burst", "1000")
    onTestFinished(() => relay.kill())
    alice = startAgent("alice")
  })

  function startAgent(name: string): Workspace {
    const work = new Workspace()
    onTestFinished(() => work.dispose())
    work.must("daemon", relay.url, "--background", "--name", name)
    return work
  }

  /** What `agentchat agents` shows alice of an agent. */
  function shown(name: string): Record<string, unknown> {
    const { roster } = JSON.parse(alice.must("agents", "--name", "alice", "--json")) as {
      roster: Record<string, unknown>[]
    }
    return roster.find((entry) => entry["name"] === name) ?? {}
  }

  const becomes = (name: string, status: string) =>
    until(`${name} is ${status}`, () => shown(name)["status"] === status, waitMs)

  /** Sends a signal to the process of a daemon; one that was stopped goes on when the test ends. */
  function signal(work: Workspace, name: string, kind: NodeJS.Signals): void {
    const { pid } = JSON.parse(readFileSync(work.file(name, "daemon.pid"), "utf8")) as { pid: number }
    if (kind === "SIGSTOP") onTestFinished(() => void process.kill(pid, "SIGCONT"))
    process.kill(pid, kind)
  }

  it.each(["SIGKILL", "SIGTERM"] as const)("row 22: shows who ended by %s offline, to all", async (kind) => {
    const bob = startAgent("bob")
    await becomes("bob", "idle")
    signal(bob, "bob", kind)
    await becomes("bob", "offline")
    const left = ({ type, name, agents }: Record<string, unknown>) =>
      type === "AGENT_LEFT" && (name === "bob" || JSON.stringify(agents).includes('"bob"'))
    await until("alice to be told", () => alice.inbox("alice").some(left), waitMs)
    startAgent("carol")
    await becomes("carol", "idle")
    expect(shown("bob")["status"]).toBe("offline")
  })

  it("row 75: does not call working whom it cannot hear, reader and daemon; row 22: as it was when it goes on", async () => {
    const bob = startAgent("bob")
    const args = [programPath, "inbox", "--follow", "--reader", "me", "--name", "bob", "--json"]
    const reader = spawn(process.execPath, args, {
      cwd: bob.dir,
      env: bob.env,
      stdio: ["ignore", "pipe", "inherit"],
    })
    onTestFinished(() => void reader.kill("SIGKILL"))
    const lines = createInterface({ input: reader.stdout })[Symbol.asyncIterator]()
    alice.must("send", "@bob", "build it", "--name", "alice")
    expect((await lines.next()).value).toContain("build it")
    bob.must("presence", "working", "building", "--name", "bob")
    await until("the reading", () => shown("bob")["read_ts"] !== undefined, waitMs)
    expect(shown("bob")).toMatchObject({ status: "working", activity: "building" })
    reader.kill("SIGSTOP")
    signal(bob, "bob", "SIGSTOP")
    alice.must("send", "#general", "said meanwhile", "--name", "alice")
    await becomes("bob", "offline")
    const { read_ts, seen_ts } = shown("bob")
    expect([read_ts, seen_ts]).toEqual([expect.any(Number), expect.any(Number)])
    const line = alice
      .must("agents", "--name", "alice")
      .split("\n")
      .find((one) => one.includes(" bob "))
    expect(line).toMatch(/offline/)
    expect(line).not.toMatch(/ working/)
    expect(shown("bob")).toMatchObject({ read_ts, seen_ts })
    signal(bob, "bob", "SIGCONT")
    await becomes("bob", "working")
    expect(shown("bob")).toMatchObject({ activity: "building" })
    await until("what was said", () => bob.contents("bob").includes("said meanwhile"), waitMs)
    expect(bob.contents("bob")).toEqual(["build it", "said meanwhile"])
  })
})
