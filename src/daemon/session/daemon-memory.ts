import { isPlain } from "../../base/plain.js"
import type { ChatError } from "../../protocol/errors.js"
import { type Attention, attentions } from "../../protocol/wake.js"
import { readStateFile, writeStateFile } from "../files/state-file.js"

/** The presence an agent set last. */
export interface StoredPresence {
  readonly status: "idle" | "working" | "waiting" | "away"
  readonly activity?: string
  readonly role?: string
  readonly attention?: Attention
  /** When it was set, milliseconds since the Unix epoch. */
  readonly since: number
}

/** A task this agent holds the lease of. */
export interface LeasedTask {
  readonly task: string
  readonly lease_ms: number
  /** The digest of its question, for the signature of the answer; absent if the answer needs none. */
  readonly question?: string
}

interface State {
  readonly presence: StoredPresence | undefined
  readonly tasks: readonly LeasedTask[]
  /** Digests of the questions of tasks that were offered, by task. */
  readonly offers: Readonly<Record<string, string>>
  /** Saved state of the approvals of deals, see `deals/approvals.ts`. */
  readonly approvals: unknown
  /** `seq` of the inbox up to which read receipts were sent. */
  readonly retrieved: number
  /** Number of the newest statement in proposals.jsonl that is in the inbox. */
  readonly told: number
  /** Saved state of the daemon's circuit breaker. */
  readonly breaker: unknown
  /** Saved active stops of the relay's guards. */
  readonly stops: unknown
  /** The agents that names meant first, see `delivery/name-pins.ts`. */
  readonly names: unknown
  /** Own names, and the agents that speak under other names, see `delivery/senders.ts`. */
  readonly senders: unknown
  /** Saved state of the bell, see `wake/bell.ts`. */
  readonly wake: unknown
}

/**
 * memory.json: state a daemon needs after a restart and that no other file holds. It may be a second old; the relay
 * then gets some reports twice. A missing or damaged file counts as empty.
 */
export class DaemonMemory {
  readonly #path: string
  #state: State
  #isSaved = true

  private constructor(path: string, state: State) {
    this.#path = path
    this.#state = state
  }

  /** @throws {ChatError} FILE_FAILED when the file exists and cannot be read */
  static open(path: string): DaemonMemory {
    return new DaemonMemory(path, parseState(readStateFile(path)))
  }

  get state(): State {
    return this.#state
  }

  /** Changes the given members; {@link save} writes them. */
  note(change: Partial<State>): void {
    this.#state = { ...this.#state, ...change }
    this.#isSaved = false
  }

  /** Writes the file if something changed. @returns the error if it failed; the next call tries again */
  save(): ChatError | undefined {
    if (this.#isSaved) return undefined
    const problem = writeStateFile(this.#path, this.#state)
    this.#isSaved = problem === undefined
    return problem
  }
}

function parseState({
  presence,
  tasks,
  offers,
  approvals,
  retrieved,
  told,
  breaker,
  stops,
  names,
  senders,
  wake,
}: Readonly<Record<string, unknown>>): State {
  return {
    presence: isPresence(presence) ? presence : undefined,
    tasks: Array.isArray(tasks) ? tasks.filter(isTask) : [],
    offers: isPlain(offers) ? (offers as Record<string, string>) : {},
    approvals,
    retrieved: parseCount(retrieved),
    told: parseCount(told),
    breaker,
    stops,
    names,
    senders,
    wake,
  }
}

function parseCount(value: unknown): number {
  return Number.isSafeInteger(value) ? Math.max(0, value as number) : 0
}

function isPresence(value: unknown): value is StoredPresence {
  if (!isPlain(value)) return false
  const { status, activity, role, since, attention = "open" } = value
  return (
    ["idle", "working", "waiting", "away"].includes(String(status)) &&
    [activity, role].every((text) => text === undefined || typeof text === "string") &&
    (attentions as readonly unknown[]).includes(attention) &&
    typeof since === "number"
  )
}

function isTask(value: unknown): value is LeasedTask {
  if (!isPlain(value)) return false
  const { task, lease_ms, question } = value
  if (question !== undefined && typeof question !== "string") return false
  return typeof task === "string" && typeof lease_ms === "number" && lease_ms > 0
}
