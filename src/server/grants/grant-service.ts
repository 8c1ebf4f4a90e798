import type { Backbone, Table } from "../../backbone/backbone.js"
import { updateRow } from "../../backbone/update-row.js"
import type { Clock } from "../../base/clock.js"
import { type Act, decide, isValid, type Rights, rightsOf } from "../../grants/decide.js"
import { actsOf } from "../../grants/rights.js"
import { verifyGrant } from "../../grants/sign.js"
import { agentIdOf, parsePublicKey } from "../../identity/keys.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import { type Grant, grant, profiles } from "../../protocol/grants.js"
import { agentId } from "../../protocol/message-fields.js"
import type { AgentId, Channel } from "../../protocol/names.js"
import { list, object, parseAs } from "../../protocol/schema.js"
import type { ModerationService } from "../moderation/moderation-service.js"
import type { Operators } from "../operators.js"
import type { Roster } from "../roster/roster.js"

/** A grant that was shown, and the agents that used it. */
const grantRow = object({ grant, keys: list(agentId) })

interface GrantRow {
  readonly grant: Grant
  readonly keys: readonly AgentId[]
}

/** The ids of an agent: that of its key, and of the keys it replaced. */
interface Holder {
  readonly id: AgentId
  readonly formerly?: readonly AgentId[] | undefined
}

interface GrantOptions {
  readonly operators: Operators
  readonly moderation: Pick<ModerationService, "isRevoked">
  readonly roster: Pick<Roster, "isRevoked">
  readonly clock: Pick<Clock, "now">
  /** Reports whether only agents with a grant may enter. */
  readonly isClosed: boolean
}

/** The grants that agents have shown, on all relays of a backbone. In an open relay, everything is allowed. */
export class GrantService {
  readonly isClosed: boolean
  readonly #table: Table
  readonly #backbone: Pick<Backbone, "id">
  readonly #options: GrantOptions
  readonly #rows = new Map<string, GrantRow>()
  /** Ids of grants by who uses them. */
  readonly #used = new Map<AgentId, Set<string>>()

  private constructor(table: Table, backbone: Pick<Backbone, "id">, options: GrantOptions) {
    this.#table = table
    this.#backbone = backbone
    this.#options = options
    this.isClosed = options.isClosed
  }

  /** @throws {ChatError} UNAVAILABLE */
  static async open(backbone: Backbone, options: GrantOptions): Promise<GrantService> {
    const service = new GrantService(await backbone.table("grant"), backbone, options)
    await service.#table.watch(({ key, value }) => {
      const row = value === undefined ? undefined : parseGrantRow(value)
      if (row !== undefined) service.#note(key, row)
    })
    return service
  }

  /** Every grant that was used, with who used it. */
  rows(): readonly GrantRow[] {
    return [...this.#rows.values()]
  }

  /**
   * Takes the grants that an agent shows with its key.
   * @param did - the key that it proved
   * @throws {ChatError} FORBIDDEN if none of them, and none it has shown before, lets it enter; UNAVAILABLE
   */
  async enter(holder: Holder, did: string, shown: readonly Grant[]): Promise<void> {
    const problems: string[] = []
    for (const each of shown) {
      const problem = this.#problemOf(each, did) ?? (await this.#use(each, holder))
      if (problem !== undefined) problems.push(`${each.id} ${problem}`)
    }
    const refusal = this.#refusal(holder, { kind: "enter" })
    if (refusal === undefined) return
    if (problems.length === 0) throw refusal
    throw new ChatError("FORBIDDEN", `the relay is closed: grant ${problems.join("; grant ")}`, {
      hint: "ask an operator of the relay for another grant, or for a link of your own",
    })
  }

  /** Returns the error for a message that no grant allows. @param roleOf - returns the role of a task */
  refusal(
    agent: Holder,
    message: ClientMessage,
    roleOf: (task: string) => string | undefined,
  ): ChatError | undefined {
    if (!this.isClosed) return undefined
    for (const act of actsOf(message, roleOf)) {
      const refusal = this.#refusal(agent, act)
      if (refusal !== undefined) return refusal
    }
    return undefined
  }

  /** Reports whether an agent may read a channel. @param isInvited - false for one to which it was not invited */
  mayRead(agent: Holder, channel: Channel, isInvited: boolean): boolean {
    if (!this.isClosed) return isInvited
    if (!isInvited && decide(this.#grantsOf(agent), { kind: "audit" }, this.#scope).isAllowed) return true
    return isInvited && this.#refusal(agent, { kind: "read", channel }) === undefined
  }

  /** Reports whether an agent may take tasks of a role. */
  mayServe(agent: Holder, role: string): boolean {
    return !this.isClosed || this.#refusal(agent, { kind: "serve", role }) === undefined
  }

  /** Reports whether an agent may see the tasks of a role. */
  maySeeTasks(agent: Holder, role: string): boolean {
    return !this.isClosed || this.#refusal(agent, { kind: "see", role }) === undefined
  }

  /** Returns the error for an agent that asks what others do, also in an open relay. @param what - what it asks for */
  auditRefusal(agent: Holder, what: string): ChatError | undefined {
    if (this.#options.operators.has(agent.id)) return undefined
    if (this.isClosed) return this.#refusal(agent, { kind: "audit" })
    return new ChatError("OPERATOR_REQUIRED", `${what}: only an operator of the relay may do this`)
  }

  /** Reports whether an agent may be here. */
  mayStay(agent: Holder): boolean {
    return !this.isClosed || this.#refusal(agent, { kind: "enter" }) === undefined
  }

  /** Hides an agent that may only read, and takes a role from it that it may not serve. */
  limit(agent: Holder & { isHidden: boolean; role: string | undefined }): void {
    agent.isHidden = this.#isHidden(agent)
    if (agent.role !== undefined && !this.mayServe(agent, agent.role)) agent.role = undefined
  }

  #isHidden(agent: Holder): boolean {
    if (!this.isClosed || this.#options.operators.has(agent.id)) return false
    const scope = this.#scope
    const valid = this.#grantsOf(agent).filter((each) => isValid(each, scope))
    return valid.every(({ profile }) => !profiles[profile].isListed)
  }

  /** Returns what an agent may do; undefined in an open relay, and for operators, who may do everything. */
  rightsOf(agent: Holder): Rights | undefined {
    return this.isClosed ? rightsOf(this.#grantsOf(agent), this.#scope) : undefined
  }

  get #scope() {
    return { relay: this.#backbone.id, now: this.#options.clock.now() }
  }

  #refusal(agent: Holder, act: Act): ChatError | undefined {
    if (this.#options.operators.has(agent.id)) return undefined
    const verdict = decide(this.#grantsOf(agent), act, this.#scope)
    if (verdict.isAllowed) return undefined
    return new ChatError("FORBIDDEN", `the relay is closed: ${verdict.rule}`, {
      hint: "ask an operator of the relay for a grant",
    })
  }

  #grantsOf({ id, formerly = [] }: Holder): Grant[] {
    const { roster, moderation, operators } = this.#options
    const ids = [id, ...formerly].filter((each) => !roster.isRevoked(each))
    const used = ids.flatMap((each) => [...(this.#used.get(each) ?? [])])
    return [...new Set(used)].flatMap((grantId) => {
      const row = this.#rows.get(grantId)
      const isGood = row && !moderation.isRevoked(grantId) && operators.has(idOf(row.grant.from))
      return isGood === true ? row.grant : []
    })
  }

  #problemOf(shown: Grant, did: string): string | undefined {
    const { operators, moderation, clock } = this.#options
    try {
      verifyGrant(shown)
    } catch (error) {
      if (error instanceof ChatError) return error.message
      throw error
    }
    if (!operators.has(idOf(shown.from))) return "is not signed by an operator of this relay"
    if (shown.aud !== this.#backbone.id) return "is for another relay"
    if (shown.exp !== undefined && clock.now() >= shown.exp) return "has expired"
    if (shown.to !== undefined && shown.to !== did) return "is for another key"
    return moderation.isRevoked(shown.id) ? "was revoked" : undefined
  }

  /** Notes that an agent uses a grant. @returns the problem if it was used as often as it may */
  async #use(shown: Grant, { id, formerly = [] }: Holder): Promise<string | undefined> {
    const { result } = await updateRow<string | GrantRow>(
      this.#table,
      shown.id,
      (row) => {
        const known = row && parseGrantRow(row.value)
        const keys = known?.keys ?? []
        if (known !== undefined && known.grant.sig !== shown.sig)
          return { result: "has the id of another grant" }
        if ([id, ...formerly].some((each) => keys.includes(each)))
          return { result: known ?? { grant: shown, keys } }
        if (keys.length >= (shown.uses ?? 1)) return { result: "is used up" }
        const next = { grant: shown, keys: [...keys, id] }
        return { result: next, value: JSON.stringify(next) }
      },
      { what: "grant" },
    )
    if (typeof result === "string") return result
    this.#note(shown.id, result)
    return undefined
  }

  #note(id: string, row: GrantRow): void {
    const known = this.#rows.get(id)
    if (known !== undefined && known.keys.length >= row.keys.length) return
    this.#rows.set(id, row)
    for (const key of row.keys) {
      const used = this.#used.get(key)
      if (used === undefined) this.#used.set(key, new Set([id]))
      else used.add(id)
    }
  }
}

/** Returns the grant in a row, and who uses it; undefined if it is none. */
export function parseGrantRow(value: string): GrantRow | undefined {
  return parseAs(grantRow, value)
}

function idOf(did: string): AgentId {
  return agentIdOf(parsePublicKey(did))
}
