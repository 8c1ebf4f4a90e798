import { readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { describe, expect, it } from "vitest"
import { digestOfText, isAnswerOf } from "../../src/identity/answer-signature.js"
import { until } from "../kit/condition.js"
import { DaemonHarness } from "../kit/daemon-harness.js"
import { TestRelay } from "../kit/relay.js"

async function start(url: string, nick: string, role?: string): Promise<DaemonHarness> {
  const daemon = new DaemonHarness()
  await daemon.start({ url }, { nick: nick as never, ...(role !== undefined && { role }) })
  await until("online", () => daemon.status.connected)
  return daemon
}

async function startPair() {
  const relay = await TestRelay.start()
  const url = `ws://127.0.0.1:${relay.relay.port}`
  return { relay, ann: await start(url, "ann"), pia: await start(url, "pia", "human") }
}

const question = { id: "q1", to: "+human", content: "may I merge?", choices: ["yes", "no"] }

describe("a question to people", { timeout: 90_000 }, () => {
  it("is answered by a line, and the signed answer is in the inbox and in receipts.jsonl", async () => {
    const { ann, pia } = await startPair()
    ann.write(question)
    const [offer] = await pia.lines("TASK")
    expect(offer).toMatchObject({ choices: ["yes", "no"], offered: true })
    expect(pia.status.tasks).toEqual([])
    pia.write({ type: "DONE", task: offer?.["task"], content: "yes" })
    const [answer] = await ann.lines("MSG")
    expect(answer).toMatchObject({ content: "yes", from: pia.self, answer: { verified: true } })
    const path = join(dirname(dirname(ann.paths.dir)), "receipts.jsonl")
    const decision = JSON.parse(readFileSync(path, "utf8")) as Record<string, string>
    expect(JSON.parse(decision["question"] ?? "")).toMatchObject({ content: "may I merge?", role: "human" })
    const proof = { ...decision, question: digestOfText(decision["question"] ?? "") }
    expect(isAnswerOf(decision as never, proof as never, pia.self)).toBe(true)
    expect(isAnswerOf({ ...decision, answer: "no" } as never, proof as never, pia.self)).toBe(false)
  })

  it("that expires leaves one line with the default answer, and the stage in acks.jsonl", async () => {
    const { relay, ann, pia } = await startPair()
    ann.write({ ...question, ttl_s: 60, default: "no" })
    await pia.lines("TASK")
    relay.clock.advance(60_000)
    const expired = await ann.lines("TASK_EXPIRED")
    expect(expired.map(({ answer, role }) => [answer, role])).toEqual([["no", "human"]])
    await ann.acksWith("expired")
    expect(await pia.lines("TASK_LOST")).toMatchObject([{ reason: "the task expired" }])
  })
})
