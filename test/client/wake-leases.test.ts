import { describe, expect, it } from "vitest"
import { systemClock } from "../../src/base/clock.js"
import { agentIdOf } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import { signWakeLease, type WakeClaims } from "../../src/identity/wake-lease.js"
import { until } from "../kit/condition.js"
import { DaemonHarness } from "../kit/daemon-harness.js"
import { FakeClock } from "../kit/fake-clock.js"
import { FakeRelay, type FakeRelayOptions } from "../kit/fake-relay.js"
import { openSession } from "../kit/session.js"

const key = generateKeyPair()
const bob = agentIdOf(key.publicKey)
const entry = { id: bob, name: "bob", status: "idle" }

/** A lease that bob could have proven now for the relay of the tests. */
function lease(change: Partial<WakeClaims> = {}, signer = key) {
  const now = systemClock.now()
  const claims = { aud: "relay-1", method: "wait", latency_ms: 5, proven_ts: now, expires_ts: now + 60_000 }
  return signWakeLease({ ...claims, ...change }, signer)
}

/** A relay that claims that bob has proven `wakeable`. */
function claiming(wakeable: object): NonNullable<FakeRelayOptions["answers"]> {
  return {
    LIST_AGENTS: ({ id }) => ({ type: "AGENTS", re: id, list: [bob], roster: [{ ...entry, wakeable }] }),
    MSG: ({ id }) => ({
      ...{
        type: "ACK",
        re: id,
        ts: 1,
        state: "accepted",
        msg_id: `aaaaaaaa.${id ?? ""}`,
        recipients: 1,
        to: bob,
      },
      target: { status: "idle", seen_ts: 1, wakeable },
    }),
  }
}

const forged: [string, object][] = [
  ["of another key", lease({}, generateKeyPair())],
  ["for another relay", lease({ aud: "relay-2" })],
  ["that has expired", lease({ proven_ts: 1, expires_ts: 2 })],
  ["whose method was changed", { ...lease(), method: "claude-socket" }],
]

describe("a lease that a relay shows", () => {
  it("reaches a client if its agent signed it", async () => {
    const proven = lease()
    const { connection } = await openSession({ answers: claiming(proven) })
    const { roster } = await connection.request({ type: "LIST_AGENTS" })
    expect(roster[0]?.wakeable).toEqual(proven)
    const { target } = await connection.request({ type: "MSG", to: bob, content: "x" })
    expect(target?.wakeable).toEqual(proven)
  })

  it.each(forged)("%s reaches no client", async (_name, wakeable) => {
    const { connection } = await openSession({ answers: claiming(wakeable) })
    const { roster } = await connection.request({ type: "LIST_AGENTS" })
    expect(roster).toEqual([entry])
    const { target } = await connection.request({ type: "MSG", to: bob, content: "x" })
    expect(target).toEqual({ status: "idle", seen_ts: 1 })
  })

  it.each(forged)("%s does not come into the acks of a daemon", async (_name, wakeable) => {
    const relay = await FakeRelay.start({ answers: claiming(wakeable) })
    const daemon = new DaemonHarness(new FakeClock(systemClock.now()))
    await daemon.start(relay, { channels: [] })
    await until("online", () => daemon.status.connected)
    daemon.write({ type: "LIST_AGENTS" })
    daemon.write({ to: bob, content: "x" })
    const acks = await daemon.acksWith("accepted", 2)
    expect(JSON.stringify(acks)).not.toContain("wakeable")
    expect(acks[1]).toMatchObject({ evidence: { target: { status: "idle" } } })
  })
})
