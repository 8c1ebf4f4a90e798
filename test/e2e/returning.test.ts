import { appendFileSync, existsSync, readFileSync } from "node:fs"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { until } from "../kit/condition.js"
import { RelayProcess, Workspace } from "../kit/program.js"
import { temporaryDirectory } from "../kit/temporary.js"

const patienceMs = 90_000

describe("a relay with --data", { timeout: 240_000 }, () => {
  let relay: RelayProcess
  let sender: Workspace
  let receiver: Workspace

  beforeEach(async () => {
    const limits = ["--rate", "100000/s", "--burst", "100000"]
    relay = await RelayProcess.start("--data", temporaryDirectory(), ...limits)
    sender = new Workspace()
    receiver = new Workspace()
    sender.must("daemon", relay.url, "--background", "--name", "a")
    receiver.must("daemon", relay.url, "--background", "--name", "b")
  })
  afterEach(async () => {
    sender.dispose()
    receiver.dispose()
    await relay.kill()
  })

  /** Writes direct messages, or posts, as an agent does: a line each. */
  const write = (to: string, from: number, end: number) => {
    const lines = Array.from({ length: end - from }, (_, index) => {
      const content = `m-${from + index}`
      return `${JSON.stringify({ id: content, to, content })}\n`
    })
    appendFileSync(sender.file("a", "outbox.jsonl"), lines.join(""))
  }

  const accepted = () =>
    ["acks.1.jsonl", "acks.jsonl"]
      .map((file) => sender.file("a", file))
      .filter((path) => existsSync(path))
      .flatMap((path) => readFileSync(path, "utf8").match(/"id":"m-\d+",.*"state":"accepted"/g) ?? []).length

  const numbered = (count: number) => Array.from({ length: count }, (_, index) => `m-${index}`)

  it("has 10,000 direct messages for who was away, each once and in order", async () => {
    const to = String(receiver.status("b")?.["agent_id"])
    receiver.must("daemon", "--stop", "--name", "b")
    write(to, 0, 10_000)
    await until("they are accepted", () => accepted() === 10_000, patienceMs)
    const startMs = performance.now()
    receiver.must("daemon", relay.url, "--background", "--name", "b")
    await until("the last of them", () => receiver.contents("b").at(-1) === "m-9999", patienceMs)
    console.log(`10,000 direct messages came in ${((performance.now() - startMs) / 1_000).toFixed(1)} s`)
    expect(receiver.contents("b")).toEqual(numbered(10_000))
  })

  it("row 73: killed while messages are sent, has every accepted one for its inbox once", async () => {
    const to = String(receiver.status("b")?.["agent_id"])
    sender.must("create", "#kept", "--durable", "--name", "a")
    receiver.must("join", "#kept", "--name", "b")
    for (let i = 0; i < 1_000; i += 10) {
      write(i % 20 === 0 ? to : "#kept", i, i + 10)
      if (i === 500) await until("some are accepted", () => accepted() > 200, patienceMs)
      if (i === 500) await relay.kill()
    }
    await relay.restart()
    await until("all are accepted", () => accepted() >= 1_000, patienceMs)
    await until("all arrive", () => new Set(receiver.contents("b")).size >= 1_000, patienceMs)
    const contents = receiver.contents("b")
    expect([...contents].sort()).toEqual(numbered(1_000).sort())
    expect(accepted()).toBe(1_000)
    for (const way of [to, "#kept"]) {
      const numbers = receiver
        .inbox("b")
        .filter((line) => line.type === "MSG" && line["to"] === way)
        .map(({ content }) => Number(String(content).slice(2)))
      expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
    }
  })
})
