import type { Clock } from "../../base/clock.js"
import { Gcra } from "../../guards/gcra.js"
import type { PresenceState } from "../../protocol/client-messages.js"
import type { Limits } from "../../protocol/limits.js"
import type { AgentCard, RotationClaim } from "../../protocol/message-fields.js"
import { type AgentId, type Nick, persistentIdPattern } from "../../protocol/names.js"
import type { RosterEntry, ServerMessage } from "../../protocol/server-messages.js"
import type { Attention, WakeLease } from "../../protocol/wake.js"
import { formatMessagePrefix } from "../delivery/message-json.js"
import { formatEntry, type RosterFacts } from "../roster/roster-record.js"
import type { SendQueue } from "../wire/send-queue.js"
import { DeliveredIds } from "./delivered-ids.js"
import type { IdBudget } from "./id-budget.js"
import { keyOrigin, type Origin } from "./origin.js"
import { SentIds } from "./sent-ids.js"
import { WriteSequencer } from "./write-sequencer.js"

/** State of an agent that outlives its session, so that reconnecting with the same key resets nothing. */
export interface AgentMemory {
  readonly meter: Gcra
  /** When its rate began to count, monotonic. */
  readonly startMs: number
  readonly sentIds: SentIds
  readonly delivered: DeliveredIds
  /** Keeps the order of what the agent has stored. */
  readonly sequencer: WriteSequencer
}

/** Makes the memory of an agent that is not remembered. @param ids - for the ids of all agents */
export function makeAgentMemory(
  { ratePerSecond, rateBurst, rememberedIds }: Pick<Limits, "ratePerSecond" | "rateBurst" | "rememberedIds">,
  clock: Clock,
  ids?: IdBudget,
): AgentMemory {
  return {
    meter: new Gcra({ ratePerSecond, burst: rateBurst }),
    startMs: clock.monotonic(),
    sentIds: new SentIds(rememberedIds, ids),
    delivered: new DeliveredIds(ids),
    sequencer: new WriteSequencer(clock),
  }
}

/** The mailbox of a connected agent. */
interface AgentMailbox {
  claim(ids: readonly string[]): { readonly messages: readonly string[]; readonly known: number }
  confirm(ids: readonly string[]): void
  close(): void
}

interface AgentOptions {
  readonly clock: Clock
  /** {@link Limits.staleMs} */
  readonly staleMs: number
  /** Origin of the address it connected from. */
  readonly address: Origin
}

/** The facts that a client states in IDENTIFY. */
interface Introduction {
  readonly role?: string | undefined
  readonly card?: AgentCard | undefined
  /** did:key of the key it proved. */
  readonly did?: string | undefined
  /** Ids of its earlier keys, oldest first. */
  readonly formerly?: readonly AgentId[] | undefined
  /** Proof of its earlier keys. */
  readonly rotations?: readonly RotationClaim[] | undefined
}

/** The agent of a session that is identified. */
export class Agent implements RosterFacts {
  readonly id: AgentId
  readonly name: Nick
  /** True if the agent proved a key, and so can come back as the same agent. */
  readonly isPersistent: boolean
  readonly memory: AgentMemory
  readonly sendQueue: SendQueue
  /** The start of every MSG of this agent, see {@link formatMessagePrefix}. */
  readonly messagePrefix: string
  /** Undefined for an agent without a key: nobody else could prove that the mail is theirs. */
  mailbox: AgentMailbox | undefined
  activity: string | undefined
  role: string | undefined
  card: AgentCard | undefined
  attention: Attention | undefined
  /** True if it only reads, so that others do not see it. */
  isHidden = false
  /** Verified. */
  wakeable: WakeLease | undefined
  did: string | undefined
  formerly: readonly AgentId[] | undefined
  rotations: readonly RotationClaim[] | undefined
  /** When the session last sent anything. */
  seenTs: number
  readTs: number | undefined
  answeredTs: number | undefined
  /** When this relay first met it. */
  metTs: number
  /** {@link RosterRecord.epoch} */
  epoch = ""
  /** Probes in a row that found the session silent. */
  missedProbes = 0
  readonly #clock: Clock
  readonly #staleMs: number
  readonly #address: Origin
  #status: PresenceState = "idle"
  #statusTs: number
  #silentTs: number | undefined

  constructor(
    id: AgentId,
    name: Nick,
    memory: AgentMemory,
    sendQueue: SendQueue,
    { clock, staleMs, address }: AgentOptions,
  ) {
    this.id = id
    this.name = name
    this.isPersistent = persistentIdPattern.test(id)
    this.memory = memory
    this.sendQueue = sendQueue
    this.messagePrefix = formatMessagePrefix(id, name)
    this.#clock = clock
    this.#staleMs = staleMs
    this.#address = address
    this.#statusTs = clock.now()
    this.seenTs = this.#statusTs
    this.metTs = this.#statusTs
  }

  /** Sets what the agent states of itself; what it leaves out stays as last known. */
  introduce({ role, card, did, formerly, rotations }: Introduction, known: RosterFacts | undefined): void {
    this.role = role ?? known?.role
    this.card = card ?? known?.card
    this.attention = known?.attention
    this.did = did
    this.formerly = formerly
    this.rotations = rotations
    this.readTs = known?.readTs
    this.answeredTs = known?.answeredTs
    this.metTs = known?.metTs ?? this.metTs
  }

  /** The origin that what it takes is charged to now. */
  get origin(): Origin {
    return this.isPersistent
      ? keyOrigin(this.id, this.#address, this.#clock.now() - this.metTs)
      : this.#address
  }

  /** The origin of an agent that does not count by itself. */
  get sharedOrigin(): Origin | undefined {
    const { origin } = this
    return origin === this.id ? undefined : origin
  }

  /** The status it set; `offline` while its session is silent. */
  get status(): PresenceState | "offline" {
    return this.#silentTs === undefined ? this.#status : "offline"
  }

  /** When the status changed. */
  get since(): number {
    return this.#silentTs ?? this.#statusTs
  }

  /** True if it is shown offline because its session has been silent for long. */
  get isSilent(): boolean {
    return this.#silentTs !== undefined
  }

  /** @returns whether others see a difference other than the time */
  setPresence(
    status: PresenceState,
    activity: string | undefined,
    role: string | undefined,
    attention = this.attention,
  ): boolean {
    const before = this.status
    const isVisible = activity !== this.activity || (role ?? this.role) !== this.role || before !== status
    this.#status = status
    this.#statusTs = this.#clock.now()
    this.#silentTs = undefined
    this.missedProbes = 0
    this.activity = activity
    this.role = role ?? this.role
    this.attention = attention
    return isVisible
  }

  /** Shows the agent offline although its session is open. */
  showOffline(ts: number): void {
    this.#silentTs = ts
  }

  /** Undoes {@link showOffline}. */
  showAgain(): void {
    this.#silentTs = undefined
  }

  /** Notes that a reader took a message from its inbox. */
  markRead(ts: number): void {
    this.readTs = ts
  }

  /** Notes that it sent a message. */
  markAnswered(ts: number): void {
    this.answeredTs = ts
  }

  send(message: ServerMessage): void {
    this.sendQueue.send(JSON.stringify(message))
  }

  /** The agent as JOINED lists it, without its card. */
  get rosterEntry(): RosterEntry {
    return formatEntry(this, { now: this.#clock.now(), staleMs: this.#staleMs })
  }
}
