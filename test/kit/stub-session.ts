import { existsSync, mkdirSync } from "node:fs"
import { ReaderCursor } from "../../src/daemon/inbox/reader-cursor.js"
import { confirmRing, ringNonceIn } from "../../src/daemon/wake/echo.js"
import type { SessionDoors, WakeDoor } from "../../src/daemon/wake/session-doors.js"
import { ChatError } from "../../src/protocol/errors.js"
import { until } from "./condition.js"
import type { DaemonHarness } from "./daemon-harness.js"

/** A session of a harness that a daemon under test can ring. */
export class StubSession {
  readonly #daemon: DaemonHarness
  /** The texts of all rings, in order. */
  readonly rings: string[] = []
  isBusy = false
  /** Why the door refuses rings; undefined if it takes them. */
  refusal: string | undefined
  queues = false
  /** True while the door takes no ring, and will again. */
  isClosed = false
  isThere = true
  #events = 0

  constructor(daemon: DaemonHarness) {
    this.#daemon = daemon
  }

  readonly findSession = (): Promise<SessionDoors | undefined> => {
    const { isBusy, isClosed, queues } = this
    const ring = (text: string) => {
      if (this.refusal !== undefined) return Promise.reject(new ChatError("UNREACHABLE", this.refusal))
      this.rings.push(text)
      return Promise.resolve()
    }
    const door: WakeDoor = { method: "stub-door", queues, isClosed, ring }
    return Promise.resolve(this.isThere ? { state: `s ${this.#events}`, isBusy, doors: [door] } : undefined)
  }

  /** Runs a hook of the session, which changes its record. */
  hook(isBusy: boolean): void {
    this.isBusy = isBusy
    this.#events++
    // As a new record does, the directory changes.
    mkdirSync(`${this.#daemon.paths.sessions}/${this.#events}`, { recursive: true })
    this.#daemon.sweep()
  }

  /** Lets `ms` pass, and what is due happen. */
  async pass(ms: number): Promise<void> {
    this.#daemon.clock.advance(ms)
    this.#daemon.sweep()
    await this.settle()
  }

  /** Waits until the daemon has looked for what to ring for. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < 20; turn++) {
      await new Promise((resolve) => setImmediate(resolve))
      this.#daemon.clock.advance(20)
    }
  }

  /** Waits for the ring of a number. */
  ring(number = 1): Promise<string> {
    return until(`ring ${number}`, () => {
      this.#daemon.clock.advance(20)
      return this.rings[number - 1]
    })
  }

  /** Returns the number of a ring, and reads all lines, as the hook of a woken session does. */
  async answer(text: string): Promise<void> {
    const { paths, clock, inbox } = this.#daemon
    await until("the directory of echoes", () => existsSync(paths.echoes))
    ReaderCursor.open(paths, "stub").take(
      inbox.map(({ seq }) => seq as number),
      "hook",
    )
    confirmRing(paths, ringNonceIn(text) ?? "", clock.now())
    this.#daemon.sweep()
  }
}
