import type { Clock, Timer } from "../../base/clock.js"
import { Gcra, type Rate } from "../../guards/gcra.js"
import type { Channel } from "../../protocol/names.js"
import type { ServerMessage } from "../../protocol/server-messages.js"
import type { Agent } from "../sessions/agent.js"

type Movement = "joined" | "left"

/** An agent of this relay, or of another one. */
interface Mover {
  readonly id: string
  readonly name: string
}

interface Step {
  readonly movement: Movement
  readonly agent: Mover
}

/** Steps by agent, without those that cancel out. */
type NetSteps = Map<string, Step>

/** Milliseconds for which joins and leaves are collected. */
const windowMs = 100
/** Notices at once after a pause, and a second in the long run: who comes and goes again and again wakes nobody. */
const noticeRate: Rate = { ratePerSecond: 1 / 60, burst: 20 }
/** Steps after which a window ends early: each newcomer gets the steps after its own, so the cost is quadratic. */
const windowSteps = 256

/** The recipients of notices: a channel. */
export interface NoticeAudience {
  readonly members: ReadonlySet<Agent>
  sendTo(recipients: Iterable<Agent>, message: ServerMessage): void
}

/**
 * Sends the members of a channel AGENT_JOINED and AGENT_LEFT, collected for 100 ms: when a thousand agents join at
 * once, each member gets a few messages instead of a thousand. After 20 notices they are collected for a minute. An agent that joins meanwhile gets only what came
 * after its JOINED. An agent that joins and leaves, or leaves and joins, within one window is not mentioned.
 */
export class MembershipNotices {
  readonly #channel: Channel
  readonly #audience: NoticeAudience
  readonly #clock: Clock
  readonly #meter = new Gcra(noticeRate)
  #steps: Step[] = []
  #timer: Timer | undefined

  constructor(channel: Channel, audience: NoticeAudience, clock: Clock) {
    this.#channel = channel
    this.#audience = audience
    this.#clock = clock
  }

  /** Adds a step that the list of members already shows. */
  add(movement: Movement, agent: Mover): void {
    this.#steps.push({ movement, agent })
    this.#timer ??= this.#clock.setTimer(() => this.flush(), this.#waitMs(), { unref: true })
    if (this.#steps.length >= windowSteps) this.flush()
  }

  /** Sends what was collected. Called before each message, so that none arrives before the notice of its author. */
  flush(): void {
    if (this.#steps.length === 0) return
    this.#timer?.cancel()
    this.#timer = undefined
    const steps = this.#steps
    this.#steps = []
    const { members } = this.#audience
    const newcomers = new Set<Mover>()
    const net: NetSteps = new Map()
    // Backwards, so that at each step `net` holds what happened after it.
    for (const step of steps.reverse()) {
      const { movement, agent } = step
      if (movement === "joined" && isOneOf(members, agent) && !newcomers.has(agent)) {
        newcomers.add(agent)
        this.#send([agent], net)
      }
      toggle(net, step)
    }
    if (net.size > 0) this.#meter.charge(this.#clock.monotonic(), 1)
    this.#send(
      [...members].filter((member) => !newcomers.has(member)),
      net,
    )
  }

  #waitMs(): number {
    return Math.max(windowMs, this.#meter.usage(this.#clock.monotonic()).nextInMs)
  }

  #send(recipients: readonly Agent[], net: NetSteps): void {
    if (net.size === 0 || recipients.length === 0) return
    for (const movement of ["joined", "left"] as const) {
      const message = this.#format(movement, net)
      if (message !== undefined) this.#audience.sendTo(recipients, message)
    }
  }

  #format(movement: Movement, net: NetSteps): ServerMessage<"AGENT_JOINED" | "AGENT_LEFT"> | undefined {
    const agents: { id: string; name: string }[] = []
    for (const step of net.values()) {
      if (step.movement === movement) agents.push({ id: step.agent.id, name: step.agent.name })
    }
    // The steps are in reverse order.
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

/** Adds a step, or removes the opposite one of the same agent under the same name. */
function toggle(net: NetSteps, step: Step): void {
  const key = `${step.agent.id} ${step.agent.name}`
  if (!net.delete(key)) net.set(key, step)
}
