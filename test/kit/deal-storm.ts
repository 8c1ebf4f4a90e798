import type { DealParty } from "./deal-party.js"

/** The planned answers to a PROPOSAL, by its proposer (0) or its recipient (1). A refused one has an error code. */
interface Step {
  readonly by: 0 | 1
  readonly type: "ACCEPT" | "REJECT" | "COMPLETE" | "DISPUTE"
  readonly code?: string
  /** Sent together with the step before, not after both parties know that. */
  readonly together?: true
}

const plans: readonly (readonly Step[])[] = [
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

/** A planned deal and its progress. */
export class PlannedDeal {
  readonly #task: string
  readonly #parties: readonly [DealParty, DealParty]
  readonly #plan: readonly Step[]
  #sent = 0

  constructor(task: string, parties: readonly [DealParty, DealParty], plan: readonly Step[]) {
    this.#task = task
    this.#parties = parties
    this.#plan = plan
  }

  /** Number of statements sent, and of all planned. */
  get progress(): readonly [sent: number, all: number] {
    return [this.#sent, this.#plan.length + 1]
  }

  /** Sends the next statements once both parties know those before. @returns whether all are sent and answered */
  step(): boolean {
    if (this.#sent === 0) {
      const [proposer, { name }] = this.#parties
      proposer.say({ id: this.#task, type: "PROPOSAL", to: `@${name}`, task: this.#task })
      this.#sent = 1
      return false
    }
    const id = this.#settled()
    if (id === undefined) return false
    do {
      const step = this.#plan[this.#sent - 1]
      if (step === undefined) return true
      const line = { id: `${this.#task}-${this.#sent}`, type: step.type, proposal_id: id }
      this.#parties[step.by].say({ ...line, ...(step.type === "DISPUTE" ? { reason: "not done" } : {}) })
      this.#sent++
    } while (this.#plan[this.#sent - 1]?.together === true)
    return false
  }

  /** Returns the differences between the plan and the files of the parties. */
  faults(): string[] {
    const wanted = this.#wanted(this.#plan.length)
    const faults = this.#parties.flatMap((party) => {
      const length = party.findDeal(this.#task)?.length
      return length === wanted
        ? []
        : [`${this.#task} has ${length} statements for ${party.name}, not ${wanted}`]
    })
    const lines = Array.from({ length: this.#plan.length + 1 }, (_, index) => {
      const { party, id, code } = this.#line(index)
      const { accepted, codes } = party.endOf(id) ?? { accepted: 0, codes: [] }
      const isWanted = accepted === (code === undefined ? 1 : 0) && String(codes) === (code ?? "")
      return isWanted ? [] : [`${id}: accepted ${accepted} times, rejected as ${String(codes)}`]
    })
    return [...faults, ...lines.flat()]
  }

  /** @returns the id of the deal, once both parties know every statement sent and each line has an answer */
  #settled(): string | undefined {
    const wanted = this.#wanted(this.#sent - 1)
    const [deal, other] = this.#parties.map((party) => party.findDeal(this.#task))
    if ((deal?.length ?? 0) < wanted || (other?.length ?? 0) < wanted) return undefined
    for (let index = 0; index < this.#sent; index++) {
      const { party, id } = this.#line(index)
      if (party.endOf(id) === undefined) return undefined
    }
    return deal?.id
  }

  /** Returns the number of statements of the deal after this many steps of the plan. */
  #wanted(steps: number): number {
    return 1 + this.#plan.slice(0, steps).filter(({ code }) => code === undefined).length
  }

  #line(index: number): {
    readonly id: string
    readonly party: DealParty
    readonly code?: string | undefined
  } {
    const step = this.#plan[index - 1]
    if (step === undefined) return { id: this.#task, party: this.#parties[0] }
    return { id: `${this.#task}-${index}`, party: this.#parties[step.by], code: step.code }
  }
}

/** Deals between any two of the parties, every third of them between the first two; the same for the same seed. */
export function planDeals(count: number, parties: readonly DealParty[], random: () => number): PlannedDeal[] {
  return Array.from({ length: count }, (_, index) => {
    const among = parties.slice(0, index % 3 === 0 ? 2 : parties.length)
    const first = Math.floor(random() * among.length)
    const second = (first + 1 + Math.floor(random() * (among.length - 1))) % among.length
    const pair = [among[first], among[second]] as [DealParty, DealParty]
    return new PlannedDeal(`d${index}`, pair, plans[Math.floor(random() * plans.length)] ?? [])
  })
}
