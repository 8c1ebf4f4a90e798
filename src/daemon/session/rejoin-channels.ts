import type { Connection } from "../../client/connection.js"
import { ChatError } from "../../protocol/errors.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Memberships } from "./memberships.js"

/** Refusals of a channel that later tries may not meet. */
const passing: ReadonlySet<string> = new Set(["UNAVAILABLE", "TIMEOUT", "RATE_LIMITED", "SHUTTING_DOWN"])

/** What a daemon hears of its channels. */
export interface EntranceEvents {
  /** Every channel was tried. @param later - why one cannot be entered for now; undefined when none is left */
  onEntered(later: ChatError | undefined): void
  /** A channel cannot be entered, and is not tried again in this session. */
  onRefused(name: string, error: ChatError): void
  readonly log: (line: string) => void
}

/** Enters the channels of a daemon with each session, and again those the relay cannot let it into for now. */
export class Entrance {
  readonly #memberships: Memberships
  readonly #events: EntranceEvents
  #connection: Connection | undefined
  /** Channels and patterns that this session could not enter yet. */
  #rest: ReadonlySet<string> = new Set()

  constructor(memberships: Memberships, events: EntranceEvents) {
    this.#memberships = memberships
    this.#events = events
  }

  /** A session began. Resolves when every channel was tried. */
  async attach(connection: Connection): Promise<void> {
    this.#connection = connection
    await this.#enter(connection)
  }

  /** The session is gone. */
  detach(): void {
    this.#connection = undefined
    this.#rest = new Set()
  }

  /** Tries those again that the relay could not let us into. */
  enterRest(): void {
    if (this.#connection === undefined || this.#rest.size === 0) return
    const rest = this.#rest
    this.#rest = new Set()
    void this.#enter(this.#connection, rest)
  }

  /** A pattern takes along what it alone brought; the relay is told of each, as each was entered by its name. */
  left({ channel: name, re }: ServerMessage<"LEFT">): void {
    const isKept = re === undefined && this.#memberships.isKept(name)
    if (isKept) this.#rest = new Set([...this.#rest, name])
    for (const channel of isKept ? [] : this.#memberships.left(name)) {
      this.#connection?.request({ type: "LEAVE", channel }).catch((error: unknown) => {
        if (!(error instanceof ChatError)) throw error
        this.#events.log(`leave: ${channel} ${error.code}`)
      })
    }
  }

  async #enter(connection: Connection, only?: ReadonlySet<string>): Promise<void> {
    const failures = await this.#memberships.enterAll(connection, only)
    if (this.#connection !== connection) return
    const later = [...failures].filter(([, error]) => passing.has(error.code))
    this.#rest = new Set([...this.#rest, ...later.map(([name]) => name)])
    for (const [name, error] of failures) {
      if (!this.#rest.has(name)) this.#events.onRefused(name, error)
    }
    this.#events.onEntered(later[0]?.[1])
  }
}
