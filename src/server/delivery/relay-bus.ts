import { randomBytes } from "node:crypto"
import type { Backbone, Logs } from "../../backbone/backbone.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentId } from "../../protocol/names.js"
import type { SessionRegistry } from "../sessions/session-registry.js"
import { payloadOf } from "../wire/payload.js"

const idBytes = 9

/** Carries what nobody keeps to an agent that is connected to another relay of the same store. */
export class RelayBus {
  readonly #logs: Logs | undefined
  readonly #log: (line: string) => void
  readonly #prefix = randomBytes(idBytes).toString("base64url")
  #count = 0

  private constructor(logs: Logs | undefined, log: (line: string) => void) {
    this.#logs = logs
    this.#log = log
  }

  static async open(
    backbone: Backbone,
    hub: SessionRegistry,
    log: (line: string) => void,
  ): Promise<RelayBus> {
    if (!backbone.isShared) return new RelayBus(undefined, log)
    const logs = await backbone.logs("bus", { maxEntries: 0, whenFull: "drop-oldest", storage: "memory" })
    await logs.subscribe(({ key, value }) => hub.find(`@${key}`)?.outgoing.send(payloadOf(value)))
    return new RelayBus(logs, log)
  }

  /** Sends `to`, wherever it is connected, a message; it may be lost. */
  send(to: AgentId, text: string): void {
    this.#logs?.append(to.slice(1), `${this.#prefix}${this.#count++}`, text).catch((error: unknown) => {
      if (!(error instanceof ChatError)) throw error
      this.#log(`a message for ${to} on another relay is lost: ${error.code}`)
    })
  }
}
