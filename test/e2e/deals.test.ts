import { spawnSync } from "node:child_process"
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { agentchat, must } from "../kit/command-server.js"
import { until } from "../kit/condition.js"
import { type InboxRecord, killDaemon, RelayProcess, Workspace } from "../kit/program.js"
import { hasProgram } from "../kit/requires.js"

const hasPython = hasProgram("python3")

/** Exit status of the verifier in Python. */
function verifiedByPython(path: string): number | null {
  return spawnSync("python3", [join(import.meta.dirname, "../../verifiers/receipts.py"), path]).status
}

/** An agent with a directory, a daemon and a shell. */
class Party {
  readonly name: string
  readonly place = new Workspace()

  private constructor(name: string) {
    this.name = name
  }

  static async start(name: string, url: string): Promise<Party> {
    const party = new Party(name)
    await must(party.place, "daemon", url, "--background", "--name", name)
    return party
  }

  get id(): string {
    return String(this.place.status(this.name)?.["agent_id"])
  }

  get receipts(): string {
    return join(this.place.dir, ".agentchat", "receipts.jsonl")
  }

  /** Appends a line to the outbox, as `echo` does. */
  echo(line: object): void {
    appendFileSync(this.place.file(this.name, "outbox.jsonl"), `${JSON.stringify(line)}\n`)
  }

  /** Waits for a line of the inbox. */
  waitForLine(type: string, fits: (line: InboxRecord) => boolean = () => true): Promise<InboxRecord> {
    return until(`${type} for ${this.name}`, () =>
      this.place.inbox(this.name).find((line) => line.type === type && fits(line)),
    )
  }

  /** Waits for `count` lines in receipts.jsonl. */
  async proven(count: number): Promise<string[]> {
    return until(`${count} receipts of ${this.name}`, () => {
      const text = existsSync(this.receipts) ? readFileSync(this.receipts, "utf8") : ""
      // After the last newline is a line that is still being written.
      const lines = text.split("\n").slice(0, -1)
      return lines.length >= count && lines
    })
  }

  /** Ends the daemon without warning and starts it again. */
  async crash(url: string): Promise<void> {
    await killDaemon(this.place, this.name)
    await must(this.place, "daemon", url, "--background", "--name", this.name)
  }
}

describe("two agents that agree with nothing but echo", { timeout: 120_000 }, () => {
  let data: string
  let relay: RelayProcess
  let alice: Party
  let bob: Party

  beforeEach(async () => {
    data = mkdtempSync(join(tmpdir(), "agentchat-deals-"))
    relay = await RelayProcess.start("--rate", "1000/s", "--burst", "1000", "--data", data)
    alice = await Party.start("alice", relay.url)
    bob = await Party.start("bob", relay.url)
  })
  afterEach(async () => {
    alice.place.dispose()
    bob.place.dispose()
    await relay.kill()
    rmSync(data, { recursive: true, force: true })
  })

  const propose = async (task: string, more: object = {}): Promise<string> => {
    alice.echo({ type: "PROPOSAL", to: "@bob", task, ...more })
    const { id } = await bob.waitForLine("PROPOSAL", (line) => line["task"] === task)
    return String(id)
  }

  it("a completed deal gives both parties the same receipt and rating, verified by three programs", async () => {
    const proposal_id = await propose("review src/a.ts")
    bob.echo({ type: "ACCEPT", proposal_id })
    await alice.waitForLine("ACCEPT")
    bob.echo({ type: "COMPLETE", proposal_id, proof: "commit 1a2b3c" })
    await alice.waitForLine("COMPLETE", ({ state }) => state === "completed")
    for (const party of [alice, bob]) {
      const [line] = await party.proven(1)
      expect(JSON.parse(line ?? "")).toMatchObject({
        type: "RECEIPT",
        complete: [{ proof: "commit 1a2b3c" }],
      })
      const ours = await agentchat(party.place, "receipts", "verify", party.receipts)
      expect(ours).toMatchObject({ status: 0 })
      expect(ours.stdout).toContain("completed-by-one")
      expect(ours.stdout).toContain("not checked")
      if (hasPython) expect(verifiedByPython(party.receipts)).toBe(0)
      for (const agent of [alice.id, bob.id]) {
        expect(await must(party.place, "ratings", agent)).toContain("Rating: 1216")
      }
      for (const type of ["PROPOSAL", "ACCEPT", "COMPLETE"]) await party.waitForLine(type)
    }
    expect(readFileSync(alice.receipts)).toEqual(readFileSync(bob.receipts))
  })

  it("a changed receipt is invalid", async () => {
    const proposal_id = await propose("the task", { amount: 0.05, currency: "SOL" })
    bob.echo({ type: "ACCEPT", proposal_id })
    await alice.waitForLine("ACCEPT")
    alice.echo({ type: "COMPLETE", proposal_id })
    const [line = ""] = await bob.proven(1)
    const forged = join(bob.place.dir, "forged.jsonl")
    writeFileSync(forged, `${line.replace('"amount":"0.05"', '"amount":"5000"')}\n`)
    const verdict = await agentchat(bob.place, "receipts", "verify", forged)
    expect(verdict.status).toBe(1)
    expect(verdict.stdout).not.toContain("integrity")
    if (hasPython) expect(verifiedByPython(forged)).toBe(1)
  })

  it("a deal continues after the relay and both daemons were killed", async () => {
    const proposal_id = await propose("survive")
    await relay.kill()
    bob.echo({ type: "ACCEPT", proposal_id })
    await bob.crash(relay.url)
    await relay.restart()
    await alice.waitForLine("ACCEPT")
    await alice.crash(relay.url)
    alice.echo({ type: "COMPLETE", proposal_id })
    await bob.waitForLine("COMPLETE")
    bob.echo({ type: "COMPLETE", proposal_id })
    await alice.waitForLine("COMPLETE", ({ from }) => from === bob.id)
    for (const party of [alice, bob]) {
      await party.proven(2)
      await party.crash(relay.url)
      await until("the daemon is back", () => party.place.status(party.name)?.["connected"] === true)
      const steps = party.place
        .inbox(party.name)
        .filter(({ msg_id, task }) => msg_id !== undefined && (task ?? "survive") === "survive")
      expect(new Set(steps.map(({ msg_id }) => msg_id)).size).toBe(steps.length)
      expect(await party.proven(2)).toHaveLength(2)
      expect(await must(party.place, "receipts", "verify", party.receipts)).toContain("completed-by-both")
      expect(await must(party.place, "proposals", "--name", party.name)).toContain("completed")
    }
  })

  it("an illegal statement is rejected with its code", async () => {
    const proposal_id = await propose("only once")
    alice.echo({ type: "ACCEPT", proposal_id })
    expect(await alice.waitForLine("REJECTED")).toMatchObject({ code: "NOT_A_PARTY" })
    bob.echo({ type: "COMPLETE", proposal_id })
    expect(await bob.waitForLine("REJECTED")).toMatchObject({ code: "PROPOSAL_STATE" })
    bob.echo({ type: "REJECT", proposal_id, reason: "no time" })
    expect(await alice.waitForLine("REJECT")).toMatchObject({ reason: "no time", state: "rejected" })
    bob.echo({ type: "ACCEPT", proposal_id: "prop_unknownunknown0" })
    expect(await bob.waitForLine("REJECTED", ({ code }) => code === "PROPOSAL_NOT_FOUND")).toBeTruthy()
    alice.echo({ type: "PROPOSAL", to: "@bob", task: "" })
    expect(await alice.waitForLine("REJECTED", ({ code }) => code === "INVALID_MSG")).toMatchObject({
      reason: expect.stringContaining("task"),
    })
    expect(existsSync(alice.receipts)).toBe(false)
  })
})
