import { describe, expect, it } from "vitest"
import { closestNames } from "../../src/base/closest-names.js"
import { defaultLimits } from "../../src/protocol/limits.js"
import { TestRelay } from "../kit/relay.js"

const { requestsPerSecond, requestBurst } = defaultLimits
const limits = { requestsPerSecond, requestBurst }
const attempts = 300

/** Sends the same request many times and counts the answers by error code. */
async function countAnswers(relay: TestRelay, frame: object): Promise<Map<string, number>> {
  const { wire } = await relay.enter("mallory", "#general")
  wire.say(...Array.from({ length: attempts }, () => frame))
  const counts = new Map<string, number>()
  for (let n = 0; n < attempts; n++) {
    const { code } = await wire.next("ERROR")
    counts.set(code, (counts.get(code) ?? 0) + 1)
  }
  return counts
}

describe("a lookup that fails", () => {
  it.each([
    ["AGENT_NOT_FOUND", { type: "LIST_AGENTS", agent: "@nobody" }],
    ["AGENT_NOT_FOUND", { type: "PENDING", target: "@nobody" }],
    ["CHANNEL_NOT_FOUND", { type: "LIST_AGENTS", channel: "#nothing" }],
    ["CHANNEL_NOT_FOUND", { type: "LEAVE", channel: "#nothing" }],
    ["AMBIGUOUS_NAME", { type: "LIST_AGENTS", agent: "@twin" }],
  ])("with %s costs as much as 20 requests: %j", async (code, frame) => {
    const relay = await TestRelay.start({ limits })
    await relay.enter("twin")
    await relay.enter("twin")
    const counts = await countAnswers(relay, frame)
    // The JOIN of the session took one of the 200, so the tenth failure ends beyond them.
    expect(counts.get(code)).toBe(10)
    expect(counts.get("RATE_LIMITED")).toBe(attempts - 10)
  })

  it("with CHANNEL_EXISTS bounds guesses of the names of hidden channels, and does not say which are hidden", async () => {
    const relay = await TestRelay.start({ limits })
    const { wire } = await relay.enter("ann", "#general")
    await wire.ask({ type: "CREATE_CHANNEL", channel: "#hidden", invite_only: true })
    const create = { type: "CREATE_CHANNEL", channel: "#hidden" }
    const counts = await countAnswers(relay, create)
    expect(counts).toEqual(
      new Map([
        ["CHANNEL_EXISTS", 10],
        ["RATE_LIMITED", attempts - 10],
      ]),
    )
    const eve = await relay.enter("eve")
    const [hidden, open] = [
      await eve.wire.ask(create),
      await eve.wire.ask({ ...create, channel: "#general" }),
    ]
    const textOf = (answer: object) => JSON.stringify({ ...answer, re: "" }).replaceAll("#hidden", "#general")
    expect(textOf(hidden)).toBe(textOf(open))
  })

  it.each([
    { type: "MSG", to: "@nobody", content: "hi" },
    { type: "INVITE", channel: "#general", agent: "@nobody" },
  ])("costs requests of the session if it counts against the rate as well: %j", async (frame) => {
    const relay = await TestRelay.start({ limits })
    const { wire } = await relay.enter("mallory", "#general")
    for (let n = 0; n < 11; n++) expect(await wire.ask(frame)).toMatchObject({ code: "AGENT_NOT_FOUND" })
    expect(await wire.ask({ type: "LIST_CHANNELS" })).toMatchObject({ code: "RATE_LIMITED" })
  })

  it("lets a daemon create fifty channels that a restarted relay has lost", async () => {
    const relay = await TestRelay.start({ limits })
    const { wire } = await relay.enter("daemon")
    const names = Array.from({ length: 50 }, (_, n) => `#genera${n}`)
    const frames = names.map((channel, n) => ({ type: "JOIN", channel, id: `join-${n}` }))
    const answers = await Promise.all(frames.map((frame) => wire.answerTo(frame)))
    const codes = answers.map((answer) => ("code" in answer ? answer.code : answer.type))
    expect(new Set(codes)).toEqual(new Set(["CHANNEL_NOT_FOUND"]))
    expect(answers.filter((answer) => "candidates" in answer)).toHaveLength(5)
    for (const channel of names)
      expect(await wire.ask({ type: "CREATE_CHANNEL", channel })).toMatchObject({ type: "JOINED" })
  })
})

describe("similar names", () => {
  it("are searched among a bounded number, and among fewer if their lengths are alike", () => {
    let looked = 0
    function* names(): Iterable<string> {
      for (;;) yield `${"ab".repeat(30)}${1_000 + looked++}`
    }
    closestNames("ab".repeat(32), names())
    expect(looked).toBeLessThan(1_000)
  })
})
