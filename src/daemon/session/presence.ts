import type { Clock } from "../../base/clock.js"
import { omitUndefined } from "../../base/plain.js"
import type { Connection } from "../../client/connection.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { DaemonMemory, StoredPresence } from "./daemon-memory.js"

/** A restarted daemon sets `working` to `idle` if it is older than this. */
const staleMs = 600_000

/** The presence the agent set last. It is set again on every new session. */
export class Presence {
  readonly #memory: DaemonMemory
  readonly #log: (line: string) => void

  /** @param role - the role this run was started with; overrides the one the agent set in an earlier run */
  constructor(memory: DaemonMemory, clock: Clock, log: (line: string) => void, role?: string) {
    this.#memory = memory
    this.#log = log
    const { presence: stored } = memory.state
    if (stored === undefined) return
    // The process that set `working` so long ago probably no longer runs.
    const isStale = stored.status === "working" && clock.now() - stored.since > staleMs
    const { attention } = stored
    const idle = { status: "idle", since: clock.now(), ...omitUndefined({ attention }) } as const
    const presence = isStale ? idle : stored
    const newRole = role ?? stored.role
    if (!isStale && newRole === stored.role) return
    memory.note({ presence: { ...presence, ...omitUndefined({ role: newRole }) } })
  }

  /** Undefined if the agent never set one. */
  get current(): StoredPresence | undefined {
    return this.#memory.state.presence
  }

  get isWorking(): boolean {
    return this.current?.status === "working"
  }

  /** Stores a presence that the relay accepted. Role and attention stay unless the message changes them. */
  set(message: ClientMessage<"SET_PRESENCE">, ts: number): void {
    const { status, activity, role = this.current?.role, attention = this.current?.attention } = message
    this.#memory.note({ presence: { status, ...omitUndefined({ activity, role, attention }), since: ts } })
  }

  /** Sets the presence on a new session. Call it before outbox lines are sent, which may change it. */
  async resend(connection: Pick<Connection, "request">): Promise<void> {
    if (this.current === undefined) return
    const { since: _since, ...presence } = this.current
    try {
      await connection.request({ type: "SET_PRESENCE", ...presence })
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#log(`presence: ${error.code} ${error.message}`)
    }
  }
}
