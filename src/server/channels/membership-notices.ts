import type { Clock, Timer } from "../../base/clock.js"
import type { Channel } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Agent } from "../sessions/agent.js"

type Movement = "joined" | "left"

/** Who moved: an agent of this relay, or one that is connected to another. */
interface Mover {
  readonly id: string
  readonly name: string
}

interface Step {
  readonly movement: Movement
  readonly agent: Mover
}

/** Who came and who went, after what cancels out is taken away. */
type Net = Map<string, Step>

/** Milliseconds for which comings and goings are gathered. */
const windowMs = 100
/** Steps after which a window ends early: each newcomer is told what happened after it, so cost is quadratic. */
const windowSteps = 256

/** Where a window's news goes. */
export interface NoticeAudience {
  readonly members: ReadonlySet<Agent>
  /** Queues one message for `recipients`. */
  deliver(message: ServerMessage, recipients: Iterable<Agent>): void
}

/**
 * Tells the members of a channel who came and went, gathered: a thousand agents that join at once are a few
 * messages for each member, not a thousand. Somebody who came in the meantime is told only what JOINED did
 * not say yet; who comes and goes, or goes and comes back, within one window is not mentioned at all.
 */
export class MembershipNotices {
  readonly #channel: Channel
  readonly #audience: NoticeAudience
  readonly #clock: Clock
  #steps: Step[] = []
  #timer: Timer | undefined

  constructor(channel: Channel, audience: NoticeAudience, clock: Clock) {
    this.#channel = channel
    this.#audience = audience
    this.#clock = clock
  }

  /** Notes that `agent` came or went; call when the members are already as they are afterwards. */
  note(movement: Movement, agent: Mover): void {
    this.#steps.push({ movement, agent })
    this.#timer ??= this.#clock.setTimer(() => this.flush(), windowMs, { unref: true })
    if (this.#steps.length >= windowSteps) this.flush()
  }

  /** Tells now what was gathered, so that no message overtakes the news of its author. */
  flush(): void {
    if (this.#steps.length === 0) return
    this.#timer?.cancel()
    this.#timer = undefined
    const steps = this.#steps
    this.#steps = []
    const { members } = this.#audience
    const newcomers = new Set<Mover>()
    const net: Net = new Map()
    // Backwards, so that what is in `net` at each step is what happened after it.
    for (const step of steps.reverse()) {
      const { movement, agent } = step
      if (movement === "joined" && isOneOf(members, agent) && !newcomers.has(agent)) {
        newcomers.add(agent)
        this.#tell(net, [agent])
      }
      toggle(net, step)
    }
    this.#tell(
      net,
      [...members].filter((member) => !newcomers.has(member)),
    )
  }

  #tell(net: Net, recipients: readonly Agent[]): void {
    if (net.size === 0 || recipients.length === 0) return
    for (const movement of ["joined", "left"] as const) {
      const message = this.#format(movement, net)
      if (message !== undefined) this.#audience.deliver(message, recipients)
    }
  }

  #format(movement: Movement, net: Net): ServerMessage<"AGENT_JOINED" | "AGENT_LEFT"> | undefined {
    const agents: { id: string; name: string }[] = []
    for (const step of net.values()) {
      if (step.movement === movement) agents.push({ id: step.agent.id, name: step.agent.name })
    }
    // Net is in the order of the way back.
    agents.reverse()
    const [first] = agents
    if (first === undefined) return undefined
    return {
      type: movement === "joined" ? "AGENT_JOINED" : "AGENT_LEFT",
      channel: this.#channel,
      agent: first.id,
      name: first.name,
      ts: this.#clock.now(),
      ...(agents.length > 1 && { agents }),
    }
  }
}

function isOneOf(members: ReadonlySet<Mover>, mover: Mover): mover is Agent {
  return members.has(mover)
}

/** A second step of the same agent under the same name takes back the first. */
function toggle(net: Net, step: Step): void {
  const key = `${step.agent.id} ${step.agent.name}`
  if (!net.delete(key)) net.set(key, step)
}
