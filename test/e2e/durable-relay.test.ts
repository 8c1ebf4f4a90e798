import { appendFileSync, existsSync, readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { must } from "../kit/command-server.js"
import { until } from "../kit/condition.js"
import type { Workspace } from "../kit/program.js"
import { Scene, startDaemon } from "../kit/scene.js"

const patienceMs = 90_000

/** Starts a relay with a store, a sender `a` and a receiver `b`. */
async function start(scene: Scene) {
  const relay = await scene.relay("--data", scene.directory())
  const [sender, receiver] = await Promise.all([scene.agent(relay.url, "a"), scene.agent(relay.url, "b")])
  return { relay, sender, receiver, to: String(receiver.status("b")?.["agent_id"]) }
}

/** Appends messages `m-<n>` to the outbox of `a`. */
function write(sender: Workspace, to: string, from: number, end: number): void {
  const lines = Array.from({ length: end - from }, (_, index) => {
    const content = `m-${from + index}`
    return `${JSON.stringify({ id: content, to, content })}\n`
  })
  appendFileSync(sender.file("a", "outbox.jsonl"), lines.join(""))
}

/** Returns the number of messages of `a` that were accepted. */
function countAccepted(sender: Workspace): number {
  return ["acks.1.jsonl", "acks.jsonl"]
    .map((file) => sender.file("a", file))
    .filter((path) => existsSync(path))
    .flatMap((path) => readFileSync(path, "utf8").match(/"id":"m-\d+",.*"state":"accepted"/g) ?? []).length
}

const numbered = (count: number) => Array.from({ length: count }, (_, index) => `m-${index}`)

describe.concurrent("a relay with --data", { timeout: 240_000 }, () => {
  it("10,000 direct messages reach an agent that was away, each once and in order", async ({
    onTestFinished,
  }) => {
    const { relay, sender, receiver, to } = await start(new Scene(onTestFinished))
    await must(receiver, "daemon", "--stop", "--name", "b")
    write(sender, to, 0, 10_000)
    await until("they are accepted", () => countAccepted(sender) === 10_000, patienceMs)
    const startMs = performance.now()
    await startDaemon(receiver, relay.url, "b")
    await until("the last of them", () => receiver.contents("b").at(-1) === "m-9999", patienceMs)
    console.log(`10,000 direct messages came in ${((performance.now() - startMs) / 1_000).toFixed(1)} s`)
    expect(receiver.contents("b")).toEqual(numbered(10_000))
  })

  it("a relay killed in a burst delivers every accepted message once", async ({ onTestFinished }) => {
    const { relay, sender, receiver, to } = await start(new Scene(onTestFinished))
    await must(sender, "create", "#kept", "--durable", "--name", "a")
    await must(receiver, "join", "#kept", "--name", "b")
    for (let i = 0; i < 1_000; i += 10) {
      write(sender, i % 20 === 0 ? to : "#kept", i, i + 10)
      if (i === 500) await until("some are accepted", () => countAccepted(sender) > 200, patienceMs)
      if (i === 500) await relay.kill()
    }
    await relay.restart()
    await until("all are accepted", () => countAccepted(sender) >= 1_000, patienceMs)
    await until("all arrive", () => new Set(receiver.contents("b")).size >= 1_000, patienceMs)
    const contents = receiver.contents("b")
    expect([...contents].sort()).toEqual(numbered(1_000).sort())
    expect(countAccepted(sender)).toBe(1_000)
    for (const way of [to, "#kept"]) {
      const numbers = receiver
        .inbox("b")
        .filter((line) => line.type === "MSG" && line["to"] === way)
        .map(({ content }) => Number(String(content).slice(2)))
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
    }
  })
})
