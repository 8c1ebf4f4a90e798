import type { DealParty } from "./deal-party.js"

/** The planned answers to a PROPOSAL, by its proposer (0) or its recipient (1). A refused one has an error code. */
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

/** A deal as it is planned, and how far it is. */
export class PlannedDeal {
  readonly #task: string
  readonly #parties: readonly [DealParty, DealParty]
  readonly #course: readonly Word[]
  #said = 0

  constructor(task: string, parties: readonly [DealParty, DealParty], course: readonly Word[]) {
    this.#task = task
    this.#parties = parties
    this.#course = course
  }

  /** Words that were said, and all that will be. */
  get progress(): readonly [said: number, all: number] {
    return [this.#said, this.#course.length + 1]
  }

  /** Says what is next once the word before it was heard of by both. @returns whether all was said and settled */
  step(): boolean {
    if (this.#said === 0) {
      const [proposer, { name }] = this.#parties
      proposer.say({ id: this.#task, type: "PROPOSAL", to: `@${name}`, task: this.#task })
      this.#said = 1
      return false
    }
    const id = this.#settled()
    if (id === undefined) return false
    do {
      const word = this.#course[this.#said - 1]
      if (word === undefined) return true
      const line = { id: `${this.#task}-${this.#said}`, type: word.type, proposal_id: id }
      this.#parties[word.by].say({ ...line, ...(word.type === "DISPUTE" ? { reason: "not done" } : {}) })
      this.#said++
    } while (this.#course[this.#said - 1]?.together === true)
    return false
  }

  /** Returns the differences between the plan and what the parties and their lines have. */
  faults(): string[] {
    const wanted = this.#wanted(this.#course.length)
    const told = this.#parties.flatMap((party) => {
      const length = party.heardOf(this.#task)?.length
      return length === wanted
        ? []
        : [`${this.#task} has ${length} statements for ${party.name}, not ${wanted}`]
    })
    const lines = Array.from({ length: this.#course.length + 1 }, (_, index) => {
      const { party, id, code } = this.#line(index)
      const { accepted, codes } = party.endOf(id) ?? { accepted: 0, codes: [] }
      const isWanted = accepted === (code === undefined ? 1 : 0) && String(codes) === (code ?? "")
      return isWanted ? [] : [`${id}: accepted ${accepted} times, rejected as ${String(codes)}`]
    })
    return [...told, ...lines.flat()]
  }

  /** @returns the id of the deal, once both have heard and got an answer to all that was said */
  #settled(): string | undefined {
    const wanted = this.#wanted(this.#said - 1)
    const [heard, other] = this.#parties.map((party) => party.heardOf(this.#task))
    if ((heard?.length ?? 0) < wanted || (other?.length ?? 0) < wanted) return undefined
    for (let index = 0; index < this.#said; index++) {
      const { party, id } = this.#line(index)
      if (party.endOf(id) === undefined) return undefined
    }
    return heard?.id
  }

  /** Statements of the deal after so many words of its course. */
  #wanted(words: number): number {
    return 1 + this.#course.slice(0, words).filter(({ code }) => code === undefined).length
  }

  #line(index: number): {
    readonly id: string
    readonly party: DealParty
    readonly code?: string | undefined
  } {
    const word = this.#course[index - 1]
    if (word === undefined) return { id: this.#task, party: this.#parties[0] }
    return { id: `${this.#task}-${index}`, party: this.#parties[word.by], code: word.code }
  }
}

/** Deals between any two of the parties, every third of them between the first two; the same for the same seed. */
export function planDeals(count: number, parties: readonly DealParty[], random: () => number): PlannedDeal[] {
  return Array.from({ length: count }, (_, index) => {
    const among = parties.slice(0, index % 3 === 0 ? 2 : parties.length)
    const first = Math.floor(random() * among.length)
    const second = (first + 1 + Math.floor(random() * (among.length - 1))) % among.length
    const pair = [among[first], among[second]] as [DealParty, DealParty]
    return new PlannedDeal(`d${index}`, pair, courses[Math.floor(random() * courses.length)] ?? [])
  })
}
