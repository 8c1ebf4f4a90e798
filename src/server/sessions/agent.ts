import type { Clock } from "../../base/clock.js"
import type { Gcra } from "../../guards/gcra.js"
import type { AgentCard } from "../../protocol/agent-card.js"
import type { PresenceState } from "../../protocol/client-messages.js"
import { type AgentId, type Nick, persistentIdPattern } from "../../protocol/names.js"
import type { RosterEntry, ServerMessage } from "../../protocol/server-messages.js"
import { formatSender } from "../delivery/message-json.js"
import { formatEntry, type RosterFacts } from "../roster/roster-record.js"
import { payloadOf } from "../wire/payload.js"
import type { SendQueue } from "../wire/send-queue.js"
import type { SentIds } from "./sent-ids.js"
import type { WriteSequencer } from "./write-sequencer.js"

/** What a relay remembers of an agent; of a persistent one beyond its session, so a reconnect resets nothing. */
export interface AgentMemory {
  readonly meter: Gcra
  readonly sent: SentIds
  /** The way to a store. */
  readonly lane: WriteSequencer
}

/** Direct messages on their way to an agent. */
interface AgentMailbox {
  /** Takes note of what is safely on its disk. */
  confirm(messageIds: readonly string[]): void
  /** Its session ended. */
  close(): void
}

/** What an agent needs to tell how old its news is. */
export interface AgentTime {
  readonly clock: Clock
  /** {@link Limits.staleMs} */
  readonly staleMs: number
}

/** What an agent says of itself when it comes. */
interface Introduction {
  readonly role?: string | undefined
  readonly card?: AgentCard | undefined
  /** did:key of the key it proved. */
  readonly did?: string | undefined
}

/** Somebody who is online and said, or proved, who it is. */
export class Agent implements RosterFacts {
  readonly id: AgentId
  readonly name: Nick
  readonly memory: AgentMemory
  readonly outgoing: SendQueue
  /** How every MSG of this agent begins. */
  readonly sender: string
  /** Only a persistent identity has one: nobody else could prove that the mail is theirs. */
  mailbox: AgentMailbox | undefined
  activity: string | undefined
  role: string | undefined
  card: AgentCard | undefined
  did: string | undefined
  /** When the session's last bytes were seen. */
  seenTs: number
  readTs: number | undefined
  answeredTs: number | undefined
  /** {@link RosterRecord.epoch} */
  epoch = ""
  /** Looks in a row at which the session had said nothing. */
  quietLooks = 0
  readonly #time: AgentTime
  #said: PresenceState = "idle"
  #saidTs: number
  #silentTs: number | undefined

  constructor(id: AgentId, name: Nick, memory: AgentMemory, outgoing: SendQueue, time: AgentTime) {
    this.id = id
    this.name = name
    this.memory = memory
    this.outgoing = outgoing
    this.sender = formatSender(id, name)
    this.#time = time
    this.#saidTs = time.clock.now()
    this.seenTs = this.#saidTs
  }

  /** Says who it is; of what it does not say, that stays which was last known. */
  introduce({ role, card, did }: Introduction, known: RosterFacts | undefined): void {
    this.role = role ?? known?.role
    this.card = card ?? known?.card
    this.did = did
    this.readTs = known?.readTs
    this.answeredTs = known?.answeredTs
  }

  /** Whether it proved a key, and so can come back as the same agent. */
  get isPersistent(): boolean {
    return persistentIdPattern.test(this.id)
  }

  /** What it says it does; `offline` while its session is silent. */
  get status(): PresenceState | "offline" {
    return this.#silentTs === undefined ? this.#said : "offline"
  }

  get since(): number {
    return this.#silentTs ?? this.#saidTs
  }

  /** Whether its session has been silent for so long that it is shown offline. */
  get isSilent(): boolean {
    return this.#silentTs !== undefined
  }

  /**
   * Says what it does from now on.
   * @returns whether others see a difference other than the time
   */
  say(status: PresenceState, activity: string | undefined, role: string | undefined): boolean {
    const before = this.status
    const isNews = activity !== this.activity || (role ?? this.role) !== this.role
    this.#said = status
    this.#saidTs = this.#time.clock.now()
    this.#silentTs = undefined
    this.quietLooks = 0
    this.activity = activity
    this.role = role ?? this.role
    return isNews || before !== status
  }

  /** Shows it offline although its session stands. */
  noteSilence(ts: number): void {
    this.#silentTs = ts
  }

  /** Shows it again as it was before {@link noteSilence}. */
  noteReturn(): void {
    this.#silentTs = undefined
  }

  /** One of its readers took something out of its inbox. */
  noteRead(ts: number): void {
    this.readTs = ts
  }

  /** It said something. */
  noteSaid(ts: number): void {
    this.answeredTs = ts
  }

  send(message: ServerMessage): void {
    this.outgoing.send(payloadOf(JSON.stringify(message)))
  }

  /** As JOINED lists it: without its card. */
  get rosterEntry(): RosterEntry {
    return formatEntry(this, { now: this.#time.clock.now(), staleMs: this.#time.staleMs })
  }
}
