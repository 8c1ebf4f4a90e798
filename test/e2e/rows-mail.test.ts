import { once } from "node:events"
import { appendFileSync, readFileSync } from "node:fs"
import { describe, expect, it, onTestFinished } from "vitest"
import { until } from "../kit/condition.js"
import { programPath, RelayProcess, Workspace } from "../kit/program.js"
import { temporaryDirectory } from "../kit/temporary.js"

const waitMs = 30_000
const downMs = 10_000
const fast = ["--rate", "1000/s", "--burst", "1000"]

async function startRelay(...args: string[]): Promise<RelayProcess> {
  const relay = await RelayProcess.start(...fast, ...args)
  onTestFinished(() => relay.kill())
  return relay
}

/** A daemon `name` in a directory of its own. */
function startAgent(relay: RelayProcess, name: string): Workspace {
  const work = new Workspace()
  onTestFinished(() => work.dispose())
  work.must("daemon", relay.url, "--background", "--name", name)
  return work
}

function say(work: Workspace, name: string, to: string, content: string): void {
  appendFileSync(work.file(name, "outbox.jsonl"), `${JSON.stringify({ to, content })}\n`)
}

const isConnected = (work: Workspace, name: string) => work.status(name)?.["connected"] === true
const idOf = (work: Workspace, name: string) => String(work.status(name)?.["agent_id"])

describe("mail", { timeout: 120_000 }, () => {
  it.each([
    ["a relay that goes on", false],
    ["a relay that is killed and started again on its store", true],
  ])("row 8: for somebody away is kept by %s, and is delivered once", async (_, isKilled) => {
    const relay = await startRelay(...(isKilled ? ["--data", temporaryDirectory()] : []))
    const alice = startAgent(relay, "alice")
    const bob = startAgent(relay, "bob")
    const startBob = () => bob.must("daemon", relay.url, "--background", "--name", "bob")
    bob.must("daemon", "--stop", "--name", "bob")
    alice.must("send", "@bob", "hi", "--name", "alice")
    if (isKilled) {
      await relay.kill()
      await relay.restart()
      await until("alice's return", () => isConnected(alice, "alice"), waitMs)
    }
    startBob()
    await until("the mail", () => bob.contents("bob").includes("hi"), waitMs)
    bob.must("daemon", "--stop", "--name", "bob")
    startBob()
    alice.must("send", "@bob", "what comes after it", "--name", "alice")
    await until("the next mail", () => bob.contents("bob").includes("what comes after it"), waitMs)
    const mail = bob.inbox("bob").filter(({ type }) => type === "MSG")
    expect(mail.map(({ content, to, from, name }) => [content, to, from, name])).toEqual([
      ["hi", idOf(bob, "bob"), idOf(alice, "alice"), "alice"],
      ["what comes after it", idOf(bob, "bob"), idOf(alice, "alice"), "alice"],
    ])
  })

  it("row 55: to a shell is printed when it waits for it, and else stands in its inbox", async () => {
    const relay = await startRelay()
    const alice = startAgent(relay, "alice")
    const bob = startAgent(relay, "bob")
    const answer = async (question: string, content: string) => {
      const line = await until(question, () => bob.inbox("bob").find((one) => one["content"] === question))
      bob.must("send", "@alice", content, "--reply-to", String(line["msg_id"]), "--name", "bob")
    }
    const asking = alice.sh(
      `exec '${process.execPath}' '${programPath}' send @bob q1 --wait answered --timeout 60 --name alice`,
    )
    let printed = ""
    asking.stdout?.setEncoding("utf8").on("data", (text: string) => {
      printed += text
    })
    const ended = once(asking, "close")
    await answer("q1", "answer 1")
    expect(await ended).toEqual([0, null])
    expect(printed).toBe("answer 1\n")
    alice.must("send", "@bob", "q2", "--name", "alice")
    await answer("q2", "answer 2")
    await until("the late answer", () => alice.contents("alice").includes("answer 2"), waitMs)
    expect(alice.must("inbox", "--name", "alice")).toContain("answer 2")
    const lines = readFileSync(alice.file("alice", "acks.jsonl"), "utf8").trim().split("\n")
    expect(lines.filter((line) => line.includes('"state":"answered"'))).toHaveLength(2)
  })

  it.each([
    ["in memory", false],
    ["with a store", true],
  ])("row 74: said while a relay %s is gone arrives once when it is back", async (_, isKept) => {
    const relay = await startRelay(...(isKept ? ["--data", temporaryDirectory()] : []))
    const alice = startAgent(relay, "alice")
    const bob = startAgent(relay, "bob")
    const agents = [
      [alice, "alice"],
      [bob, "bob"],
    ] as const
    alice.must("send", "@bob", "before", "--name", "alice")
    await until("what was said before", () => bob.contents("bob").includes("before"), waitMs)
    await relay.kill()
    const killed = performance.now()
    for (const [work, name] of agents) {
      await until(`${name} to notice`, () => !isConnected(work, name), waitMs)
      expect(work.run("status", "--name", name).stdout).toMatch(/waiting|not connected/)
    }
    for (const n of [1, 2, 3]) {
      say(alice, "alice", "@bob", `by name ${n}`)
      say(alice, "alice", idOf(bob, "bob"), `by id ${n}`)
      say(alice, "alice", "#general", `to all ${n}`)
      say(bob, "bob", "@alice", `back ${n}`)
    }
    await until(
      "the outage",
      () => {
        for (const [work, name] of agents) expect(isConnected(work, name)).toBe(false)
        return performance.now() - killed > (isKept ? downMs : 1_000)
      },
      waitMs,
    )
    await relay.restart()
    for (const [work, name] of agents) await until(`${name}'s return`, () => isConnected(work, name), waitMs)
    await until("what bob missed", () => bob.contents("bob").length >= 10, waitMs)
    await until("what alice missed", () => alice.contents("alice").length >= 3, waitMs)
    say(alice, "alice", "#general", "the end")
    await until("the end", () => bob.contents("bob").includes("the end"), waitMs)
    const missed = [1, 2, 3].flatMap((n) => [`by name ${n}`, `by id ${n}`, `to all ${n}`])
    expect(bob.contents("bob").sort()).toEqual(["before", ...missed, "the end"].sort())
    expect(alice.contents("alice")).toEqual(["back 1", "back 2", "back 3"])
    for (const [work, name] of agents) {
      expect(work.inbox(name).filter(({ type }) => type === "REJECTED")).toEqual([])
    }
  })
})
