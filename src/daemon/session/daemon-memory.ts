import type { ChatError } from "../../protocol/errors.js"
import { readStateFile, writeStateFile } from "../files/state-file.js"

/** What an agent last said that it does. */
export interface SaidPresence {
  readonly status: "idle" | "working" | "waiting" | "away"
  readonly activity?: string
  readonly role?: string
  /** When it was said, milliseconds since the Unix epoch. */
  readonly since: number
}

/** A task whose lease is ours. */
export interface LeasedTask {
  readonly task: string
  readonly lease_ms: number
}

interface Remembered {
  readonly presence: SaidPresence | undefined
  readonly tasks: readonly LeasedTask[]
  /** `seq` up to which the relay was told that a reader has the inbox. */
  readonly retrieved: number
  /** Number of the statement up to which the inbox has the steps of deals. */
  readonly told: number
  /** State of the daemon's own breaker, as it saved it. */
  readonly breaker: unknown
  /** What the relay's guards have stopped, as they were saved. */
  readonly stops: unknown
}

/**
 * The little a daemon must still know after a restart, in memory.json. It may lag by a second: then the
 * relay is told something twice. One that is missing or damaged is as good as a first start.
 */
export class DaemonMemory {
  readonly #path: string
  #now: Remembered
  #isSaved = true

  private constructor(path: string, found: Remembered) {
    this.#path = path
    this.#now = found
  }

  static open(path: string): DaemonMemory {
    return new DaemonMemory(path, parseMemory(readStateFile(path)))
  }

  get presence(): SaidPresence | undefined {
    return this.#now.presence
  }

  get tasks(): readonly LeasedTask[] {
    return this.#now.tasks
  }

  get retrieved(): number {
    return this.#now.retrieved
  }

  get told(): number {
    return this.#now.told
  }

  get breaker(): unknown {
    return this.#now.breaker
  }

  get stops(): unknown {
    return this.#now.stops
  }

  /** Takes over what changed; {@link save} writes it. */
  note(change: Partial<Remembered>): void {
    this.#now = { ...this.#now, ...change }
    this.#isSaved = false
  }

  /** Writes what changed; call it once a second and at the end. @returns why it could not, to be tried again */
  save(): ChatError | undefined {
    if (this.#isSaved) return undefined
    const problem = writeStateFile(this.#path, this.#now)
    this.#isSaved = problem === undefined
    return problem
  }
}

function parseMemory(found: Readonly<Record<string, unknown>>): Remembered {
  const { presence, tasks, retrieved, told, breaker, stops } = found
  return {
    presence: isPresence(presence) ? presence : undefined,
    tasks: Array.isArray(tasks) ? tasks.filter(isTask) : [],
    retrieved: countIn(retrieved),
    told: countIn(told),
    breaker,
    stops,
  }
}

function countIn(value: unknown): number {
  return Number.isSafeInteger(value) ? Math.max(0, value as number) : 0
}

function isPresence(value: unknown): value is SaidPresence {
  if (typeof value !== "object" || value === null) return false
  const { status, activity, role, since } = value as Record<string, unknown>
  return (
    ["idle", "working", "waiting", "away"].includes(String(status)) &&
    [activity, role].every((text) => text === undefined || typeof text === "string") &&
    typeof since === "number"
  )
}

function isTask(value: unknown): value is LeasedTask {
  if (typeof value !== "object" || value === null) return false
  const { task, lease_ms } = value as Record<string, unknown>
  return typeof task === "string" && typeof lease_ms === "number" && lease_ms > 0
}
