import { type Context, interruptedStatus } from "./context.js"

/** How something that runs until it is ended came to its end: the first word counts. */
export class Outcome {
  /** The exit status; rejects when it ended by an error. */
  readonly status: Promise<number>
  #settle: (outcome: number | Error) => void = () => {}
  #isOver = false

  constructor() {
    this.status = new Promise((resolve, reject) => {
      this.#settle = (outcome) => {
        if (typeof outcome === "number") resolve(outcome)
        else reject(outcome)
      }
    })
    // Whoever waits for it sees a rejection; until somebody does, it is no crash.
    this.status.catch(() => {})
  }

  get isOver(): boolean {
    return this.#isOver
  }

  end(outcome: number | Error): void {
    this.#isOver = true
    this.#settle(outcome)
  }

  /** Also ends when the user interrupts the program. */
  heedSignals({ system }: Context): void {
    const signal = system.interruption()
    signal.addEventListener("abort", () => this.end(interruptedStatus(signal)))
  }
}
