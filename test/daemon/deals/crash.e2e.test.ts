import { readFileSync, rmSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { readDealLog } from "../../../src/daemon/deals/proposals-file.js"
import { readInbox } from "../../../src/daemon/inbox/reader.js"
import type { Deal } from "../../../src/proposals/deal.js"
import { advanceDeal, openDeal } from "../../../src/proposals/deal.js"
import { statementMessageId } from "../../../src/proposals/statement.js"
import type { Statement } from "../../../src/protocol/statements.js"
import { until } from "../../kit/condition.js"
import { DaemonHarness } from "../../kit/daemon-harness.js"
import { alice, answer, aud, propose } from "../../kit/deals.js"
import { FakeRelay, type FakeSession } from "../../kit/fake-relay.js"
import { isRoot, SmallDisk } from "../../kit/file-system.js"

/** Starts a relay that got no acknowledgments, and so sends all of a deal in each session. */
async function arrange(daemon: DaemonHarness, terms?: string): Promise<{ relay: FakeRelay; deal: Deal }> {
  let deal = openDeal(propose({ to: daemon.identity.did, terms }))
  deal = advanceDeal(deal, answer(deal, "ACCEPT", daemon.identity.keyPair))
  deal = advanceDeal(deal, answer(deal, "COMPLETE", alice))
  deal = advanceDeal(deal, answer(deal, "COMPLETE", daemon.identity.keyPair))
  const relay = await FakeRelay.start({ serverId: aud })
  return { relay, deal }
}

function mail({ chain }: Deal): object[] {
  const statements: readonly Statement[] = chain
  return statements.map((statement) => ({
    ...statement,
    msg_id: statementMessageId(statement),
    name: "alice",
    state: "pending",
  }))
}

const received = (session: FakeSession | undefined) =>
  new Set(session?.frames.flatMap((frame) => (frame.type === "RECEIVED" ? (frame.ids ?? []) : [])))

async function deliver(daemon: DaemonHarness, relay: FakeRelay, deal: Deal): Promise<void> {
  const index = relay.sessions.length
  await daemon.start(relay)
  await until("online", () => daemon.status.connected)
  const session = await relay.session(index)
  session.send(...mail(deal))
  await until("all is confirmed", () => {
    // The inbox pauses for its readers before it repairs a line that was cut off.
    daemon.clock.advance(500)
    daemon.sweep()
    return received(session).size === deal.chain.length
  })
  await daemon.stop()
}

/** Returns the contents of the files, which must not depend on crashes. */
function found(daemon: DaemonHarness): object {
  return {
    steps: [...readInbox(daemon.paths, { sinceSeq: 0 })]
      .map(({ fields }) => fields)
      .filter(({ type }) => type !== "INBOX_ROTATED")
      .map(({ type, state }) => `${String(type)} ${String(state)}`),
    receipts: daemon.receipts,
    statements: readFileSync(daemon.paths.proposals, "utf8")
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { statement: Statement }).statement.id),
  }
}

const head = (text: string, lines: number, torn: boolean) => {
  const all = text.split("\n")
  const kept = all
    .slice(0, lines)
    .map((line) => `${line}\n`)
    .join("")
  return torn ? kept + (all[lines] ?? "").slice(0, 40) : kept
}

describe("a daemon that dies between two writes of a deal", { timeout: 120_000 }, () => {
  it.each([false, true])("loses and duplicates no line (partial last line: %s)", async (torn) => {
    const daemon = new DaemonHarness()
    const { relay, deal } = await arrange(daemon)
    await deliver(daemon, relay, deal)
    const whole = found(daemon)
    expect(whole).toMatchObject({ receipts: [expect.any(String), expect.any(String)] })
    const { proposals, receipts, inbox, memory } = daemon.paths
    const texts = [proposals, receipts, inbox].map((path) => readFileSync(path, "utf8"))
    const [proposalLines = "", receiptLines = "", inboxLines = ""] = texts
    let tried = 0
    for (let p = 0; p <= 4; p++) {
      for (let r = 0; r <= Math.max(0, p - 2); r++) {
        for (let i = 0; i <= p; i++) {
          writeFileSync(proposals, head(proposalLines, p, torn))
          writeFileSync(receipts, head(receiptLines, r, torn))
          writeFileSync(inbox, head(inboxLines, i, torn))
          rmSync(daemon.paths.segments, { recursive: true, force: true })
          // memory.json is written once a second and may be behind the inbox.
          writeFileSync(memory, JSON.stringify({ v: 1, told: tried % 2 === 0 ? i : 0 }))
          await deliver(daemon, relay, deal)
          expect(found(daemon), `${p} statements, ${r} receipts, ${i} lines`).toEqual(whole)
          tried++
        }
      }
    }
    expect(tried).toBe(29)
  })

  it("completes the files without the relay", async () => {
    const daemon = new DaemonHarness()
    const { relay, deal } = await arrange(daemon)
    await deliver(daemon, relay, deal)
    const whole = found(daemon)
    const inboxLines = readFileSync(daemon.paths.inbox, "utf8")
    writeFileSync(daemon.paths.receipts, "")
    writeFileSync(daemon.paths.inbox, head(inboxLines, 1, false))
    writeFileSync(daemon.paths.memory, JSON.stringify({ v: 1, told: 1 }))
    await daemon.start(relay)
    await daemon.lines("COMPLETE", 2)
    await daemon.stop()
    expect(found(daemon)).toEqual(whole)
  })

  it("skips damaged lines and takes the statements from the relay again", async () => {
    const daemon = new DaemonHarness()
    const { relay, deal } = await arrange(daemon)
    await deliver(daemon, relay, deal)
    const lines = readFileSync(daemon.paths.proposals, "utf8").split("\n")
    writeFileSync(
      daemon.paths.proposals,
      [lines[0], "nonsense", '{"n":7,"name":"x","statement":{}}', lines[2], ""].join("\n"),
    )
    expect(readDealLog(daemon.paths.proposals)[0]?.deal).toMatchObject({ state: "pending" })
    await deliver(daemon, relay, deal)
    expect(readDealLog(daemon.paths.proposals)[0]?.deal).toMatchObject({
      state: "completed",
      chain: { length: 4 },
    })
    expect(daemon.inbox.filter(({ type }) => type === "NOTICE")).toEqual([])
  })
})

describe.runIf(isRoot())("a deal on a full disk", { timeout: 60_000 }, () => {
  it("is reported as a problem, and written once there is space", async () => {
    const disk = new SmallDisk(1024 * 1024)
    const daemon = new DaemonHarness(undefined, { root: disk.path })
    const { relay, deal } = await arrange(daemon, "x".repeat(10_000))
    await daemon.start(relay)
    await until("online", () => daemon.status.connected)
    const session = await relay.session()
    // Room for status.json, and none for the proposal.
    const spare = join(disk.path, "spare")
    writeFileSync(spare, Buffer.alloc(8_192))
    disk.fill()
    rmSync(spare)
    session.send(...mail(deal))
    await until("the daemon says so", () => {
      daemon.sweep()
      return daemon.status.problems.some(({ where }) => where === "proposals")
    })
    expect(daemon.status.problems).toContainEqual(
      expect.objectContaining({
        message: "proposals.jsonl: cannot be written (ENOSPC: no space left on device)",
        hint: "free some space; the daemon continues by itself",
      }),
    )
    expect(received(session).size).toBe(0)
    expect(daemon.inbox).toEqual([])
    disk.free()
    await until("all is confirmed", () => {
      daemon.sweep()
      return received(session).size === deal.chain.length
    })
    await until("the problems are gone", () => {
      daemon.sweep()
      return daemon.status.problems.length === 0
    })
    expect(daemon.receipts).toHaveLength(2)
    expect(readDealLog(daemon.paths.proposals)[0]?.deal.chain).toHaveLength(4)
    expect(daemon.inbox.map(({ type }) => type)).toEqual(["PROPOSAL", "ACCEPT", "COMPLETE", "COMPLETE"])
  })
})
