import { mkdirSync } from "node:fs"
import { dirname, join } from "node:path"
import { describe, expect, it } from "vitest"
import { formatJsonLine } from "../../../src/base/visible-text.js"
import { createIdentity } from "../../../src/identity/identity-file.js"
import type { Nick } from "../../../src/protocol/names.js"
import { CommandRoom } from "../../kit/command-room.js"
import { startTs } from "../../kit/deals.js"
import { agent, completed, dealBetween, lineOf } from "./receipts.js"

const [ann, bob, cat, dan] = [agent(21), agent(22), agent(23), agent(24)]

/** Deals of Ann with Bob and Cat, and two deals of Cat with Dan. */
const receipts = [
  completed(ann, bob, 1),
  completed(ann, cat, 2, { amount: "9", currency: "SOL" }),
  completed(cat, dan, 3),
  completed(dan, cat, 4),
].join("")

function roomWith(text = receipts): CommandRoom {
  const room = new CommandRoom()
  room.write("receipts.jsonl", text)
  return room
}

/** A room whose own identity has a deal with Ann. */
function roomOfOne(place = "identity.json") {
  const room = new CommandRoom()
  mkdirSync(dirname(room.path(place)), { recursive: true })
  const { keyPair, agentId, did } = createIdentity(room.path(place))
  room.write("receipts.jsonl", completed(keyPair, ann, 1))
  return { room, agentId, did }
}

/** Writes proposals.jsonl of a daemon with an accepted proposal of Ann to Bob. @param names - by did:key */
function log(room: CommandRoom, daemon: string, names: Readonly<Record<string, string>>): void {
  const entries = dealBetween(ann, bob, 1, []).chain.map((statement, i) => {
    return formatJsonLine({ n: i + 1, name: names[statement.from], statement })
  })
  mkdirSync(room.path(join("daemons", daemon)), { recursive: true })
  room.write(join("daemons", daemon, "proposals.jsonl"), `${entries.join("\n")}\n`)
}

const isoOf = (minutes: number, seconds: number) =>
  new Date(startTs + minutes * 60_000 + seconds * 1_000).toISOString()

describe("agentchat ratings", () => {
  it("shows the rating of the user's identity", async () => {
    const { room, agentId, did } = roomOfOne()
    const expected = [
      `Your rating (${agentId}):`,
      "  Rating: 1216",
      "  Transactions: 1",
      `  Last updated: ${isoOf(1, 2)}`,
      "  K-factor: 32",
      "",
    ].join("\n")
    // First without the cache, then with it.
    expect((await room.ratings()).out).toBe(expected)
    expect((await room.ratings()).out).toBe(expected)
    expect(JSON.parse((await room.ratings("--json")).out)).toEqual({
      ok: true,
      agent_id: agentId,
      did,
      rating: 1216,
      transactions: 1,
      updated: isoOf(1, 2),
      k_factor: 32,
    })
  })

  it("starts every agent at 1200", async () => {
    const room = new CommandRoom()
    const { agentId } = createIdentity(room.path("identity.json"))
    expect((await room.ratings()).out).toBe(
      `Your rating (${agentId}):\n  Rating: 1200\n  Transactions: 0\n  Last updated: never\n  K-factor: 32\n`,
    )
    expect(room.has("ratings.json")).toBe(false)
    expect((await room.ratings(ann.id)).out).toContain(`Rating (${ann.id}):\n  Rating: 1200\n`)
  })

  it("uses the identity of a daemon, and of a file", async () => {
    const { room, agentId } = roomOfOne("daemons/bob/identity.json")
    expect((await room.ratings("--name", "bob")).out).toContain(`Your rating (${agentId}):\n  Rating: 1216`)
    const file = room.path("daemons/bob/identity.json")
    expect((await room.ratings("--identity", file)).out).toContain(`(${agentId}):\n  Rating: 1216`)
    expect(await room.ratings()).toMatchObject({ status: 3, out: "" })
  })

  it("finds an agent by its id or the start of it", async () => {
    const room = roomWith()
    for (const ref of [bob.id, bob.id.slice(0, 9)]) {
      expect((await room.ratings(ref)).out).toContain(`Rating (${bob.id}):\n  Rating: 1216`)
    }
    expect(await room.ratings("@nobody")).toMatchObject({ status: 3 })
  })

  it("finds an agent by its name in a deal of any daemon here", async () => {
    const room = roomWith()
    log(room, "default", { [ann.did]: "ann", [bob.did]: "robert" })
    log(room, "other", { [ann.did]: "ann", [bob.did]: "bobby" })
    for (const ref of ["@robert", "@bobby"]) {
      expect((await room.ratings(ref)).out).toContain(`Rating (${bob.id}):\n  Rating: 1216`)
    }
    expect((await room.ratings("@alice")).status).toBe(3)
  })

  it("finds an agent without receipts, and reports an ambiguous name", async () => {
    const room = roomWith(completed(ann, cat, 2))
    log(room, "default", { [ann.did]: "twin", [bob.did]: "bob" })
    expect((await room.ratings("@bob")).out).toContain(`Rating (${bob.id}):\n  Rating: 1200`)
    log(room, "other", { [ann.did]: "ann", [bob.did]: "twin" })
    const { status, out } = await room.ratings("@twin", "--json")
    expect(status).not.toBe(0)
    expect(out).toContain(ann.id)
    expect(out).toContain(bob.id)
  })

  it("finds daemons of this directory by name and by nick", async () => {
    const { room, agentId } = roomOfOne("daemons/worker/identity.json")
    const other = createIdentity(room.path("identity.json"), { nick: "reviewer" as Nick })
    mkdirSync(room.path("daemons/default"))
    expect((await room.ratings("@worker")).out).toContain(`Rating (${agentId}):\n  Rating: 1216`)
    expect((await room.ratings("@reviewer")).out).toContain(`Rating (${other.agentId}):\n  Rating: 1200`)
  })

  it("finds an agent with only an unrated deal, with and without the cache", async () => {
    const room = roomWith(lineOf(dealBetween(ann, dan, 7, [["DISPUTE", ann]])))
    const cold = await room.ratings(dan.id.slice(0, 9))
    expect(cold.out).toContain(`Rating (${dan.id}):\n  Rating: 1200`)
    expect(await room.ratings(dan.id.slice(0, 9))).toEqual(cold)
  })

  it("lists the highest ratings", async () => {
    const room = roomWith()
    const { out } = await room.ratings("--leaderboard")
    const [heading, ...rows] = out.trimEnd().split("\n")
    expect(heading).toBe("Top 10 agents by rating:")
    expect(rows[0]).toBe(`  1. ${cat.id}`)
    expect(rows[1]).toMatch(/^ {5}Rating: 12\d\d \| Transactions: 3$/)
    expect(rows).toHaveLength(8)
    const three = (await room.ratings("--leaderboard", "3")).out.trimEnd().split("\n")
    expect(three).toEqual(["Top 3 agents by rating:", ...rows.slice(0, 6)])
    const { agents } = JSON.parse((await room.ratings("--leaderboard", "2", "--json")).out) as {
      agents: unknown[]
    }
    expect(agents).toHaveLength(2)
    expect((await new CommandRoom().ratings("--leaderboard")).out).toContain("none yet")
  })

  it("shows statistics", async () => {
    const unresolved = lineOf(dealBetween(ann, dan, 7, [["DISPUTE", ann]]))
    const agreed = lineOf(
      dealBetween(bob, dan, 8, [
        ["DISPUTE", bob, { fault: "other" }],
        ["DISPUTE", dan, { fault: "self" }],
      ]),
    )
    const { out } = await roomWith(receipts + unresolved + agreed).ratings("--stats", "--json")
    expect(JSON.parse(out)).toMatchObject({
      ok: true,
      agents: 4,
      deals: 6,
      completed: 4,
      disputed: 1,
      unresolved: 1,
    })
    expect((await roomWith().ratings("--stats")).out).toMatch(
      /^Rating statistics:\n {2}Agents: 4\n {2}Deals: 4\n/,
    )
  })

  it("lists the receipts that changed a rating, and by how much", async () => {
    const unresolved = lineOf(dealBetween(ann, dan, 7, [["DISPUTE", ann]]))
    const agreed = lineOf(
      dealBetween(bob, ann, 8, [
        ["DISPUTE", bob, { fault: "other" }],
        ["DISPUTE", ann, { fault: "self" }],
      ]),
    )
    const room = roomWith(receipts + unresolved + agreed)
    const { out } = await room.ratings(ann.id, "--explain", "--json")
    const { rating, deals } = JSON.parse(out) as {
      rating: number
      deals: { change: number; outcome: string; with: string }[]
    }
    expect(deals.map((deal) => [deal.with, deal.outcome])).toEqual([
      [bob.id, "completed"],
      [cat.id, "completed"],
      [dan.id, "disputed, unresolved"],
      [bob.id, "disputed, at fault"],
    ])
    expect(deals.reduce((sum, { change }) => sum + change, 1200)).toBe(rating)
    expect(deals[0]).toMatchObject({
      before: 1200,
      after: 1216,
      k: 32,
      weight: 1,
      expected: 0.5,
      nth_of_pair: 1,
    })
    const text = (await room.ratings(ann.id, "--explain")).out
    expect(text).toMatch(/\+16 +1200 → 1216 .*completed +prop_0001 +K 32, weight 1\.00, expected 0\.50\n/)
    expect(text).toMatch(/disputed, unresolved +prop_0007 +no fault agreed on/)
    expect(text).toContain("deal 2 of the pair")
  })

  it("weighs gains by trust with --trusting", async () => {
    const room = roomWith([completed(ann, bob, 1), completed(cat, dan, 3)].join(""))
    const seen = JSON.parse((await room.ratings("--export", "--trusting", ann.id)).out) as {
      ratings: { agent_id: string; rating: number; trust: number }[]
    }
    const byId = new Map(seen.ratings.map((item) => [item.agent_id, item]))
    expect(byId.get(bob.id)).toMatchObject({ rating: 1216 })
    expect(byId.get(cat.id)).toMatchObject({ rating: 1200, trust: 0 })
    expect((await room.ratings(dan.id, "--trusting", `${ann.id},${bob.id}`)).out).toContain("  Trust: 0.00\n")
    expect((await room.ratings(dan.id, "--trusting", ann.id, "--explain")).out).toContain("trust 0.00")
    expect(await room.ratings("--stats", "--trusting", "@0123456789abcdef")).toMatchObject({ status: 3 })
  })

  it.each([
    [["--stats", "--leaderboard"], /mutually exclusive/],
    [["--export", "@bob"], /covers all agents/],
    [["--stats", "--explain"], /covers all agents/],
    [["--stats", "--name", "bob"], /covers all agents/],
    [["--leaderboard", "0"], /not a whole number/],
    [["--leaderboard", "@bob"], /not a whole number/],
    [["--trusting", "bob"], /@ and a name/],
  ])("rejects %j", async (args, err) => {
    const answer = await roomWith().ratings(...args)
    expect(answer.status).toBe(2)
    expect(answer.err).toMatch(err)
  })

  it("names a missing file", async () => {
    expect(await roomWith().ratings("--stats", "--receipts", "nowhere.jsonl")).toMatchObject({ status: 3 })
  })
})
