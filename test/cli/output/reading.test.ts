import { mkdirSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { makeColors } from "../../../src/cli/output/message-text.js"
import { BoundedLines, estimateTokens, Folded, LiveView } from "../../../src/cli/output/reading.js"
import { CommandRoom } from "../../kit/command-room.js"
import { FakeClock } from "../../kit/fake-clock.js"

const look = () => ({ colors: makeColors(false), nowMs: 0 })
const joined = { type: "AGENT_JOINED", agent: "@aaaaaaaa", name: "bob", channel: "#general", ts: 0 }
const left = { ...joined, type: "AGENT_LEFT" }
const message = { type: "MSG", from: "@aaaaaaaa", name: "bob", to: "#general", content: "hi", ts: 0 }

describe("Folded", () => {
  it("counts joins and leaves in one line", () => {
    const folded = new Folded(look)
    const many = { ...joined, agents: [{}, {}] }
    for (const line of [joined, many, left]) expect(folded.take(line)).toBe(true)
    expect(folded.take(message)).toBe(false)
    expect(folded.lines()).toEqual(["-- 3 joined, 1 left"])
    expect(folded.lines()).toEqual([])
  })

  it("says who joined if nobody else did", () => {
    const folded = new Folded(look)
    folded.take(joined)
    expect(folded.lines()).toEqual([expect.stringContaining("bob @aaaaaaaa joined #general")])
  })

  it("does not count the replay of a channel as unread", () => {
    const folded = new Folded(look, (seq) => `agentchat inbox --since ${seq}`)
    for (const seq of [4, 5]) expect(folded.take({ ...message, replay: true, seq })).toBe(true)
    expect(folded.lines()).toEqual([
      "-- 2 messages of #general, from before you joined: agentchat inbox --since 3",
    ])
  })
})

describe("the first reading of a new short message", () => {
  const ids = { from: "@88e0df9306b2e254", name: "reviewer-2" }
  const new_ = { ...ids, type: "MSG", content: "which port does the server use?", ts: 1_800_000_000_000 }
  const channels = ["#general", "#agents", "#skills"]

  it.each([
    ["in a channel", { to: "#general", msg_id: "88e0df9306b2e254.1" }],
    ["to the reader, whose author waits", { to: "@57cbe9eba2c7348a", wait_ms: 300_000 }],
    ["with parts", { to: "#general", parts: [{ kind: "data", data: { port: 1 } }] }],
  ])("costs at most 60 tokens %s, however many agents came and messages were replayed", async (_, more) => {
    const room = new CommandRoom()
    mkdirSync(room.path("daemons/backend-bob"), { recursive: true, mode: 0o700 })
    const lines: object[] = []
    for (const channel of channels)
      for (let n = 0; n < 100; n++) {
        lines.push({ ...ids, type: "AGENT_JOINED", channel, agent: ids.from, ts: 1_790_000_000_000 })
        lines.push({ ...new_, to: channel, content: "old ".repeat(50), replay: true, ts: 1_790_000_000_000 })
      }
    lines.push({ ...new_, ...more })
    const text = lines.map((line, n) => `${JSON.stringify({ seq: n + 1, ...line })}\n`).join("")
    room.write("daemons/backend-bob/inbox.jsonl", text)
    const { out, status } = await room.run(["inbox", "--reader", "me", "--name", "backend-bob"])
    expect(status).toBe(0)
    expect(out).toContain("which port does the server use?")
    expect(out).toContain("-- 300 messages of #general and 2 more, from before you joined")
    expect(out.length / 4).toBeLessThanOrEqual(60)
  })
})

describe("LiveView", () => {
  it("prints joins and leaves together before the next message, or after a quiet second", () => {
    const clock = new FakeClock()
    const lines: string[] = []
    const view = new LiveView(clock, look, (line) => lines.push(line))
    view.add(joined)
    view.add(left)
    expect(lines).toEqual([])
    view.add(message)
    expect(lines).toEqual(["-- 1 joined, 1 left", expect.stringContaining("bob @aaaaaaaa: hi")])
    view.add(joined)
    clock.advance(1_000)
    expect(lines[2]).toContain("joined #general")
  })
})

describe("BoundedLines", () => {
  it("keeps the newest lines that fit, and counts those left out", () => {
    const lines = new BoundedLines(30, "newest")
    for (let seq = 1; seq <= 5; seq++) lines.add({ seq, text: `${seq}23456789` })
    expect(lines.texts).toEqual(["323456789", "423456789", "523456789"])
    expect(lines.omitted).toEqual({ count: 2, firstSeq: 1 })
  })

  it("keeps at most 8,000 tokens by default, and always the newest line", () => {
    const lines = new BoundedLines(undefined, "newest")
    for (let seq = 1; seq <= 1_000; seq++)
      lines.add({ seq, text: "one two three four five six seven eight nine" })
    expect(estimateTokens(lines.texts.join("\n"))).toBeLessThanOrEqual(8_000)
    expect(lines.texts.length).toBeGreaterThan(500)
    lines.add({ seq: 1_001, text: "語".repeat(9_000) })
    expect(lines.texts).toHaveLength(1)
  })

  it("keeps the first lines that fit for a reader, at least one, and takes no more", () => {
    const lines = new BoundedLines(30, "first")
    const taken = [1, 2, 3, 4].map((seq) => lines.add({ seq, text: `${seq}23456789` }))
    expect(taken).toEqual([true, true, true, false])
    expect(lines.texts).toEqual(["123456789", "223456789", "323456789"])
    expect(new BoundedLines(5, "first").add({ seq: 1, text: "123456789" })).toBe(true)
  })
})
