import { EventEmitter } from "node:events"
import type { Backbone } from "../../backbone/backbone.js"
import type { Clock } from "../../base/clock.js"
import { agentIdOf, parsePublicKey } from "../../identity/keys.js"
import { verifyModeration } from "../../identity/moderation.js"
import { type ClientMessage, isSpoken } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { AuditEntry, Moderation, ModerationAction } from "../../protocol/moderation.js"
import { type AgentId, type Channel, isChannelPattern } from "../../protocol/names.js"
import { isVerb } from "../../protocol/verbs.js"
import type { Operators } from "../operators.js"
import type { Agent } from "../sessions/agent.js"
import { AuditLog } from "./audit-log.js"

/** Milliseconds that the time of an action may differ from the relay's. */
const maxSkewMs = 300_000
/** Milliseconds within which a second operator has to say the same, where two rule. */
const secondMs = 600_000

/** An action that holds for an agent or a channel until a later one. */
interface Sanction {
  /** Number in the audit log. */
  readonly seq: number
  readonly by: AgentId
  readonly reason: string
  readonly until: number | undefined
  /** True if it ended an earlier one. */
  readonly isLift: boolean
  readonly writers: readonly string[]
}

/** An agent whose messages are checked. */
type Speaker = Pick<Agent, "id" | "formerly" | "role">

interface ModerationOptions {
  readonly operators: Operators
  readonly clock: Clock
  /** Reports whether two operators have to agree on deleting history. */
  readonly isTwoPerson: boolean
}

/** An action that has just taken effect on every relay. */
export interface Carried {
  readonly statement: Moderation
  readonly by: AgentId
}

/** The decisions of operators, on all relays of a backbone. They follow from the audit log alone. Emits `carried`. */
export class ModerationService extends EventEmitter<{ carried: [action: Carried] }> {
  readonly #options: ModerationOptions
  readonly #backbone: Pick<Backbone, "id">
  readonly #bans = new Map<AgentId, Sanction>()
  readonly #mutes = new Map<AgentId, Sanction>()
  /** By channel and agent. */
  readonly #kicks = new Map<string, Sanction>()
  /** Ids of grants. */
  readonly #revoked = new Set<string>()
  readonly #closed = new Map<string, Sanction>()
  /** By channel; others than its writers may not write. */
  readonly #restricted = new Map<string, Sanction>()
  /** For a channel, who wants to delete its history, where two have to. */
  readonly #asked = new Map<string, { readonly by: AgentId; readonly ts: number }>()
  #log: AuditLog | undefined
  #isLive = false

  private constructor(backbone: Pick<Backbone, "id">, options: ModerationOptions) {
    super()
    this.#backbone = backbone
    this.#options = options
  }

  /** @throws {ChatError} UNAVAILABLE */
  static async open(backbone: Backbone, options: ModerationOptions): Promise<ModerationService> {
    const service = new ModerationService(backbone, options)
    service.#log = await AuditLog.open(backbone, (entry) => service.#apply(entry))
    service.#isLive = true
    return service
  }

  /** All entries of the audit log, the oldest first. */
  entries(): readonly AuditEntry[] {
    return this.#log?.entries() ?? []
  }

  /**
   * Carries out an action. Resolves when it is stored.
   * @returns false if a second operator has to say the same
   * @throws {ChatError} VERIFICATION_FAILED, INVALID_MSG, OPERATOR_REQUIRED, UNAVAILABLE
   */
  async carry(statement: Moderation): Promise<boolean> {
    const { operators, clock } = this.#options
    verifyModeration(statement)
    if (!operators.has(idOf(statement.from))) {
      throw new ChatError(
        "OPERATOR_REQUIRED",
        `${statement.action}: only an operator of the relay may do this`,
      )
    }
    if (statement.aud !== this.#backbone.id) {
      throw new ChatError("VERIFICATION_FAILED", "aud: the statement is for another relay")
    }
    const now = clock.now()
    if (Math.abs(statement.ts - now) > maxSkewMs) {
      throw new ChatError("VERIFICATION_FAILED", "ts: differs from the relay's time by more than 5 minutes", {
        hint: "check the clocks of both machines",
      })
    }
    if (statement.agent !== undefined && operators.has(statement.agent)) {
      throw new ChatError("INVALID_MSG", "agent: is an operator; take it out of the operators' file first")
    }
    await this.#log?.append(statement, now)
    return statement.action !== "clear" || !this.#asked.has(statement.channel ?? "")
  }

  /** Returns the error for an agent that is banned. @param ids - of the agent, now and before */
  banOf(ids: readonly AgentId[]): ChatError | undefined {
    const ban = this.#inForce(this.#bans, ids)
    return ban && this.#error(ban, "you are banned from this relay")
  }

  /**
   * Returns the error for a message that operators have forbidden; undefined if they have not.
   * @param isVisible - reports whether the agent may know that a channel exists
   */
  refusal(
    agent: Speaker,
    message: ClientMessage,
    isVisible: (channel: Channel) => boolean,
  ): ChatError | undefined {
    if (this.#mutes.size + this.#kicks.size + this.#closed.size + this.#restricted.size === 0)
      return undefined
    if (this.#options.operators.has(agent.id)) return undefined
    const channel = channelOf(message)
    const kicked = channel === undefined ? undefined : this.#kickOf(channel, agent)
    const kickError = kicked && this.#error(kicked, `you were taken out of ${String(channel)}`)
    if (message.type === "JOIN") return kickError
    if (!putsText(message)) return undefined
    const mute = this.#inForce(this.#mutes, idsOf(agent))
    if (mute !== undefined) return this.#error(mute, "you are muted")
    if (kickError !== undefined) return kickError
    return channel !== undefined && isVisible(channel) ? this.#writeError(channel, agent) : undefined
  }

  /** Reports whether an agent was taken out of a channel and may not come back yet. */
  isKept(channel: Channel, agent: Speaker): boolean {
    return this.#kicks.size > 0 && this.#kickOf(channel, agent) !== undefined
  }

  /** Returns those that may write to a channel besides operators; undefined if every member may. */
  writersOf(channel: string): readonly string[] | undefined {
    if (this.#closed.has(channel)) return []
    return this.#restricted.get(channel)?.writers
  }

  /** Reports whether a grant was revoked. */
  isRevoked(grant: string): boolean {
    return this.#revoked.has(grant)
  }

  #kickOf(channel: Channel, agent: Speaker): Sanction | undefined {
    return this.#inForce(
      this.#kicks,
      idsOf(agent).map((id) => `${channel} ${id}`),
    )
  }

  #writeError(channel: Channel, { role, ...agent }: Speaker): ChatError | undefined {
    const closed = this.#closed.get(channel)
    if (closed !== undefined) return this.#error(closed, `${channel} is closed`)
    const restricted = this.#restricted.get(channel)
    if (restricted === undefined) return undefined
    const own = role === undefined ? idsOf(agent) : [...idsOf(agent), `+${role}`]
    const { writers } = restricted
    if (own.some((each) => writers.some((writer) => writer.toLowerCase() === each.toLowerCase())))
      return undefined
    return this.#error(restricted, `only ${writers.join(", ")} and operators write to ${channel}`)
  }

  #error({ by, reason, until }: Sanction, what: string): ChatError {
    const now = this.#options.clock.now()
    const end = until === undefined ? "" : ` until ${new Date(until).toISOString()}`
    const details = until === undefined ? {} : { retryAfterMs: Math.max(1, until - now) }
    return new ChatError("FORBIDDEN", `${what}${end}, by ${by}: ${reason}`, details)
  }

  /** Returns the newest sanction under one of the keys, unless it has ended. */
  #inForce<K>(sanctions: ReadonlyMap<K, Sanction>, keys: readonly K[]): Sanction | undefined {
    let newest: Sanction | undefined
    for (const key of keys) {
      const sanction = sanctions.get(key)
      if (sanction !== undefined && sanction.seq > (newest?.seq ?? 0)) newest = sanction
    }
    const hasEnded = (newest?.until ?? Infinity) <= this.#options.clock.now()
    return newest?.isLift === true || hasEnded ? undefined : newest
  }

  #apply({ seq, statement, ts }: AuditEntry): void {
    const { action, reason, until, agent = "", channel = "", grant = "", writers = [] } = statement
    const by = idOf(statement.from)
    const sanction = { seq, by, reason, until, writers, isLift: false }
    const lift = { ...sanction, isLift: true }
    const id = agent.toLowerCase() as AgentId
    const effects: Readonly<Record<ModerationAction, () => unknown>> = {
      ban: () => this.#bans.set(id, sanction),
      unban: () => this.#bans.set(id, lift),
      mute: () => this.#mutes.set(id, sanction),
      unmute: () => this.#mutes.set(id, lift),
      kick: () => this.#kicks.set(`${channel} ${id}`, sanction),
      close: () => this.#closed.set(channel, sanction),
      reopen: () => this.#closed.delete(channel),
      restrict: () => this.#restricted.set(channel, sanction),
      unrestrict: () => this.#restricted.delete(channel),
      revoke: () => this.#revoked.add(grant),
      clear: () => {},
    }
    effects[action]()
    if (action === "clear" && !this.#isAgreed(channel, by, ts)) return
    if (this.#isLive) this.emit("carried", { statement, by })
  }

  /** Notes that an operator wants to delete the history of a channel. @returns true if that is enough */
  #isAgreed(channel: string, by: AgentId, ts: number): boolean {
    const first = this.#asked.get(channel)
    const isSecond = first !== undefined && first.by !== by && ts - first.ts <= secondMs
    if (!this.#options.isTwoPerson || isSecond) {
      this.#asked.delete(channel)
      return true
    }
    this.#asked.set(channel, { by, ts })
    return false
  }
}

function idOf(did: string): AgentId {
  return agentIdOf(parsePublicKey(did))
}

/** Returns the ids of an agent: that of its key, and of the keys it replaced. */
export function idsOf({ id, formerly = [] }: Pick<Agent, "id" | "formerly">): readonly AgentId[] {
  return [id, ...formerly]
}

/** Reports whether a message puts text into the inboxes of others, or asks what one would do. */
function putsText(message: ClientMessage): boolean {
  const { type } = message
  return isSpoken(message) || isVerb(type) || type === "DONE" || type === "FORECAST"
}

function channelOf(message: ClientMessage): Channel | undefined {
  if ("channel" in message) {
    const { channel } = message
    return channel === "*" || isChannelPattern(channel) ? undefined : channel
  }
  return "to" in message && message.to.startsWith("#") ? (message.to as Channel) : undefined
}
