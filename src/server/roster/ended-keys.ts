import { EventEmitter } from "node:events"
import type { Backbone, Table } from "../../backbone/backbone.js"
import { updateRow } from "../../backbone/update-row.js"
import { agentIdOf, parsePublicKey } from "../../identity/keys.js"
import { verifyKeyStatement } from "../../identity/succession.js"
import { ChatError } from "../../protocol/errors.js"
import { type KeyStatementClaim, keyStatement } from "../../protocol/message-fields.js"
import type { AgentId } from "../../protocol/names.js"
import { parseAs } from "../../protocol/schema.js"
import { FairShare, type Origin, unknownOrigin } from "../sessions/origin.js"
import type { Roster } from "./roster.js"

/** Keys whose end a relay remembers. */
const maxKeys = 16_384

/** The end of a key, as {@link EndedKeys} reports it. */
export interface KeyEnd {
  readonly id: AgentId
  /** The agent of the key that replaced it; undefined if it was revoked. */
  readonly to: AgentId | undefined
  readonly statement: KeyStatementClaim
}

/**
 * The keys that were revoked or replaced, on all relays of a backbone. The first statement about a key counts, but a
 * revocation counts more than a rotation: a thief may have replaced the key. Emits `ended` for each.
 */
export class EndedKeys extends EventEmitter<{ ended: [end: KeyEnd] }> {
  readonly #table: Table
  readonly #roster: Roster
  readonly #share = new FairShare(maxKeys)
  readonly #ends = new Map<AgentId, KeyEnd>()

  private constructor(table: Table, roster: Roster) {
    super()
    this.#table = table
    this.#roster = roster
  }

  /** @throws {ChatError} UNAVAILABLE */
  static async open(backbone: Backbone, roster: Roster): Promise<EndedKeys> {
    const keys = new EndedKeys(await backbone.table("ended-key"), roster)
    await keys.#table.watch(({ value }) => {
      const statement = value === undefined ? undefined : parseKeyEnd(value)
      if (statement !== undefined) keys.#note(statement, unknownOrigin)
    })
    return keys
  }

  find(id: AgentId): KeyEnd | undefined {
    return this.#ends.get(id)
  }

  /**
   * Adds a statement. Resolves when it is stored.
   * @returns the statement about the key that counts: this one, or an earlier one
   * @throws {ChatError} VERIFICATION_FAILED, LIMIT_REACHED, UNAVAILABLE
   */
  async add(statement: KeyStatementClaim, origin: Origin): Promise<KeyStatementClaim> {
    verifyKeyStatement(statement)
    const key = agentIdOf(parsePublicKey(statement.from)).slice(1)
    const { result } = await updateRow(
      this.#table,
      key,
      (row) => {
        const known = row && parseKeyEnd(row.value)
        if (known !== undefined && !isStronger(statement, known)) return { result: known }
        if (known === undefined && !this.#share.fits(origin)) {
          throw new ChatError("LIMIT_REACHED", "KEY_STATEMENT: too many ended keys come from your address")
        }
        return { result: statement, value: JSON.stringify(statement) }
      },
      { what: "statement" },
    )
    this.#note(result, origin)
    return result
  }

  #note(statement: KeyStatementClaim, origin: Origin): void {
    const id = agentIdOf(parsePublicKey(statement.from))
    const known = this.#ends.get(id)
    if (known !== undefined && !isStronger(statement, known.statement)) return
    if (known === undefined) this.#share.take(origin)
    const to = statement.type === "ROTATION" ? agentIdOf(parsePublicKey(statement.to)) : undefined
    const end = { id, to, statement }
    this.#ends.set(id, end)
    this.#roster.noteEnd(id, to)
    this.emit("ended", end)
  }
}

/** Returns the statement in a row; undefined if it is none. */
export function parseKeyEnd(value: string): KeyStatementClaim | undefined {
  return parseAs(keyStatement, value)
}

function isStronger(statement: KeyStatementClaim, known: KeyStatementClaim): boolean {
  return statement.type === "REVOCATION" && known.type === "ROTATION"
}
