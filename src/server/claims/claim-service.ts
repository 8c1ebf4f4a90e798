import { createHash } from "node:crypto"
import type { Backbone, RowChange, Subscription, Table } from "../../backbone/backbone.js"
import { updateRow } from "../../backbone/update-row.js"
import type { Clock, Timer } from "../../base/clock.js"
import { omitUndefined } from "../../base/plain.js"
import { isClaimOf } from "../../identity/claim-signature.js"
import {
  type ClaimEntry,
  claimEntry,
  claimedPaths,
  defaultClaimSeconds,
  findConflict,
} from "../../protocol/claims.js"
import type { ClientMessage } from "../../protocol/client-messages.js"
import { ChatError } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"
import type { AgentId } from "../../protocol/names.js"
import { list, literal, object, parseAs, string } from "../../protocol/schema.js"
import type { Roster } from "../roster/roster.js"
import type { Agent } from "../sessions/agent.js"
import { FairShare, type Origin, unknownOrigin } from "../sessions/origin.js"
import type { Session } from "../sessions/session.js"

/** Most claims of all repositories. */
const maxClaims = 4_096
/** Most claimed paths of one: a new path is compared with each, and its row has to fit into a message of the store. */
const maxPathsOfRepository = 256
/** Milliseconds after which the claims of an agent end that is offline. */
const offlineMs = 300_000
/** Milliseconds between two looks for claims that have ended. */
const sweepMs = 10_000
/** Milliseconds for which changes are gathered before they are sent. */
const gatherMs = 100
/** Characters sent to each follower per millisecond, so that changing a long list again and again floods nobody. */
const charactersPerMs = 20

/** The claims of one repository: a row of the table `claim`. */
const row = object({ v: literal(1), repo: string, claims: list(claimEntry) })

interface Repository {
  readonly repo: string
  readonly claims: readonly ClaimEntry[]
}

export interface ClaimServiceOptions {
  readonly roster: Pick<Roster, "find">
  /** Reports whether an agent cannot come back under its id. */
  readonly isGone: (id: AgentId) => boolean
  readonly limits: Pick<Limits, "statementSkewMs">
  readonly clock: Clock
  readonly log: (line: string) => void
}

type ClaimAgent = Pick<Agent, "id" | "name" | "isPersistent" | "origin">

/**
 * Records which agent edits which files. All claims of a repository are one row, so that compare-and-set decides which
 * of two simultaneous claims on two relays is first.
 */
export class ClaimService {
  readonly #table: Table
  readonly #serverId: () => string
  readonly #options: ClaimServiceOptions
  readonly #startedTs: number
  readonly #repositories = new Map<string, Repository>()
  readonly #share = new FairShare(maxClaims)
  /** The origin that each claim is charged to, by its signature. */
  readonly #charged = new Map<string, Origin>()
  readonly #followers = new Set<Session>()
  readonly #changed = new Set<string>()
  #endWatch: Subscription = () => {}
  /** Changes that the store has reported. */
  #changes = 0
  #sweepTimer: Timer | undefined
  #noticeTimer: Timer | undefined
  /** When the next changes may be sent, on the monotonic clock. */
  #nextNoticeMs = 0
  #isClosed = false

  /** @throws {ChatError} UNAVAILABLE */
  static async open(
    backbone: Pick<Backbone, "table" | "id">,
    options: ClaimServiceOptions,
  ): Promise<ClaimService> {
    const service = new ClaimService(await backbone.table("claim"), () => backbone.id, options)
    service.#endWatch = await service.#table.watch((change) => {
      service.#changes++
      service.#index(change)
    })
    return service
  }

  private constructor(table: Table, serverId: () => string, options: ClaimServiceOptions) {
    this.#table = table
    this.#serverId = serverId
    this.#options = options
    this.#startedTs = options.clock.now()
  }

  /**
   * Records a claim of all its paths. Paths that the agent has claimed before belong to the new claim from now on.
   * @throws {ChatError} CLAIMED if another agent has one of them; IDENTITY_REQUIRED, INVALID_MSG, VERIFICATION_FAILED,
   * LIMIT_REACHED, UNAVAILABLE
   */
  async claim(agent: ClaimAgent, message: ClientMessage<"CLAIM_PATHS">): Promise<ClaimEntry> {
    const claim = this.#readClaim(agent, message)
    await this.#update(claim.repo, (claims) => {
      const own = release(claims, agent.id, claim.paths)
      this.#refuseConflict(claim, own.claims)
      const isNew = claims.length <= own.claims.length
      const pathCount = [...own.claims, claim].flatMap(claimedPaths).length
      if (pathCount > maxPathsOfRepository || (isNew && !this.#share.fits(agent.origin))) {
        throw new ChatError("LIMIT_REACHED", "paths: too many claims exist", {
          hint: "release what you no longer edit: agentchat release --all",
        })
      }
      this.#charged.set(claim.sig, agent.origin)
      return { result: undefined, claims: [...own.claims, claim] }
    })
    return claim
  }

  /**
   * Ends claims of an agent.
   * @param repo - undefined for all repositories
   * @param paths - undefined for all of them
   * @returns the paths that it had claimed
   * @throws {ChatError} UNAVAILABLE
   */
  async release(
    id: AgentId,
    repo: string | undefined,
    paths: readonly string[] | undefined,
  ): Promise<string[]> {
    const repos = [...this.#repositories.values()].filter(
      (one) => (repo === undefined || one.repo === repo) && one.claims.some(({ owner }) => owner === id),
    )
    const released: string[] = []
    for (const one of repos) {
      const result = await this.#update(one.repo, (claims) => {
        const after = release(claims, id, paths)
        return { result: after.released, claims: after.claims }
      })
      released.push(...result)
    }
    return released
  }

  /** Returns the claims that have not ended. @param repo - undefined for all repositories */
  list(repo?: string): ClaimEntry[] {
    const repositories =
      repo === undefined ? [...this.#repositories.values()] : [this.#repositories.get(keyOf(repo))]
    return repositories.flatMap((one) => one?.claims.filter((claim) => !this.#isOver(claim)) ?? [])
  }

  /** Returns the claims of each agent that has some. */
  byOwner(): Map<string, ClaimEntry[]> {
    const owners = new Map<string, ClaimEntry[]>()
    for (const claim of this.list()) owners.set(claim.owner, [...(owners.get(claim.owner) ?? []), claim])
    return owners
  }

  /** Sends every later change to a session, until {@link unfollow}. */
  follow(session: Session): void {
    this.#followers.add(session)
  }

  unfollow(session: Session): void {
    this.#followers.delete(session)
  }

  close(): void {
    this.#isClosed = true
    this.#endWatch()
    this.#sweepTimer?.cancel()
    this.#noticeTimer?.cancel()
  }

  #readClaim(agent: ClaimAgent, message: ClientMessage<"CLAIM_PATHS">): ClaimEntry {
    const { repo, paths, note, seconds = defaultClaimSeconds, ts = 0, sig = "" } = message
    const { clock, limits } = this.#options
    if (!agent.isPersistent) {
      throw new ChatError("IDENTITY_REQUIRED", "CLAIM_PATHS: an agent without an identity cannot sign", {
        hint: "connect with an identity: agentchat identity --generate",
      })
    }
    if (paths.length === 0)
      throw new ChatError("INVALID_MSG", "CLAIM_PATHS.paths: must name at least one path")
    if (Math.abs(ts - clock.now()) > limits.statementSkewMs) {
      const minutes = limits.statementSkewMs / 60_000
      throw new ChatError(
        "INVALID_MSG",
        `CLAIM_PATHS.ts: must be at most ${minutes} min from the relay's clock`,
      )
    }
    const signed = { aud: this.#serverId(), repo, paths, note, seconds, ts }
    if (!isClaimOf(signed, sig, agent.id)) {
      throw new ChatError(
        "VERIFICATION_FAILED",
        "CLAIM_PATHS.sig: must be made for this relay by your own key",
      )
    }
    const expires_ts = ts + seconds * 1_000
    const entry = {
      repo,
      paths: [...new Set(paths)],
      owner: agent.id,
      name: agent.name,
      seconds,
      ts,
      expires_ts,
      sig,
    }
    return { ...entry, ...omitUndefined({ note }) }
  }

  #refuseConflict({ paths, owner }: ClaimEntry, claims: readonly ClaimEntry[]): void {
    const now = this.#options.clock.now()
    for (const path of paths) {
      const other = findConflict(claims, path, owner, now)
      if (other === undefined) continue
      const end = new Date(other.expires_ts).toISOString()
      const note = other.note === undefined ? "" : `: ${JSON.stringify(other.note)}`
      throw new ChatError(
        "CLAIMED",
        `paths: ${path} is claimed by ${other.owner} (${other.name}) until ${end}${note}`,
        { hint: `ask ${other.owner} to release it, or take other files; see: agentchat claims --all` },
      )
    }
  }

  #isOver({ owner, expires_ts, ts }: ClaimEntry): boolean {
    const now = this.#options.clock.now()
    if (expires_ts <= now || this.#options.isGone(owner as AgentId)) return true
    const facts = this.#options.roster.find(owner)
    if (facts !== undefined && facts.status !== "offline") return false
    // The owner has time to come back after a restart of the relay.
    return now - Math.max(facts?.seenTs ?? ts, this.#startedTs, ts) >= offlineMs
  }

  /** Changes the claims of a repository that have not ended. */
  async #update<T>(
    repo: string,
    change: (claims: readonly ClaimEntry[]) => { readonly result: T; readonly claims: readonly ClaimEntry[] },
  ): Promise<T> {
    const key = keyOf(repo)
    const changesBefore = this.#changes
    const { result, revision } = await updateRow(
      this.#table,
      key,
      (before) => {
        const known = before === undefined ? [] : (parseAs(row, before.value)?.claims ?? [])
        const { result: own, claims } = change(known.filter((claim) => !this.#isOver(claim)))
        const value = claims.length === 0 ? null : JSON.stringify({ v: 1, repo, claims })
        const isNothing = before === undefined && value === null
        return { result: { own, value: value ?? undefined }, value: isNothing ? undefined : value }
      },
      { what: "claim" },
    )
    // A change that was reported meanwhile may be a later one; then this one was reported too, or will be.
    if (this.#changes === changesBefore) this.#index({ key, value: result.value, revision })
    return result.own
  }

  #index({ key, value }: RowChange): void {
    const known = this.#repositories.get(key)
    const read = value === undefined ? undefined : parseAs(row, value)
    const before = known ?? { repo: "", claims: [] }
    const after = read ?? { repo: before.repo, claims: [] }
    if (read === undefined) this.#repositories.delete(key)
    else this.#repositories.set(key, read)
    if (JSON.stringify(before.claims) === JSON.stringify(after.claims)) return
    this.#charge(before.claims, after.claims)
    this.#changed.add(after.repo)
    this.#schedule()
  }

  #charge(before: readonly ClaimEntry[], after: readonly ClaimEntry[]): void {
    const left = new Set(after.map(({ sig }) => sig))
    const had = new Set(before.map(({ sig }) => sig))
    for (const sig of had) {
      if (left.has(sig)) continue
      this.#share.give(this.#charged.get(sig) ?? unknownOrigin)
      this.#charged.delete(sig)
    }
    for (const sig of left) if (!had.has(sig)) this.#share.take(this.#charged.get(sig) ?? unknownOrigin)
  }

  #schedule(): void {
    if (this.#isClosed) return
    const { clock } = this.#options
    const waitMs = Math.max(gatherMs, this.#nextNoticeMs - clock.monotonic())
    this.#noticeTimer ??= clock.setTimer(() => this.#sendChanges(), waitMs, { unref: true })
    this.#sweepTimer ??= clock.setTimer(() => this.sweep(), sweepMs, { unref: true })
  }

  #sendChanges(): void {
    this.#noticeTimer = undefined
    let characters = 0
    for (const repo of this.#changed) {
      const text = JSON.stringify({ type: "CLAIMS_CHANGED", repo, list: this.list(repo) })
      for (const session of this.#followers) session.sendQueue.send(text)
      characters += text.length
    }
    this.#nextNoticeMs = this.#options.clock.monotonic() + characters / charactersPerMs
    this.#changed.clear()
  }

  /** Removes claims that have ended, and looks again later while there are others. */
  sweep(): void {
    this.#sweepTimer?.cancel()
    this.#sweepTimer = undefined
    if (this.#repositories.size === 0) return
    this.#schedule()
    for (const { repo, claims } of this.#repositories.values()) {
      if (!claims.some((claim) => this.#isOver(claim))) continue
      this.#update(repo, (left) => ({ result: undefined, claims: left })).catch((error: unknown) => {
        if (!(error instanceof ChatError)) throw error
        this.#options.log(`claims: those that ended cannot be removed now: ${error.code}`)
      })
    }
  }
}

function keyOf(repo: string): string {
  return createHash("sha256").update(repo).digest("base64url")
}

/** Takes paths from the claims of an agent. @param paths - undefined for all */
function release(
  claims: readonly ClaimEntry[],
  id: string,
  paths: readonly string[] | undefined,
): { readonly claims: ClaimEntry[]; readonly released: string[] } {
  const released: string[] = []
  const left = claims.flatMap((claim) => {
    if (claim.owner !== id) return [claim]
    const held = claimedPaths(claim)
    const ended = held.filter((path) => paths === undefined || paths.includes(path))
    if (ended.length === 0) return [claim]
    released.push(...ended)
    if (ended.length === held.length) return []
    return [{ ...claim, released: [...(claim.released ?? []), ...ended] }]
  })
  return { claims: left, released }
}
