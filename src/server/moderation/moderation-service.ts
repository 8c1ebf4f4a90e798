import { EventEmitter } from "node:events"
import type { Backbone } from "../../backbone/backbone.js"
import type { Clock } from "../../base/clock.js"
import { agentIdOf, parsePublicKey } from "../../identity/keys.js"
import { verifyModeration } from "../../identity/moderation.js"
import { type ClientMessage, isSpoken } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { AuditEntry, Moderation, ModerationAction } from "../../protocol/moderation.js"
import { type AgentId, isChannelPattern } from "../../protocol/names.js"
import { isVerb } from "../../protocol/verbs.js"
import type { Operators } from "../operators.js"
import { AuditLog } from "./audit-log.js"

/** Milliseconds that the time of an action may differ from the relay's. */
const maxSkewMs = 300_000
/** Milliseconds within which a second operator has to say the same, where two rule. */
const secondMs = 600_000

/** An action that is in force. */
interface Sanction {
  readonly by: AgentId
  readonly reason: string
  readonly until: number | undefined
}

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

  /** Returns the error for an agent that is banned, under any of its ids. */
  banOf(ids: readonly AgentId[]): ChatError | undefined {
    for (const id of ids) {
      const ban = this.#inForce(this.#bans, id)
      if (ban !== undefined) return this.#error(ban, "you are banned from this relay")
    }
    return undefined
  }

  /** Returns the error for a message that operators have forbidden; undefined if they have not. */
  refusal(agent: AgentId, message: ClientMessage): ChatError | undefined {
    if (this.#mutes.size + this.#kicks.size + this.#closed.size === 0) return undefined
    if (this.#options.operators.has(agent)) return undefined
    const channel = channelOf(message)
    const kicked = this.#kickError(channel, agent)
    if (message.type === "JOIN") return kicked
    if (!isSpoken(message) && !isVerb(message.type) && message.type !== "DONE") return undefined
    const mute = this.#inForce(this.#mutes, agent)
    if (mute !== undefined) return this.#error(mute, "you are muted")
    if (kicked !== undefined) return kicked
    const closed = channel === undefined ? undefined : this.#closed.get(channel)
    return closed && this.#error(closed, `${String(channel)} is closed`)
  }

  /** Reports whether an agent was taken out of a channel and may not come back yet. */
  isKept(channel: string, agent: AgentId): boolean {
    return this.#kicks.size > 0 && this.#inForce(this.#kicks, `${channel} ${agent}`) !== undefined
  }

  /** Reports whether a grant was revoked. */
  isRevoked(grant: string): boolean {
    return this.#revoked.has(grant)
  }

  #kickError(channel: string | undefined, agent: AgentId): ChatError | undefined {
    if (channel === undefined || isChannelPattern(channel)) return undefined
    const kick = this.#inForce(this.#kicks, `${channel} ${agent}`)
    return kick && this.#error(kick, `you were taken out of ${channel}`)
  }

  #error({ by, reason, until }: Sanction, what: string): ChatError {
    const now = this.#options.clock.now()
    const end = until === undefined ? "" : ` until ${new Date(until).toISOString()}`
    const details = until === undefined ? {} : { retryAfterMs: Math.max(1, until - now) }
    return new ChatError("FORBIDDEN", `${what}${end}, by ${by}: ${reason}`, details)
  }

  #inForce<K>(sanctions: Map<K, Sanction>, key: K): Sanction | undefined {
    const sanction = sanctions.get(key)
    if (sanction?.until === undefined || sanction.until > this.#options.clock.now()) return sanction
    sanctions.delete(key)
    return undefined
  }

  #apply({ statement, ts }: AuditEntry): void {
    const { action, reason, until, agent = "", channel = "", grant = "" } = statement
    const by = idOf(statement.from)
    const sanction = { by, reason, until }
    const id = agent.toLowerCase() as AgentId
    const effects: Readonly<Record<ModerationAction, () => unknown>> = {
      ban: () => this.#bans.set(id, sanction),
      unban: () => this.#bans.delete(id),
      mute: () => this.#mutes.set(id, sanction),
      unmute: () => this.#mutes.delete(id),
      kick: () => this.#kicks.set(`${channel} ${id}`, sanction),
      close: () => this.#closed.set(channel, sanction),
      reopen: () => this.#closed.delete(channel),
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

function channelOf(message: ClientMessage): string | undefined {
  if ("channel" in message) return message.channel
  return message.type === "MSG" && message.to.startsWith("#") ? message.to : undefined
}
