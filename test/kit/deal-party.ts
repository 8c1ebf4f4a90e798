import { appendFileSync } from "node:fs"
import { GrowingLines } from "./growing-lines.js"
import type { Workspace } from "./program.js"

/** A deal as far as a party has heard of it. */
interface Heard {
  readonly id: string
  /** Statements in its chain. */
  length: number
}

/** Outcome of an outbox line. */
interface LineEnd {
  accepted: number
  readonly codes: string[]
}

/** An agent of which only the files of its daemon are known. */
export class DealParty {
  readonly name: string
  readonly place: Workspace
  readonly #said: GrowingLines
  readonly #acks: GrowingLines
  readonly #rejected: GrowingLines
  readonly #byTask = new Map<string, Heard>()
  readonly #byId = new Map<string, Heard>()
  readonly #ends = new Map<string, LineEnd>()

  constructor(name: string, place: Workspace) {
    this.name = name
    this.place = place
    this.#said = new GrowingLines(this.file("proposals.jsonl"))
    this.#acks = new GrowingLines(this.file("acks.jsonl"))
    this.#rejected = new GrowingLines(this.file("rejected.jsonl"))
  }

  /** A file of its daemon. */
  file(name: string): string {
    return this.place.file(this.name, name)
  }

  /** Appends lines to the outbox at once. */
  say(...lines: readonly object[]): void {
    appendFileSync(this.file("outbox.jsonl"), lines.map((line) => `${JSON.stringify(line)}\n`).join(""))
  }

  /** The deal about this task; its task is what tells a deal of a test from the others. */
  heardOf(task: string): Heard | undefined {
    for (const { statement } of this.#said.read()) {
      const { type, id, proposal_id, task: about } = statement as Readonly<Record<string, string>>
      if (type === "PROPOSAL" && id !== undefined && about !== undefined) {
        const heard = { id, length: 1 }
        this.#byTask.set(about, heard)
        this.#byId.set(id, heard)
      } else {
        const heard = this.#byId.get(String(proposal_id))
        if (heard !== undefined) heard.length++
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
