import { appendFileSync, existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { type LoggedDeal, readDealLog } from "../../src/daemon/deal-log.js"
import { dealOf } from "../../src/proposals/deal.js"
import { formatReceipt, parseReceipt, receiptOf } from "../../src/proposals/receipt.js"
import { verifyStatement } from "../../src/proposals/statement.js"
import { judgeReceipt } from "../../src/proposals/verdict.js"
import { isVerb } from "../../src/protocol/verbs.js"
import type { Workspace } from "./program.js"

/** What is said in a deal after its PROPOSAL, by its proposer (0) or its recipient (1). A refused word has a code. */
interface Word {
  readonly by: 0 | 1
  readonly type: "ACCEPT" | "REJECT" | "COMPLETE" | "DISPUTE"
  readonly code?: string
  /** Said together with the word before, not after it was heard of. */
  readonly together?: true
}

const courses: readonly (readonly Word[])[] = [
  [
    { by: 1, type: "REJECT" },
    { by: 0, type: "COMPLETE", code: "PROPOSAL_STATE" },
  ],
  [
    { by: 0, type: "ACCEPT", code: "NOT_A_PARTY" },
    { by: 1, type: "ACCEPT" },
  ],
  [
    { by: 1, type: "ACCEPT" },
    { by: 1, type: "COMPLETE" },
  ],
  [
    { by: 1, type: "ACCEPT" },
    { by: 0, type: "COMPLETE" },
    { by: 1, type: "COMPLETE", together: true },
  ],
  [
    { by: 1, type: "ACCEPT" },
    { by: 0, type: "DISPUTE" },
    { by: 1, type: "DISPUTE", together: true },
  ],
  [
    { by: 1, type: "ACCEPT" },
    { by: 1, type: "COMPLETE" },
    { by: 0, type: "DISPUTE" },
  ],
]

/** An agent of the storm; of it only the files of its daemon are known. */
export interface StormParty {
  readonly name: string
  readonly place: Workspace
}

/** A deal as it is planned, and how far it is. */
export class PlannedDeal {
  readonly #task: string
  readonly #parties: readonly [StormParty, StormParty]
  readonly #course: readonly Word[]
  #said = 0

  constructor(task: string, parties: readonly [StormParty, StormParty], course: readonly Word[]) {
    this.#task = task
    this.#parties = parties
    this.#course = course
  }

  /** Says what is next once the word before it was heard of by both. @returns whether all was said and settled */
  step(): boolean {
    const id = this.#id()
    if (this.#said > 0 && (id === undefined || !this.#isSettled())) return false
    if (this.#said === 0) {
      const line = { id: this.#task, type: "PROPOSAL", to: `@${this.#parties[1].name}`, task: this.#task }
      say(this.#parties[0], line)
      this.#said = 1
      return false
    }
    do {
      const word = this.#course[this.#said - 1]
      if (word === undefined) return true
      const line = { id: `${this.#task}-${this.#said}`, type: word.type, proposal_id: id }
      say(this.#parties[word.by], { ...line, ...(word.type === "DISPUTE" ? { reason: "not done" } : {}) })
      this.#said++
    } while (this.#course[this.#said - 1]?.together === true)
    return false
  }

  /** What the files say otherwise than they should. */
  faults(): string[] {
    const faults: string[] = []
    const logs = this.#parties.map((party) => dealsOf(party).find(({ deal }) => deal.id === this.#id())?.deal)
    const spoken = [
      "PROPOSAL",
      ...this.#course.filter(({ code }) => code === undefined).map(({ type }) => type),
    ]
    for (const deal of logs) {
      const types = deal?.chain.map(({ type }) => type)
      if (String(types) !== String(spoken))
        faults.push(`${this.#task} is ${String(types)}, not ${String(spoken)}`)
      deal?.chain.forEach(verifyStatement)
    }
    if (JSON.stringify(logs[0]?.chain) !== JSON.stringify(logs[1]?.chain)) {
      faults.push(`${this.#task}: its parties hold different chains`)
    }
    for (const [index, code] of [undefined, ...this.#course.map((word) => word.code)].entries()) {
      faults.push(...this.#faultsOfLine(index, code))
    }
    return faults
  }

  /** Each line has the one outcome it should have. */
  #faultsOfLine(index: number, code: string | undefined): string[] {
    const { id, party } = this.#line(index)
    const accepted = jsonLines(party.place.file(party.name, "acks.jsonl")).filter(
      (ack) => ack["id"] === id && ack["state"] === "accepted",
    ).length
    const codes = jsonLines(party.place.file(party.name, "rejected.jsonl"))
      .filter((line) => line["id"] === id)
      .map((line) => line["code"])
    const wanted = code === undefined ? [] : [code]
    if (String(codes) === String(wanted) && accepted === 1 - wanted.length) return []
    return [`${id}: accepted ${accepted} times, rejected as ${String(codes)}`]
  }

  #line(index: number): { id: string; party: StormParty } {
    const by = index === 0 ? 0 : (this.#course[index - 1]?.by ?? 0)
    return { id: index === 0 ? this.#task : `${this.#task}-${index}`, party: this.#parties[by] }
  }

  #id(): string | undefined {
    return dealsOf(this.#parties[1]).find(({ deal }) => deal.chain[0].task === this.#task)?.deal.id
  }

  #isSettled(): boolean {
    const wanted = 1 + this.#course.slice(0, this.#said - 1).filter(({ code }) => code === undefined).length
    const heard = this.#parties.every((party) => {
      const deal = dealsOf(party).find(({ deal }) => deal.chain[0].task === this.#task)?.deal
      return (deal?.chain.length ?? 0) >= wanted
    })
    return heard && Array.from({ length: this.#said }, (_, i) => this.#line(i)).every(hasOutcome)
  }
}

/** Deals between any two of the parties; the same for the same seed. */
export function planDeals(
  count: number,
  parties: readonly StormParty[],
  random: () => number,
): PlannedDeal[] {
  return Array.from({ length: count }, (_, index) => {
    const first = Math.floor(random() * parties.length)
    const second = (first + 1 + Math.floor(random() * (parties.length - 1))) % parties.length
    const pair = [parties[first], parties[second]] as [StormParty, StormParty]
    return new PlannedDeal(`d${index}`, pair, courses[Math.floor(random() * courses.length)] ?? [])
  })
}

/** What the inbox of a party says otherwise than its proposals.jsonl. */
export function inboxFaults({ name, place }: StormParty): string[] {
  const lines = place.inbox(name)
  const order = lines.every(({ seq }, index) => seq === index + 1)
    ? []
    : [`the inbox of ${name} is out of order`]
  const told = lines.filter(({ type }) => isVerb(type))
  const known = dealsOf({ name, place }).flatMap(({ deal }) => deal.chain)
  const ids = new Set(told.map((line) => String(line["msg_id"])))
  const isEqual = ids.size === told.length && ids.size === known.length
  const refusals = lines
    .filter(({ type }) => type === "NOTICE")
    .map((line) => `${name}: ${String(line["message"])}`)
  return [
    ...order,
    ...refusals.filter((line) => line.includes("refused")),
    ...(isEqual ? [] : [`${name} is told ${told.length} steps, ${ids.size} different, of ${known.length}`]),
  ]
}

/** What receipts.jsonl of a home says otherwise than the deals of its daemons. */
export function receiptFaults(place: Workspace, names: readonly string[]): string[] {
  const path = join(place.dir, ".agentchat", "receipts.jsonl")
  const text = existsSync(path) ? readFileSync(path, "utf8") : ""
  const lines = text.split("\n").slice(0, -1)
  const wanted = new Set(
    names
      .flatMap((name) => dealsOf({ name, place }))
      .flatMap(({ deal: { chain } }) =>
        chain.flatMap((_, index) => {
          const receipt = receiptOf(dealOf(chain.slice(0, index + 1)))
          return receipt === undefined ? [] : [formatReceipt(receipt)]
        }),
      ),
  )
  const faults = text === "" || text.endsWith("\n") ? [] : ["receipts.jsonl ends in the middle of a line"]
  if (lines.length !== new Set(lines).size) faults.push("a receipt stands twice")
  for (const line of lines) {
    if (!wanted.has(line)) faults.push(`not wanted: ${line.slice(0, 200)}`)
    else if (judgeReceipt(parseReceipt(line)).status !== "valid")
      faults.push(`invalid: ${line.slice(0, 200)}`)
    wanted.delete(line)
  }
  return [...faults, ...Array.from(wanted, (line) => `missing: ${line.slice(0, 200)}`)]
}

/** The deals in proposals.jsonl of a party. */
export function dealsOf({ name, place }: StormParty): LoggedDeal[] {
  const path = place.file(name, "proposals.jsonl")
  return existsSync(path) ? readDealLog(path) : []
}

function hasOutcome({ id, party: { name, place } }: { id: string; party: StormParty }): boolean {
  const isOf = (line: Readonly<Record<string, unknown>>) => line["id"] === id
  return (
    jsonLines(place.file(name, "acks.jsonl")).some(isOf) ||
    jsonLines(place.file(name, "rejected.jsonl")).some(isOf)
  )
}

function say({ name, place }: StormParty, line: object): void {
  appendFileSync(place.file(name, "outbox.jsonl"), `${JSON.stringify(line)}\n`)
}

/** The whole lines of a file that somebody may be writing to. */
function jsonLines(path: string): Readonly<Record<string, unknown>>[] {
  const text = existsSync(path) ? readFileSync(path, "utf8") : ""
  const lines = text.slice(0, text.lastIndexOf("\n") + 1).split("\n")
  return lines.filter((line) => line !== "").map((line) => JSON.parse(line) as Record<string, unknown>)
}
