import { spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { defaultGuardLimits } from "../../src/guards/limits.js"
import { formatCommandId } from "../../src/protocol/message-id.js"
import { until } from "../kit/condition.js"
import { DaemonHarness } from "../kit/daemon-harness.js"
import { FakeRelay } from "../kit/fake-relay.js"

const ts = 1_800_000_000_000
const { breakerRejected } = defaultGuardLimits
const isNoticeType = (type: unknown) => type === "REJECTED" || type === "GUARD"

/** Starts a daemon on a relay that accepts channel posts and knows no other agent. */
async function running(guards = {}) {
  const relay = await FakeRelay.start({
    answers: {
      MSG: ({ id, to }) =>
        to === "#general"
          ? { type: "ACK", re: id, ts, state: "accepted", msg_id: `${daemon.self.slice(1)}.${String(id)}` }
          : { type: "ERROR", re: id, code: "AGENT_NOT_FOUND", message: "to: nobody has that name" },
    },
  })
  const daemon = new DaemonHarness()
  await daemon.start(relay, { guards })
  await until("online", () => daemon.status.connected)
  const rejected = () =>
    existsSync(daemon.paths.rejected) ? readFileSync(daemon.paths.rejected, "utf8").trim().split("\n") : []
  const noticeTypes = () => daemon.inbox.filter(({ type }) => isNoticeType(type)).map(({ type }) => type)
  let lines = 0
  /** Writes lines that are rejected, by the daemon or the relay, and waits until each is recorded. */
  const refuse = async (count: number, line: object) => {
    for (let n = 0; n < count; n++) {
      daemon.clock.advance(1_000)
      daemon.write({ ...line })
      lines++
      await until("a recorded line", () => rejected().length === lines)
    }
  }
  return { relay, daemon, rejected, noticeTypes, refuse }
}

describe("an agent that answers each rejection with a line that is rejected", () => {
  it.each([
    ["the daemon", { to: "general", content: "sorry, what was wrong with that?" }],
    ["the relay", { to: "@nobody", content: "sorry, what was wrong with that?" }],
  ])("gets a notice for the first lines that %s rejects, then one GUARD line", async (_, line) => {
    const { daemon, rejected, noticeTypes, refuse } = await running()
    for (let turn = 1; turn <= breakerRejected + 1; turn++) {
      await refuse(1, line)
      await until("a notice", () => noticeTypes().length === turn)
    }
    await refuse(5, line)
    daemon.sweep()
    const notices = daemon.inbox.filter(({ type }) => isNoticeType(type))
    expect(noticeTypes()).toEqual([...Array<string>(breakerRejected).fill("REJECTED"), "GUARD"])
    expect(notices.at(-1)).toMatchObject({
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
    expect(daemon.status.guards).toMatchObject([{ layer: "breaker", scope: "outbox" }])
    // Every line is recorded.
    expect(rejected()).toHaveLength(breakerRejected + 6)
  })

  it("gets a notice for each line again once one was accepted", async () => {
    const { daemon, noticeTypes, refuse } = await running({ breakerRejected: 2 })
    await refuse(4, { to: "general", content: "x" })
    expect(noticeTypes()).toEqual(["REJECTED", "REJECTED", "GUARD"])
    daemon.write({ to: "#general", content: "the parser is done" })
    await daemon.acksWith("accepted")
    daemon.sweep()
    expect(daemon.status.guards).toEqual([])
    await refuse(3, { to: "@nobody", content: "x" })
    await until("six lines", () => noticeTypes().length === 6)
    expect(noticeTypes().slice(3)).toEqual(["REJECTED", "REJECTED", "GUARD"])
  })

  it("gets no notice after a restart, one GUARD line per hour, and all notices again after a reset", async () => {
    const { relay, daemon, noticeTypes, refuse } = await running({ breakerRejected: 2 })
    await refuse(3, { to: "general", content: "x" })
    await daemon.start(relay, { guards: { breakerRejected: 2 } })
    await until("online again", () => daemon.status.connected)
    await refuse(3, { to: "general", content: "x" })
    expect(noticeTypes()).toEqual(["REJECTED", "REJECTED", "GUARD"])
    expect(daemon.status.guards).toMatchObject([{ layer: "breaker", scope: "outbox" }])
    daemon.clock.advance(3_600_001)
    await refuse(2, { to: "general", content: "x" })
    await until("four lines", () => noticeTypes().length === 4)
    expect(noticeTypes().at(-1)).toBe("GUARD")
    daemon.resetBreaker()
    daemon.sweep()
    expect(daemon.status.guards).toEqual([])
    await refuse(1, { to: "general", content: "x" })
    await until("five lines", () => noticeTypes().length === 5)
    expect(noticeTypes().at(-1)).toBe("REJECTED")
  })
})

describe("a line that a command wrote", () => {
  it("is not reported in the inbox when it is rejected while the command waits, which prints the reason", async () => {
    const { daemon, noticeTypes, refuse } = await running()
    await refuse(1, { to: "@nobody", content: "x", id: formatCommandId(process.pid, "a") })
    await refuse(1, { to: "@nobody", content: "x", id: "own-line" })
    await until("a notice", () => noticeTypes().length > 0)
    expect(daemon.inbox.filter(({ type }) => isNoticeType(type))).toMatchObject([{ id: "own-line" }])
  })

  it("is reported when it is rejected after the command gave up or was killed", async () => {
    const { daemon, noticeTypes, refuse } = await running()
    const { pid } = spawnSync(process.execPath, ["--version"])
    await refuse(1, { to: "@nobody", content: "x", id: formatCommandId(pid, "a") })
    await until("a notice", () => noticeTypes().length > 0)
    expect(daemon.inbox.filter(({ type }) => isNoticeType(type))).toHaveLength(1)
  })
})
