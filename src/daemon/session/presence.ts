import type { Clock } from "../../base/clock.js"
import type { Connection } from "../../client/connection.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { DaemonMemory, SaidPresence } from "./daemon-memory.js"

/** Milliseconds after which a restarted daemon no longer believes that its agent works. */
const believedMs = 600_000

/** What the agent last said that it does; said again for it on every new session. */
export class Presence {
  readonly #memory: DaemonMemory
  readonly #log: (line: string) => void

  /** @param asked - the role this run was started with; it counts more than one said in an earlier run */
  constructor(memory: DaemonMemory, clock: Clock, log: (line: string) => void, asked?: string) {
    this.#memory = memory
    this.#log = log
    const { presence } = memory
    if (presence === undefined) return
    // Whoever was at work long ago is likely not the process that runs now.
    const isOver = presence.status === "working" && clock.now() - presence.since > believedMs
    const role = asked ?? presence.role
    const said = isOver ? ({ status: "idle", since: clock.now() } as const) : presence
    if (isOver || role !== presence.role) {
      memory.note({ presence: { ...said, ...(role === undefined ? {} : { role }) } })
    }
  }

  get said(): SaidPresence | undefined {
    return this.#memory.presence
  }

  get isWorking(): boolean {
    return this.said?.status === "working"
  }

  /** The relay took what the agent said. A role stays until another is named. */
  say({ status, activity, role = this.said?.role }: ClientMessage<"SET_PRESENCE">, ts: number): void {
    this.#memory.note({
      presence: {
        status,
        ...(activity === undefined ? {} : { activity }),
        ...(role === undefined ? {} : { role }),
        since: ts,
      },
    })
  }

  /** Says it on a fresh session, before anything that the agent wrote meanwhile. */
  async repeat(connection: Pick<Connection, "request">): Promise<void> {
    if (this.said === undefined) return
    const { since: _since, ...presence } = this.said
    try {
      await connection.request({ type: "SET_PRESENCE", ...presence })
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#log(`presence: ${error.code} ${error.message}`)
    }
  }
}
