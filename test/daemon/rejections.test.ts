import { existsSync, readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { defaultGuardLimits } from "../../src/guards/limits.js"
import { until } from "../kit/condition.js"
import { DaemonRoom } from "../kit/daemon-room.js"
import { FakeRelay } from "../kit/fake-relay.js"

const ts = 1_800_000_000_000
const { breakerRejected } = defaultGuardLimits
const isNews = (type: unknown) => type === "REJECTED" || type === "GUARD"

/** Starts a daemon on a relay that accepts channel posts and knows no other agent. */
async function running(guards = {}) {
  const relay = await FakeRelay.start({
    answers: {
      MSG: ({ id, to }) =>
        to === "#general"
          ? { type: "ACK", re: id, ts, state: "accepted", msg_id: `${room.self.slice(1)}.${String(id)}` }
          : { type: "ERROR", re: id, code: "AGENT_NOT_FOUND", message: "to: nobody has that name" },
    },
  })
  const room = new DaemonRoom()
  await room.start(relay, { guards })
  await until("online", () => room.status.connected)
  const kept = () =>
    existsSync(room.paths.rejected) ? readFileSync(room.paths.rejected, "utf8").trim().split("\n") : []
  const news = () => room.inbox.filter(({ type }) => isNews(type)).map(({ type }) => type)
  let lines = 0
  /** Writes lines that are rejected, by the daemon or the relay, and waits until each is recorded. */
  const refuse = async (count: number, line: object) => {
    for (let n = 0; n < count; n++) {
      room.clock.advance(1_000)
      room.write({ ...line })
      lines++
      await until("a recorded line", () => kept().length === lines)
    }
  }
  return { relay, room, kept, news, refuse }
}

describe("an agent that answers each rejection with a line that is rejected", () => {
  it.each([
    ["by the daemon", { to: "general", content: "sorry, what was wrong with that?" }],
    ["by the relay", { to: "@nobody", content: "sorry, what was wrong with that?" }],
  ])("%s, gets a notice for the first ones, one GUARD line, and then nothing", async (_, line) => {
    const { room, kept, news: notices, refuse } = await running()
    for (let turn = 1; turn <= breakerRejected + 1; turn++) {
      await refuse(1, line)
      await until("a notice", () => notices().length === turn)
    }
    await refuse(5, line)
    room.sweep()
    const news = room.inbox.filter(({ type }) => isNews(type))
    expect(notices()).toEqual([...Array<string>(breakerRejected).fill("REJECTED"), "GUARD"])
    expect(news.at(-1)).toMatchObject({
      state: "tripped",
      layer: "breaker",
      scope: "outbox",
      lifted_by: "progress",
      reason: expect.stringMatching(
        /^more than 20 lines were refused .*; the last: (INVALID_MSG|AGENT_NOT_FOUND): to: /,
      ),
      hint: expect.stringContaining("rejected.jsonl"),
      line_sha256: expect.any(String),
    })
    expect(room.status.guards).toMatchObject([{ layer: "breaker", scope: "outbox" }])
    // Nothing is lost.
    expect(kept()).toHaveLength(breakerRejected + 6)
  })

  it("gets a notice for each line again once one was accepted", async () => {
    const { room, news, refuse } = await running({ breakerRejected: 2 })
    await refuse(4, { to: "general", content: "x" })
    expect(news()).toEqual(["REJECTED", "REJECTED", "GUARD"])
    room.write({ to: "#general", content: "the parser is done" })
    await room.rungs("accepted")
    room.sweep()
    expect(room.status.guards).toEqual([])
    await refuse(3, { to: "@nobody", content: "x" })
    await until("six lines", () => news().length === 6)
    expect(news().slice(3)).toEqual(["REJECTED", "REJECTED", "GUARD"])
  })

  it("gets no notice after a restart, one GUARD line per hour, and all notices again after a reset", async () => {
    const { relay, room, news, refuse } = await running({ breakerRejected: 2 })
    await refuse(3, { to: "general", content: "x" })
    await room.start(relay, { guards: { breakerRejected: 2 } })
    await until("online again", () => room.status.connected)
    await refuse(3, { to: "general", content: "x" })
    expect(news()).toEqual(["REJECTED", "REJECTED", "GUARD"])
    expect(room.status.guards).toMatchObject([{ layer: "breaker", scope: "outbox" }])
    room.clock.advance(3_600_001)
    await refuse(2, { to: "general", content: "x" })
    await until("four lines", () => news().length === 4)
    expect(news().at(-1)).toBe("GUARD")
    room.resetBreaker()
    room.sweep()
    expect(room.status.guards).toEqual([])
    await refuse(1, { to: "general", content: "x" })
    await until("five lines", () => news().length === 5)
    expect(news().at(-1)).toBe("REJECTED")
  })
})
