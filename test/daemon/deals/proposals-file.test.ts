import { constants } from "node:buffer"
import { appendFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { isOver, ProposalsFile, readDealLog } from "../../../src/daemon/deals/proposals-file.js"
import { advanceDeal, type Deal, openDeal } from "../../../src/proposals/deal.js"
import type { Verb } from "../../../src/protocol/verbs.js"
import { alice, answer, bob, propose, startTs } from "../../kit/deals.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const day = 86_400_000
const place = () => join(temporaryDirectory(), "proposals.jsonl")

/** A deal after these steps, of Bob first and then by turns. */
function dealAfter(id: string, ...verbs: Exclude<Verb, "PROPOSAL">[]): Deal {
  return verbs.reduce(
    (deal, verb, index) => advanceDeal(deal, answer(deal, verb, index % 2 === 0 ? bob : alice)),
    openDeal(propose({ id })),
  )
}

const statementsOf = ({ chain }: Deal) => chain.map((statement) => ({ name: "x", statement }))
const ids = (path: string) => readDealLog(path).map(({ deal }) => deal.id)

describe("proposals.jsonl", () => {
  it("returns the deals in the order of their proposals, with names", () => {
    const path = place()
    const { file } = ProposalsFile.open(path, 0, startTs)
    const [first, second] = [dealAfter("prop_0001", "ACCEPT"), dealAfter("prop_0002")]
    file.append(statementsOf(first).slice(0, 1))
    file.append([{ name: "bob\u202e", statement: second.chain[0] }])
    file.append([{ name: "robert", statement: first.chain[1] ?? first.chain[0] }])
    const found = readDealLog(path)
    expect(found.map(({ deal }) => deal)).toEqual([first, second])
    expect([...(found[0]?.names.values() ?? [])]).toEqual(["x", "robert"])
    expect([...(found[1]?.names.values() ?? [])]).toEqual(["bob\u202e"])
    expect(readFileSync(path, "utf8")).not.toContain("\u202e")
    expect(found.map(({ entries }) => entries.map(({ n }) => n))).toEqual([[1, 3], [2]])
  })

  it("is empty if it does not exist, and cannot be read if it is a directory", () => {
    expect(readDealLog(place())).toEqual([])
    expect(() => readDealLog(temporaryDirectory())).toThrow(expect.objectContaining({ code: "FILE_FAILED" }))
  })

  it("can be larger than a string, and skips a line that is too long", () => {
    const path = place()
    const { file } = ProposalsFile.open(path, 0, startTs)
    file.append(statementsOf(dealAfter("prop_0001")))
    const size = constants.MAX_STRING_LENGTH + 1
    truncateSync(path, size)
    appendFileSync(path, "\n")
    ProposalsFile.open(path, 1, startTs).file.append(statementsOf(dealAfter("prop_0002", "ACCEPT")))
    expect(ids(path)).toEqual(["prop_0001", "prop_0002"])
  })

  it("never uses a number twice, also after its statement was deleted", () => {
    const path = place()
    ProposalsFile.open(path, 0, startTs).file.append(statementsOf(dealAfter("prop_0001", "REJECT")))
    const { file, deals } = ProposalsFile.open(path, 2, startTs + 400 * day)
    expect(deals).toEqual([])
    expect(readFileSync(path, "utf8")).toBe("")
    expect(file.append(statementsOf(dealAfter("prop_0002")))).toEqual([3])
  })

  it("removes a partial line before the next one", () => {
    const path = place()
    ProposalsFile.open(path, 0, startTs).file.append(statementsOf(dealAfter("prop_0001")))
    writeFileSync(path, `${readFileSync(path, "utf8")}{"n":2,"name":"x","statem`)
    const { file } = ProposalsFile.open(path, 0, startTs)
    file.append(statementsOf(dealAfter("prop_0002")))
    expect(ids(path)).toEqual(["prop_0001", "prop_0002"])
  })

  it.each<[string, Exclude<Verb, "PROPOSAL">[], number]>([
    ["one that nobody answered", [], 31],
    ["a rejected one", ["REJECT"], 31],
    ["a completed one", ["ACCEPT", "COMPLETE"], 31],
    ["a disputed one", ["ACCEPT", "DISPUTE"], 31],
    ["an accepted one, kept for a year", ["ACCEPT"], 396],
  ])("keeps a deal for 30 days after its end: %s", (_name, verbs, days) => {
    const deal = dealAfter("prop_0001", ...verbs)
    expect(isOver(deal, startTs + (days - 2) * day)).toBe(false)
    expect(isOver(deal, startTs + days * day)).toBe(true)
  })

  it("keeps a deal whose proposal could be replayed and accepted again", () => {
    const proposal = propose({ id: "prop_0001", expires: 100 * 86_400 })
    const open = openDeal(proposal)
    const rejected = advanceDeal(open, answer(open, "REJECT", bob))
    expect(isOver(rejected, startTs + 120 * day)).toBe(false)
    expect(isOver(rejected, startTs + 131 * day)).toBe(true)
  })
})
