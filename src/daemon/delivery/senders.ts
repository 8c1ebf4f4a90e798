import { hash } from "node:crypto"
import type { Clock } from "../../base/clock.js"
import { LruMap } from "../../base/lru-map.js"
import { isPlain } from "../../base/plain.js"
import type { Connection } from "../../client/connection.js"
import { type Checked, checkMessage, type MessageReader, readerOf } from "../../client/message-check.js"
import type { Identity } from "../../identity/identity-file.js"
import { ChatError } from "../../protocol/errors.js"
import { type AgentRef, agentIdPattern, persistentIdPattern } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Inbox } from "../inbox/inbox.js"
import { noticeLine } from "../inbox/message-to-line.js"
import type { DaemonMemory } from "../session/daemon-memory.js"
import type { Mark } from "../session/read-receipts.js"

const maxNames = 1_000
/** Characters of a message id in the log. */
const maxIdLength = 130
/** Agents of one name that are remembered; the first is the one that the name means. */
const maxAgentsOfName = 8
/** Own names that are remembered: messages to an earlier one may still wait in the mailbox. */
const maxOwnNames = 16

/** Options of {@link Senders}. */
export interface SendersOptions {
  readonly memory: DaemonMemory
  readonly inbox: Pick<Inbox, "append">
  readonly clock: Pick<Clock, "now">
  readonly log: (line: string) => void
  readonly identity: Identity | undefined
}

/**
 * Checks who wrote the messages that the relay brings, and remembers which key has which name. The first key that was seen
 * with a name keeps it: the inbox says when another agent speaks under it.
 */
export class Senders {
  readonly #options: SendersOptions
  /** By name in lower case; the first agent is the one with the key that was seen first. */
  readonly #agents = new LruMap<string, readonly string[]>(maxNames)
  #ownNames: readonly string[] = []
  #connection: Pick<Connection, "request"> | undefined
  #reader: MessageReader | undefined

  constructor(options: SendersOptions) {
    this.#options = options
    const { senders } = options.memory.state
    if (!isPlain(senders)) return
    const { own, agents } = senders
    this.#ownNames = stringsIn(own)
    for (const [name, ids] of Object.entries(isPlain(agents) ? agents : {})) {
      const known = stringsIn(ids).filter((id) => agentIdPattern.test(id))
      if (known.length > 0) this.#agents.set(name, known)
    }
  }

  /** Begins a session. */
  attach(connection: Pick<Connection, "request" | "welcome">): void {
    const { welcome } = connection
    this.#connection = connection
    if (!this.#ownNames.includes(welcome.name)) {
      this.#ownNames = [...this.#ownNames, welcome.name].slice(-maxOwnNames)
      this.#save()
    }
    this.#reader = readerOf(welcome, this.#options.identity, this.#ownNames)
  }

  /** Ends the session. */
  detach(): void {
    this.#connection = undefined
  }

  /** Checks a message. @returns why it is to be dropped, if it is */
  check<M extends ServerMessage<"MSG"> | ServerMessage<"TASK">>(message: M): Checked<M> | ChatError {
    if (this.#reader === undefined) return new ChatError("UNREACHABLE", "the session is over")
    try {
      const checked = checkMessage(message, this.#reader)
      this.#noteName(message.name, message.from, checked.verified)
      return checked
    } catch (error) {
      if (error instanceof ChatError) return error
      throw error
    }
  }

  /** Writes the NOTICE about a message that was dropped, once. @param mark - what the relay gets to know of it */
  reportDropped({ code, message }: ChatError, id: string, mark: Mark | undefined): void {
    const { inbox, log, clock } = this.#options
    log(`dropped ${id.slice(0, maxIdLength)}: ${message}`)
    const msgId = `refused ${hash("sha256", `${id} ${message}`, "hex").slice(0, 32)}`
    inbox.append({ ...noticeLine(code, message, clock.now()), msg_id: msgId }, { msgId, mark })
  }

  #noteName(name: string, from: string, isVerified: boolean): void {
    const key = name.toLowerCase()
    const known = this.#agents.get(key)
    const first = known?.[0]
    if (known?.includes(from) === true || (first === undefined && !isVerified)) return
    this.#remember(key, [...(known ?? []).slice(0, maxAgentsOfName - 1), from])
    if (first !== undefined) void this.#onOther(key, first, from, isVerified)
  }

  /** Handles another agent with a known name: the successor of the first has its name, anybody else is reported. */
  async #onOther(name: string, first: string, from: string, isVerified: boolean): Promise<void> {
    const { inbox, log, clock } = this.#options
    if (isVerified && (await this.#isSuccessor(first, from))) {
      log(`"${name}": ${first} has replaced its key and is ${from} now`)
      this.#remember(name, [from, ...(this.#agents.get(name) ?? []).filter((id) => id !== from)])
      return
    }
    const without = persistentIdPattern.test(from) ? "another key" : "no key"
    const text = `${from} speaks as "${name}" with ${without}; before, that was ${first}`
    log(`notice: ${text}`)
    inbox.append(noticeLine("OTHER_KEY", text, clock.now()))
  }

  /** Asks the relay for proof that an agent has replaced its key. */
  async #isSuccessor(before: string, now: string): Promise<boolean> {
    try {
      // An agent id is a valid AgentRef. The connection checks the proof.
      const agent = before as AgentRef
      const answer = await this.#connection?.request({ type: "LIST_AGENTS", agent })
      return answer?.roster.some(({ id }) => id === now) === true
    } catch (error) {
      if (error instanceof ChatError) return false
      throw error
    }
  }

  #remember(name: string, ids: readonly string[]): void {
    this.#agents.set(name, ids)
    this.#save()
  }

  #save(): void {
    this.#options.memory.note({ senders: { own: this.#ownNames, agents: Object.fromEntries(this.#agents) } })
  }
}

function stringsIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === "string") : []
}
