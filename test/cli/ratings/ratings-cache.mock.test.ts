import { mkdirSync, rmSync, statSync, utimesSync } from "node:fs"
import { afterEach, describe, expect, it, vi } from "vitest"
import { signRevocation } from "../../../src/identity/succession.js"
import * as verdict from "../../../src/proposals/receipt-check.js"
import { CommandRoom } from "../../kit/command-room.js"
import { startTs } from "../../kit/deals.js"
import { agent, completed, dealBetween, lineOf } from "./receipts.js"

vi.mock("../../../src/proposals/receipt-check.js", { spy: true })
const judged = vi.mocked(verdict.checkReceipt)

const [ann, bob, cat] = [agent(11), agent(12), agent(13)]
const lines = [
  completed(ann, bob, 1),
  completed(bob, cat, 2, { amount: "50", currency: "USDC" }),
  completed(cat, ann, 3),
]
const later = completed(ann, bob, 9)

/** A room with receipts that were rated once, and the resulting ratings. */
async function ratedRoom(text = lines.join("")) {
  const room = new CommandRoom()
  room.write("receipts.jsonl", text)
  const document = await room.export()
  judged.mockClear()
  return { room, document, cache: room.read("ratings.json") }
}

/** Computes the ratings of the same receipts without a cache. */
async function afresh(text: string): Promise<string> {
  const room = new CommandRoom()
  room.write("receipts.jsonl", text)
  const document = await room.export()
  judged.mockClear()
  return document
}

afterEach(() => judged.mockClear())

describe("ratings.json", () => {
  it("ratings.json is readable by its owner only, and answers without verifying receipts", async () => {
    const { room, document } = await ratedRoom()
    expect(statSync(room.path("ratings.json")).mode & 0o777).toBe(0o600)
    expect(await room.export()).toBe(document)
    expect((await room.ratings("--leaderboard")).out).toContain(ann.id)
    expect(judged).not.toHaveBeenCalled()
  })

  it("a deleted ratings.json is written again with the same bytes", async () => {
    const { room, document, cache } = await ratedRoom()
    room.remove("ratings.json")
    expect(await room.export()).toBe(document)
    expect(room.read("ratings.json")).toBe(cache)
  })

  it("--recalculate verifies every receipt and writes the same bytes", async () => {
    const { room, cache } = await ratedRoom()
    const { out } = await room.ratings("--recalculate")
    expect(out).toContain("  Deals: 3\n")
    expect(judged).toHaveBeenCalledTimes(3)
    expect(room.read("ratings.json")).toBe(cache)
  })

  it("a new receipt updates ratings.json, and is the only one verified", async () => {
    const { room } = await ratedRoom()
    room.append("receipts.jsonl", later)
    expect(await room.export()).toBe(await afresh(lines.join("") + later))
    room.append("receipts.jsonl", completed(bob, ann, 4))
    await room.export()
    expect(judged).toHaveBeenCalledTimes(1)
    const grown = room.read("ratings.json")
    await room.ratings("--recalculate")
    expect(room.read("ratings.json")).toBe(grown)
  })

  it("an older receipt is inserted at its time", async () => {
    const { room } = await ratedRoom(later)
    room.append("receipts.jsonl", lines.join(""))
    expect(await room.export()).toBe(await afresh(lines.join("") + later))
  })

  it("ratings.json is ignored if the receipts shrink", async () => {
    const { room } = await ratedRoom()
    room.write("receipts.jsonl", lines.slice(1).join(""))
    expect(await room.export()).toBe(await afresh(lines.slice(1).join("")))
    room.write("receipts.jsonl", lines.slice(1, 2).join(""))
    expect(await room.export()).toBe(await afresh(lines[1] ?? ""))
  })

  it("ratings.json is ignored if receipts change, even with the same size and time", async () => {
    const { room } = await ratedRoom()
    const { atime, mtime, size } = statSync(room.path("receipts.jsonl"))
    const [first = "", ...others] = lines
    room.write("receipts.jsonl", first.replace("echo hello", "echo hullo") + others.join(""))
    utimesSync(room.path("receipts.jsonl"), atime, mtime)
    expect(statSync(room.path("receipts.jsonl")).size).toBe(size)
    const { out, err } = await room.ratings("--export")
    expect(judged).toHaveBeenCalledTimes(3)
    expect(err).toMatch(/receipts\.jsonl: line 1 is invalid/)
    expect(out).toBe(await afresh(others.join("")))
  })

  it("ratings.json is not used without receipts", async () => {
    const { room } = await ratedRoom()
    room.remove("receipts.jsonl")
    expect(JSON.parse(await room.export())).toEqual({ v: 1, ratings: [] })
  })

  it.each<[string, (text: string) => string]>([
    ["empty", () => ""],
    ["garbage", () => "garbage\n"],
    ["of an older version", (text) => text.replace('{"v":2', '{"v":1')],
    ["cut off", (text) => text.slice(0, -20)],
    ["longer than it was", (text) => `${text}x`],
    ["changed in a rating", (text) => text.replace(/,1(\d{3}),/, ",2$1,")],
    ["changed in its source", (text) => text.replace('"receipts":"', '"receipts":"1')],
    ["changed in its sum", (text) => text.replace(/"sum":"./, '"sum":"g')],
    ["without an end of its first line", (text) => text.replaceAll("\n", " ")],
  ])("ratings.json is computed again if it is %s", async (_, damage) => {
    const { room, document, cache } = await ratedRoom()
    expect(damage(cache)).not.toBe(cache)
    room.write("ratings.json", damage(cache))
    expect(await room.export()).toBe(document)
    expect(judged).toHaveBeenCalledTimes(3)
    expect(room.read("ratings.json")).toBe(cache)
  })

  it("damaged facts in ratings.json are computed again once they are needed", async () => {
    const { room, cache } = await ratedRoom()
    const at = cache.lastIndexOf('"completed"')
    room.write("ratings.json", `${cache.slice(0, at)}"somewhere"${cache.slice(at + 11)}`)
    const { out } = await room.ratings(ann.id, "--explain")
    expect(judged).toHaveBeenCalledTimes(3)
    expect(out).toContain("completed")
    expect(out).not.toContain("somewhere")
  })

  it("skips a line that is still being written, and reports it", async () => {
    const { room, document } = await ratedRoom()
    room.append("receipts.jsonl", later.slice(0, 100))
    const torn = await room.ratings("--export")
    expect(torn.out).toBe(document)
    expect(torn.err).toContain("the last line is incomplete")
    expect((await room.ratings("--export")).err).toContain("the last line is incomplete")
    room.append("receipts.jsonl", later.slice(100))
    expect(await room.ratings("--export")).toMatchObject({
      out: await afresh(lines.join("") + later),
      err: "",
    })
  })

  it("a ratings.json of the first AgentChat stays as it is, and the answer is printed", async () => {
    const { room, document } = await ratedRoom()
    const foreign = JSON.stringify({ "@361d642d60ecf1bb": { rating: 1300, transactions: 4 } }, null, 2)
    room.write("ratings.json", foreign)
    const { status, out, err } = await room.ratings("--export")
    expect({ status, out }).toEqual({ status: 0, out: document })
    expect(err).toMatch(/ratings\.json: was written by another program, and stays as it is/)
    expect(room.read("ratings.json")).toBe(foreign)
  })

  it("an unwritable ratings.json is reported, and the answer printed", async () => {
    const { room, document } = await ratedRoom()
    rmSync(room.path("ratings.json"))
    mkdirSync(room.path("ratings.json"))
    const { status, out, err } = await room.ratings("--export")
    expect({ status, out }).toEqual({ status: 0, out: document })
    expect(err).toMatch(/ratings\.json: cannot be written \(E\w+\)/)
  })
})

describe("rating receipts", () => {
  it.each<[string, string]>([
    ["changed in its amount", (lines[1] ?? "").replace('"50"', '"51"')],
    ["signed by another key", (lines[1] ?? "").replaceAll(bob.did, ann.did)],
    ["without its COMPLETE", JSON.stringify({ ...JSON.parse(lines[1] ?? ""), complete: [] })],
    ["no JSON", "{"],
    ["no receipt", '{"type":"MSG"}'],
  ])("skips a receipt that is %s, and keeps the count of invalid lines", async (_, forged) => {
    const room = new CommandRoom()
    room.write("receipts.jsonl", `${lines[0]}${forged.trimEnd()}\n\n${lines[2]}`)
    for (let turn = 0; turn < 2; turn++) {
      const { out, err } = await room.ratings("--export")
      expect(out).toBe(await afresh(`${lines[0]}${lines[2]}`))
      expect(err).toContain("line 2 ")
    }
  })

  it("reports the first line numbers of many invalid lines", async () => {
    const room = new CommandRoom()
    room.write("receipts.jsonl", "x\n".repeat(9))
    room.append("receipts.jsonl", lines.join(""))
    expect((await room.ratings("--stats")).err).toContain("lines 1, 2, 3, 4, 5 and 4 more are invalid")
  })

  it("counts a deal once, by its longest receipt", async () => {
    const steps = [["COMPLETE", bob]] as const
    const early = dealBetween(ann, bob, 1, steps)
    const disputed = dealBetween(ann, bob, 1, [
      ...steps,
      ["DISPUTE", ann],
      ["DISPUTE", bob, { fault: "self" }],
    ])
    const agreed = dealBetween(ann, bob, 1, [
      ...steps,
      ["DISPUTE", ann, { fault: "other" }],
      ["DISPUTE", bob, { fault: "self" }],
    ])
    const ratingsOf = async (...deals: Parameters<typeof lineOf>[0][]) => {
      const text = await afresh(deals.map(lineOf).join(""))
      const { ratings } = JSON.parse(text) as { ratings: { agent_id: string; rating: number }[] }
      return Object.fromEntries(ratings.map(({ agent_id, rating }) => [agent_id, rating]))
    }
    expect(await ratingsOf(early, early)).toEqual({ [ann.id]: 1216, [bob.id]: 1216 })
    expect(await ratingsOf(early, disputed)).toEqual({})
    expect(await ratingsOf(agreed, early)).toEqual({ [ann.id]: 1216, [bob.id]: 1184 })
  })

  it("skips what a key signed after its end, if the receipts include the statement", async () => {
    const revocation = `${JSON.stringify(signRevocation(cat, startTs + 150_000))}\n`
    const { room } = await ratedRoom()
    room.append("receipts.jsonl", revocation)
    expect(await room.ratings("--export")).toMatchObject({
      out: await afresh(lines.slice(0, 2).join("")),
      err: "1 receipt does not count: signed after the key was rotated or revoked\n",
    })
  })

  it("two files of receipts give the same ratings in either order", async () => {
    const room = new CommandRoom()
    room.write("one.jsonl", `${lines[2]}${lines[0]}`)
    room.write("other.jsonl", (lines[1] ?? "") + (lines[0] ?? "").trimEnd())
    const [one, other] = [room.path("one.jsonl"), room.path("other.jsonl")]
    const expected = await afresh(lines.join(""))
    expect(await room.export("--receipts", one, "--receipts", other)).toBe(expected)
    expect(await room.export("--receipts", other, "--receipts", one)).toBe(expected)
    expect(room.has("ratings.json")).toBe(false)
  })
})
