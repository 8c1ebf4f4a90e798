import { once } from "node:events"
import { appendFileSync, readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { agentchat, must } from "../kit/command-server.js"
import { until } from "../kit/condition.js"
import { isLong } from "../kit/long.js"
import { programPath, type Workspace } from "../kit/program.js"
import { patienceMs, Scene, startDaemon } from "../kit/scene.js"

const outageMs = isLong ? 10_000 : 2_000

function say(work: Workspace, name: string, to: string, content: string): void {
  appendFileSync(work.file(name, "outbox.jsonl"), `${JSON.stringify({ to, content })}\n`)
}

const isConnected = (work: Workspace, name: string) => work.status(name)?.["connected"] === true
const idOf = (work: Workspace, name: string) => String(work.status(name)?.["agent_id"])

describe.concurrent("mail", { timeout: 120_000 }, () => {
  it.for([
    ["a relay that keeps running", false],
    ["a relay that is killed and restarted on its store", true],
  ] as const)(
    "a message for an agent that is away is stored by %s and delivered once",
    async ([, isKilled], context) => {
      const scene = new Scene(context.onTestFinished)
      const relay = await scene.relay(...(isKilled ? ["--data", scene.directory()] : []))
      const [alice, bob] = await Promise.all([
        scene.sharedAgent(relay.url, "alice"),
        scene.sharedAgent(relay.url, "bob"),
      ])
      const startBob = () => startDaemon(bob, relay.url, "bob")
      await must(bob, "daemon", "--stop", "--name", "bob")
      await must(alice, "send", "@bob", "hi", "--name", "alice")
      if (isKilled) {
        await relay.kill()
        await relay.restart()
        await until("alice's return", () => isConnected(alice, "alice"), patienceMs)
      }
      await startBob()
      await until("the mail", () => bob.contents("bob").includes("hi"), patienceMs)
      await must(bob, "daemon", "--stop", "--name", "bob")
      await startBob()
      await must(alice, "send", "@bob", "what comes after it", "--name", "alice")
      await until("the next mail", () => bob.contents("bob").includes("what comes after it"), patienceMs)
      const mail = bob.inbox("bob").filter(({ type }) => type === "MSG")
      expect(mail.map(({ content, to, from, name }) => [content, to, from, name])).toEqual([
        ["hi", idOf(bob, "bob"), idOf(alice, "alice"), "alice"],
        ["what comes after it", idOf(bob, "bob"), idOf(alice, "alice"), "alice"],
      ])
    },
  )

  it("`send --wait answered` prints the answer, which is otherwise in the inbox", async ({
    onTestFinished,
  }) => {
    const scene = new Scene(onTestFinished)
    const url = await scene.sharedRelay()
    const [alice, bob] = await Promise.all([scene.sharedAgent(url, "alice"), scene.sharedAgent(url, "bob")])
    const answer = async (question: string, content: string) => {
      const line = await until(question, () => bob.inbox("bob").find((one) => one["content"] === question))
      await must(bob, "send", "@alice", content, "--reply-to", String(line["msg_id"]), "--name", "bob")
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
    await must(alice, "send", "@bob", "q2", "--name", "alice")
    await answer("q2", "answer 2")
    await until("the late answer", () => alice.contents("alice").includes("answer 2"), patienceMs)
    expect(await must(alice, "inbox", "--name", "alice")).toContain("answer 2")
    const lines = readFileSync(alice.file("alice", "acks.jsonl"), "utf8").trim().split("\n")
    expect(lines.filter((line) => line.includes('"state":"answered"'))).toHaveLength(2)
  })

  it.for([
    ["in memory", false],
    ["with a store", true],
  ] as const)(
    "a message written while a relay %s is down arrives once when it is back",
    async ([, isDurable], context) => {
      const scene = new Scene(context.onTestFinished)
      const relay = await scene.relay(...(isDurable ? ["--data", scene.directory()] : []))
      const [alice, bob] = await Promise.all([
        scene.sharedAgent(relay.url, "alice"),
        scene.sharedAgent(relay.url, "bob"),
      ])
      const agents = [
        [alice, "alice"],
        [bob, "bob"],
      ] as const
      await must(alice, "send", "@bob", "before", "--name", "alice")
      await until("what was said before", () => bob.contents("bob").includes("before"), patienceMs)
      await relay.kill()
      const killed = performance.now()
      for (const [work, name] of agents) {
        await until(`${name} to notice`, () => !isConnected(work, name), patienceMs)
        expect((await agentchat(work, "status", "--name", name)).stdout).toMatch(/waiting|not connected/)
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
          return performance.now() - killed > (isDurable ? outageMs : 1_000)
        },
        patienceMs,
      )
      await relay.restart()
      for (const [work, name] of agents)
        await until(`${name}'s return`, () => isConnected(work, name), patienceMs)
      await until("what bob missed", () => bob.contents("bob").length >= 10, patienceMs)
      await until("what alice missed", () => alice.contents("alice").length >= 3, patienceMs)
      say(alice, "alice", "#general", "the end")
      await until("the end", () => bob.contents("bob").includes("the end"), patienceMs)
      const missed = [1, 2, 3].flatMap((n) => [`by name ${n}`, `by id ${n}`, `to all ${n}`])
      expect(bob.contents("bob").sort()).toEqual(["before", ...missed, "the end"].sort())
      expect(alice.contents("alice")).toEqual(["back 1", "back 2", "back 3"])
      for (const [work, name] of agents) {
        expect(work.inbox(name).filter(({ type }) => type === "REJECTED")).toEqual([])
      }
    },
  )
})
