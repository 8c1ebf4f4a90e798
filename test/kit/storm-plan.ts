/** What an agent writes, and what is to become of it. */
export interface StormLine {
  /** Unique in the storm. */
  readonly id: string
  /** `#channel`, `+role`, or the name of another agent of the storm; `@` and 16 digits for nobody. */
  readonly to: string
  /** Rises with each line of its author. */
  readonly serial: number
}

type FaultKind = "relay" | "daemons" | "node" | "cut" | "blink"

/** Something that breaks when so many lines were accepted, and is fixed so many lines later. */
export interface Fault {
  readonly kind: FaultKind
  /** Which relay, workspace or node. */
  readonly target: number
  readonly at: number
  readonly lasts: number
}

/** How large a storm is. */
export interface StormSize {
  readonly seed: number
  /** Agents; each fourth or so of them shares a process. */
  readonly agents: number
  readonly processes: number
  readonly roles: number
  readonly messages: number
  /** How often each kind of fault comes. */
  readonly rounds: number
}

/** A storm, decided by its size and its seed alone. */
export interface StormPlan extends StormSize {
  /** By agent. */
  readonly scripts: readonly (readonly StormLine[])[]
  readonly faults: readonly Fault[]
}

/** Keeps what is said; everybody is in it from the beginning. */
export const durableChannel = "#storm.kept"
/** Open, and not durable. */
export const openChannel = "#storm.open"
export const relayCount = 3
export const nodeCount = 3
const nobody = "@0123456789abcdef"
const faultKinds: readonly FaultKind[] = ["relay", "daemons", "node", "cut", "blink"]

/** A stream of numbers from 0 to 1 that its seed decides (mulberry32). */
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

/** Whether a worker gives a task back when it gets it for the first time: some do. */
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

/** Each round has every kind once, in an order of its own, over the whole length of the storm. */
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
