import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { rootPaths } from "../../../src/daemon/files/paths.js"
import { confirmRing, ringNonceIn } from "../../../src/daemon/wake/echo.js"
import { type SessionRecord, writeSession } from "../../../src/harness/sessions.js"
import { sessionFinder } from "../../../src/harness/wake/find-session.js"
import { ringFile } from "../../../src/harness/wake/ring-file.js"
import { generateKeyPair } from "../../../src/identity/signer.js"
import { until } from "../../kit/condition.js"
import { DaemonHarness } from "../../kit/daemon-harness.js"
import { TestRelay } from "../../kit/relay.js"
import { temporaryDirectory } from "../../kit/temporary.js"

/** A daemon with an idle session of Amp, whose plugin is the test, and ann, who has written to it. */
async function scene() {
  const relay = await TestRelay.start()
  const root = temporaryDirectory()
  const daemon = new DaemonHarness(relay.clock, { root })
  const paths = rootPaths(root)
  mkdirSync(paths.sessions)
  const record: SessionRecord = {
    ...{ harness: "amp", session: "T-1", agent: daemon.paths.name, cwd: root, started: 1 },
    ...{ event: "agent.end", event_at: 1, state: "idle", door: { thread: "T-1" }, announced: 0 },
    ...{ owns_daemon: false, continued: false, background: 0, greeted: true },
  }
  writeSession(paths, record)
  const find = sessionFinder(paths, { clock: relay.clock, env: {}, uid: process.getuid?.() ?? 0 })
  await daemon.start(relay.relay, {}, { findSession: () => find(daemon.paths.name) })
  const ann = await relay.enterAs(generateKeyPair(), "ann")
  const pass = (ms: number) => {
    daemon.clock.advance(ms)
    daemon.sweep()
  }
  await until("online", () => daemon.status.connected)
  pass(0)
  await until("the door", () => {
    pass(20)
    return daemon.status.wake.doors.includes("amp-append")
  })
  await ann.wire.ask({ type: "MSG", to: daemon.self, content: "the build is red" })
  const file = ringFile(paths, "T-1")
  /** Waits for the next ring, as the plugin does. */
  const take = async () => {
    await until("the ring", () => {
      pass(50)
      return existsSync(file)
    })
    const text = readFileSync(file, "utf8")
    rmSync(file)
    pass(100)
    return text
  }
  const stages = async () =>
    (await ann.wire.settle()).flatMap((one) => (one.type === "DELIVERY" ? [[one.state, one.method]] : []))
  const failed = () =>
    until("the failure", () => {
      pass(1_000)
      return daemon.status.wake.failed?.reason
    })
  return { daemon, file, take, pass, stages, failed }
}

describe("an idle session of Amp", () => {
  it("is rung by the file that its plugin takes, and proven by the echo of its next hook", async () => {
    const { daemon, take, pass, stages } = await scene()
    const text = await take()
    expect(text).toMatch(/^agentchat-ring [0-9a-f]{32}: 1 unread message/)
    expect(text).not.toContain("the build is red")
    confirmRing(daemon.paths, ringNonceIn(text) ?? "", daemon.clock.now())
    pass(100)
    expect(await until("the lease", () => daemon.status.wake.proven?.method)).toBe("amp-append")
    expect(await stages()).toContainEqual(["rung", "amp-append"])
  })

  it("without a plugin is not rung, its ring is withdrawn, and the message waits", async () => {
    const { daemon, file, failed, stages } = await scene()
    expect(await failed()).toBe("amp: the plugin does not take the ring")
    expect(existsSync(file)).toBe(false)
    expect(await stages()).not.toContainEqual(["rung", "amp-append"])
    expect(daemon.inbox.filter(({ content }) => content === "the build is red")).toHaveLength(1)
  })

  it("whose build accepts a wrong shape silently proves nothing, and is rung again", async () => {
    const { daemon, take, failed } = await scene()
    const first = await take()
    expect(await failed()).toBe("no echo within 60 s")
    expect(daemon.status.wake.proven).toBeNull()
    const second = await take()
    expect(ringNonceIn(second)).not.toBe(ringNonceIn(first))
    expect(second).toContain("1 unread message")
  })
})
