/** A message of the script of an agent. */
export interface StormLine {
  /** Unique in the storm. */
  readonly id: string
  /** `#channel`, `+role` or the name of another agent; `@` and 16 digits for an agent that does not exist. */
  readonly to: string
  /** Rises with each line of its author. */
  readonly serial: number
}

type FaultKind = "relay" | "daemons" | "node" | "cut" | "blink"

/** A fault. It begins after `at` lines have an outcome, and ends `lasts` lines later. */
export interface Fault {
  readonly kind: FaultKind
  /** Index of the relay, workspace or node. */
  readonly target: number
  readonly at: number
  readonly lasts: number
}

/** The size of a storm. */
export interface StormSize {
  readonly seed: number
  /** Number of agents; several share a process. */
  readonly agents: number
  readonly processes: number
  readonly roles: number
  readonly messages: number
  /** Number of faults of each kind. */
  readonly rounds: number
}

/** The plan of a storm, determined by its size and seed. */
export interface StormPlan extends StormSize {
  /** By agent. */
  readonly scripts: readonly (readonly StormLine[])[]
  readonly faults: readonly Fault[]
}

/** A durable channel that every agent has joined. */
export const durableChannel = "#storm.kept"
/** A channel that is not durable, and that every agent has joined. */
export const openChannel = "#storm.open"
export const relayCount = 3
export const nodeCount = 3
const nobody = "@nobody"
const faultKinds: readonly FaultKind[] = ["relay", "daemons", "node", "cut", "blink"]

/** Returns a random number generator with a seed (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export function nameOf(agent: number): string {
  return `s${agent}`
}

export function roleOf(agent: number, roles: number): string {
  return `crew${agent % roles}`
}

/** Reports whether a worker gives a task back on the first attempt, as for one task in ten. */
export function isGivenBack(task: string, attempt: number): boolean {
  return attempt === 1 && Number.parseInt(task.replace(/\D/g, "").slice(-2), 10) % 10 === 7
}

export function isRefused({ to }: StormLine): boolean {
  return to === nobody
}

export function planStorm(size: StormSize): StormPlan {
  const random = randomOf(size.seed)
  const scripts: StormLine[][] = Array.from({ length: size.agents }, () => [])
  for (let n = 0; n < size.messages; n++) {
    const author = Math.floor(random() * size.agents)
    const script = scripts[author] ?? []
    const serial = script.length
    script.push({ id: `${nameOf(author)}-${serial}`, to: addressee(size, author, random), serial })
  }
  return { ...size, scripts, faults: planFaults(size, random) }
}

function addressee({ agents, roles }: StormSize, author: number, random: () => number): string {
  const dice = random()
  if (dice < 0.01) return nobody
  if (dice < 0.33) return durableChannel
  if (dice < 0.6) return openChannel
  if (dice < 0.85) return nameOf((author + 1 + Math.floor(random() * (agents - 1))) % agents)
  return `+crew${Math.floor(random() * roles)}`
}

/** Spreads the faults over the storm; each round has every kind once, in random order. */
function planFaults({ messages, rounds, processes }: StormSize, random: () => number): Fault[] {
  const kinds = Array.from({ length: rounds }, () => shuffle(faultKinds, random)).flat()
  const gap = messages / (kinds.length + 1)
  const targets = {
    relay: relayCount,
    daemons: processes,
    node: nodeCount,
    cut: relayCount,
    blink: relayCount,
  }
  return kinds.map((kind, index) => ({
    kind,
    target: Math.floor(random() * targets[kind]),
    at: Math.floor(gap * (index + 0.3 + random() * 0.7)),
    lasts: Math.floor(gap * (0.2 + random() * 1.2)),
  }))
}

function shuffle<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map((item) => ({ item, key: random() }))
    .sort((a, b) => a.key - b.key)
    .map(({ item }) => item)
}
