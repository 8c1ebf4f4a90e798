import type { ChatError } from "../../protocol/errors.js"

/** What can keep an inbox from its work, the gravest first. */
const kinds = ["write", "sync", "rotate"] as const
type Kind = (typeof kinds)[number]

/** Who hears of an inbox's troubles. */
export interface AlertEvents {
  /** The gravest trouble there is now; undefined when the last one is fixed. */
  onProblem(problem: ChatError | undefined): void
  /** Whether no more lines should be received for now. */
  onPressure(full: boolean): void
}

/** Tells of troubles when they begin, change or end, not every time they are met. */
export class InboxAlerts {
  readonly #events: AlertEvents
  readonly #problems = new Map<Kind, ChatError>()
  #told: ChatError | undefined
  #isFull = false

  constructor(events: AlertEvents) {
    this.#events = events
  }

  raise(kind: Kind, problem: ChatError): void {
    this.#problems.set(kind, problem)
    this.#tell()
  }

  clear(kind: Kind): void {
    if (this.#problems.delete(kind)) this.#tell()
  }

  /** @param level - how full the memory is, 1 = full. Pressure ends at half of it. */
  pressure(level: number): void {
    const isFull = level >= (this.#isFull ? 0.5 : 1)
    if (isFull === this.#isFull) return
    this.#isFull = isFull
    this.#events.onPressure(isFull)
  }

  #tell(): void {
    const gravest = kinds.find((kind) => this.#problems.has(kind))
    const problem = gravest === undefined ? undefined : this.#problems.get(gravest)
    if (problem?.message === this.#told?.message) return
    this.#told = problem
    this.#events.onProblem(problem)
  }
}
