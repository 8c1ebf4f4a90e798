import { randomBytes } from "node:crypto"
import type { Clock } from "../base/clock.js"
import { Gcra } from "../guards/gcra.js"
import type { Limits } from "../protocol/limits.js"
import type { AgentMemory } from "./agent.js"
import { Budget } from "./budget.js"
import { ChannelDirectory } from "./channel-directory.js"
import { FlushTick } from "./flush-tick.js"
import { Hub } from "./hub.js"
import { Mailbox } from "./mailbox.js"
import { Residents } from "./residents.js"
import { SentIds } from "./sent-ids.js"
import type { Session } from "./session.js"

/** What an operator decides. */
export interface HouseOptions {
  /** What the relay calls itself. */
  readonly name: string
  readonly limits: Limits
  /** Take the first AgentChat's handshake too. */
  readonly isCompat: boolean
  /** Write what is said to the log; never without being asked. */
  readonly logMessages: boolean
  readonly clock: Clock
  readonly log: (line: string) => void
}

const serverIdBytes = 12
const bootNonceBytes = 4

/** Everything the handlers share: who is here, what is said where, and the rules of the house. */
export class House {
  readonly options: HouseOptions
  /** New at each boot: sequence numbers and proofs of another boot mean nothing here. */
  readonly serverId = `srv_${randomBytes(serverIdBytes).toString("base64url")}`
  readonly tick = new FlushTick()
  readonly hub = new Hub()
  readonly channels: ChannelDirectory
  readonly residents: Residents
  readonly #mailBudget: Budget
  readonly #bootNonce = randomBytes(bootNonceBytes).toString("hex")
  #unnamedFrames = 0

  constructor(options: HouseOptions) {
    const { limits, clock } = options
    this.options = options
    this.channels = new ChannelDirectory(limits, clock, this.tick)
    this.#mailBudget = new Budget(limits.mailTotalBytes)
    this.residents = new Residents(clock, limits.identities, () => ({
      ...this.makeMemory(),
      mailbox: new Mailbox(limits, this.#mailBudget),
    }))
  }

  /** The memory of somebody who is not remembered. */
  makeMemory(): AgentMemory {
    const { ratePerSecond, rateBurst, rememberedIds } = this.options.limits
    return {
      meter: new Gcra({ ratePerSecond, burst: rateBurst }),
      sent: new SentIds(rememberedIds),
      mailbox: undefined,
    }
  }

  /** An id for a message whose frame has none; no sender can have used it in an earlier boot. */
  nextFrameId(): string {
    return `~${this.#bootNonce}${(this.#unnamedFrames++).toString(36)}`
  }

  /** Takes a session out of everything it was in. */
  depart(session: Session): void {
    const agent = session.admitted
    if (agent === undefined) return
    for (const channel of session.channels) this.channels.abandon(channel, agent)
    session.channels.clear()
    this.hub.remove(session)
    if (agent.memory.mailbox !== undefined) this.residents.leave(agent.id)
    this.options.log(`left: ${agent.id} ${agent.name}`)
  }
}
