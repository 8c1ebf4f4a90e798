import { appendFileSync } from "node:fs"
import { GrowingLines } from "./growing-lines.js"
import type { Workspace } from "./program.js"

/** A deal that a party knows. */
interface KnownDeal {
  readonly id: string
  /** Number of statements in the chain. */
  length: number
}

/** Outcome of an outbox line. */
interface LineEnd {
  accepted: number
  readonly codes: string[]
}

/** An agent, as seen through the files of its daemon. */
export class DealParty {
  readonly name: string
  readonly place: Workspace
  readonly #statements: GrowingLines
  readonly #acks: GrowingLines
  readonly #rejected: GrowingLines
  readonly #byTask = new Map<string, KnownDeal>()
  readonly #byId = new Map<string, KnownDeal>()
  readonly #ends = new Map<string, LineEnd>()

  constructor(name: string, place: Workspace) {
    this.name = name
    this.place = place
    this.#statements = new GrowingLines(this.file("proposals.jsonl"))
    this.#acks = new GrowingLines(this.file("acks.jsonl"))
    this.#rejected = new GrowingLines(this.file("rejected.jsonl"))
  }

  /** Returns the path of a file of the daemon. */
  file(name: string): string {
    return this.place.file(this.name, name)
  }

  /** Appends lines to the outbox at once. */
  say(...lines: readonly object[]): void {
    appendFileSync(this.file("outbox.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""))
  }

  /** Returns the deal with this task, which identifies it within a test. */
  findDeal(task: string): KnownDeal | undefined {
    for (const { statement } of this.#statements.read()) {
      const { type, id, proposal_id, task: proposedTask } = statement as Readonly<Record<string, string>>
      if (type === "PROPOSAL" && id !== undefined && proposedTask !== undefined) {
        const deal = { id, length: 1 }
        this.#byTask.set(proposedTask, deal)
        this.#byId.set(id, deal)
      } else {
        const deal = this.#byId.get(String(proposal_id))
        if (deal !== undefined) deal.length++
      }
    }
    return this.#byTask.get(task)
  }

  /** Returns the outcome of the line with this id; undefined while there is none. */
  endOf(lineId: string): Readonly<LineEnd> | undefined {
    for (const { id, state } of this.#acks.read()) if (state === "accepted") this.#end(id).accepted++
    for (const { id, code } of this.#rejected.read()) this.#end(id).codes.push(String(code))
    return this.#ends.get(lineId)
  }

  #end(id: unknown): LineEnd {
    const end = this.#ends.get(String(id)) ?? { accepted: 0, codes: [] }
    this.#ends.set(String(id), end)
    return end
  }
}
