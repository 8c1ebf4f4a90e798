import { appendFileSync, existsSync, readFileSync, rmSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, expect, it } from "vitest"
import { until } from "../kit/condition.js"
import { RelayProcess, Workspace } from "../kit/program.js"

/** A directory with a daemon for each of the names. */
class Place {
  readonly workspace = new Workspace()
  readonly #home = join(this.workspace.dir, ".agentchat")

  constructor(url: string, ...names: readonly string[]) {
    for (const name of names) this.workspace.must("daemon", url, "--background", "--name", name)
  }

  path(name: string): string {
    return join(this.#home, name)
  }

  read(name: string): string {
    return readFileSync(this.path(name), "utf8")
  }

  idOf(name: string): string {
    return String(this.workspace.status(name)?.["agent_id"])
  }

  ratings(...args: readonly string[]): string {
    return this.workspace.must("ratings", ...args)
  }

  say(name: string, line: object): void {
    appendFileSync(this.workspace.file(name, "outbox.jsonl"), `${JSON.stringify(line)}\n`)
  }

  /** Waits for a statement of a deal in an inbox. @returns the id of the proposal */
  async waitForStatement(name: string, type: string, task: string): Promise<string> {
    const { id, proposal_id } = await until(`${type} for ${name}`, () =>
      this.workspace.inbox(name).find((line) => line.type === type && line["task"] === task),
    )
    return String(type === "PROPOSAL" ? id : proposal_id)
  }

  /** Waits for `count` receipts. */
  async proven(count: number): Promise<void> {
    await until(`${count} receipts`, () => {
      return existsSync(this.path("receipts.jsonl")) && this.read("receipts.jsonl").split("\n").length > count
    })
  }
}

let relay: RelayProcess
let left: Place
let right: Place

beforeEach(async () => {
  relay = await RelayProcess.start("--rate", "1000/s", "--burst", "1000")
  left = new Place(relay.url, "alice")
  right = new Place(relay.url, "bob", "carol")
})
afterEach(async () => {
  left.workspace.dispose()
  right.workspace.dispose()
  await relay.kill()
})

/** Alice proposes a deal to an agent in the other directory, which accepts and completes it. */
async function dealWith(name: string, task: string, more: object = {}): Promise<void> {
  left.say("alice", { type: "PROPOSAL", to: right.idOf(name), task, ...more })
  const proposal_id = await right.waitForStatement(name, "PROPOSAL", task)
  right.say(name, { type: "ACCEPT", proposal_id })
  right.say(name, { type: "COMPLETE", proposal_id })
}

it("two directories compute the same ratings of three agents from receipts alone", {
  timeout: 60_000,
}, async () => {
  await dealWith("bob", "one")
  await right.proven(1)
  await dealWith("bob", "two", { amount: 0.05, currency: "SOL" })
  await right.proven(2)
  await dealWith("carol", "three")
  await Promise.all([left.proven(3), right.proven(3)])
  const [alice, bob, carol] = [left.idOf("alice"), right.idOf("bob"), right.idOf("carol")]

  // 16 points for the first deal of two new agents, a quarter of that for the second.
  expect(left.ratings("--name", "alice")).toMatch(
    new RegExp(`^Your rating \\(${alice}\\):\n {2}Rating: 12\\d\\d\n {2}Transactions: 3\n`),
  )
  expect(right.ratings("--name", "bob")).toContain(
    `Your rating (${bob}):\n  Rating: 1220\n  Transactions: 2\n`,
  )
  expect(left.ratings("@bob")).toBe(right.ratings(bob))
  expect(right.ratings("@alice")).toBe(left.ratings(alice))
  expect(left.ratings("--leaderboard").split("\n").slice(0, 2)).toEqual([
    "Top 10 agents by rating:",
    `  1. ${alice}`,
  ])
  expect(left.ratings("--stats")).toContain("  Agents: 3\n  Deals: 3\n  Completed: 3\n")
  const { deals } = JSON.parse(left.ratings("@bob", "--explain", "--json")) as { deals: unknown[] }
  expect(deals).toMatchObject([
    { with: alice, change: 16, nth_of_pair: 1 },
    { with: alice, change: 4, nth_of_pair: 2 },
  ])

  const document = left.ratings("--export")
  expect(right.ratings("--export")).toBe(document)
  const cache = left.read("ratings.json")
  left.ratings("--recalculate")
  expect(left.read("ratings.json")).toBe(cache)
  rmSync(left.path("ratings.json"))
  expect(left.ratings("--export")).toBe(document)
  expect(left.read("ratings.json")).toBe(cache)

  const [ours, theirs] = [left.path("receipts.jsonl"), right.path("receipts.jsonl")]
  for (const [one, other] of [
    [ours, theirs],
    [theirs, ours],
  ] as const) {
    expect(left.ratings("--export", "--receipts", one, "--receipts", other)).toBe(document)
  }

  right.workspace.must("daemon", "--stop", "--name", "carol")
  right.workspace.must("identity", "--rotate", "--yes", "--name", "carol")
  const rotated = right.ratings("--name", "carol")
  expect(rotated).not.toContain(carol)
  expect(right.ratings(carol)).toBe(rotated.replace("Your rating", "Rating"))
  right.workspace.must("daemon", relay.url, "--background", "--name", "carol")
  await until("carol is back", () => right.workspace.status("carol")?.["connected"] === true)
  await dealWith("carol", "four")
  await right.proven(4)
  // A stranger would have gained 17 again.
  expect(right.ratings(carol)).toContain("  Rating: 1221\n  Transactions: 2\n")
})
