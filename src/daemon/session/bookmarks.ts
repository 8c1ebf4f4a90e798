import type { ChatError } from "../../protocol/errors.js"
import { isChannelPattern } from "../../protocol/names.js"
import { readStateFile, writeStateFile } from "../files/state-file.js"

/** A position in one channel of one relay. */
export interface Bookmark {
  readonly serverId: string
  readonly channel: string
  /** The relay's sequence number of a message in that channel. */
  readonly seq: number
}

/** Sequence number per channel on the current relay; null for a channel not joined there yet. */
type Positions = Map<string, number | null>

/** Patterns, each with the channels that were joined only because they match it. */
type Patterns = Map<string, Set<string>>

interface Stored {
  readonly isNew: boolean
  readonly server: string
  readonly serverId: string
  readonly positions: Positions
  readonly inviteOnly: readonly string[]
  readonly patterns: Patterns
}

/**
 * bookmarks.json: the channels a daemon is in, and the newest message of each that is on disk in the inbox. The file may
 * be behind the inbox: the relay then replays messages that the inbox drops as duplicates. It must never be ahead,
 * because messages before a bookmark are not sent again.
 */
export class Bookmarks {
  /** True if no earlier run has left the file. */
  readonly isNew: boolean
  readonly #path: string
  readonly #server: string
  #serverId: string
  readonly #positions: Positions
  readonly #inviteOnly: Set<string>
  readonly #patterns: Patterns
  #isSaved = true

  private constructor(path: string, server: string, stored: Stored) {
    const { isNew, serverId, positions, inviteOnly, patterns } = stored
    this.isNew = isNew
    this.#path = path
    this.#server = server
    this.#serverId = serverId
    this.#positions = positions
    this.#inviteOnly = new Set(inviteOnly)
    this.#patterns = patterns
  }

  /**
   * Reads the file. A missing or damaged file counts as empty: the relay replays.
   * @param server - URL of the relay; if the file is from another URL, only its channel names are used
   * @throws {ChatError} FILE_FAILED when the file exists and cannot be read
   */
  static open(path: string, server: string): Bookmarks {
    const stored = parseBookmarks(readStateFile(path))
    if (stored.server === server) return new Bookmarks(path, server, stored)
    const positions: Positions = new Map([...stored.positions.keys()].map((channel) => [channel, null]))
    return new Bookmarks(path, server, { ...stored, serverId: "", positions })
  }

  /** The `server_id` of the relay that the bookmarks are of; undefined before there was one. */
  get serverId(): string | undefined {
    return this.#serverId === "" ? undefined : this.#serverId
  }

  /** The channels to join, including those without a message so far. */
  get channels(): readonly string[] {
    return [...this.#positions.keys()]
  }

  /** The patterns to join. */
  get patterns(): readonly string[] {
    return [...this.#patterns.keys()]
  }

  /**
   * Makes `names` the whole list of channels and patterns to join, before any is joined: it counts at the next start even
   * if no relay answers until then.
   */
  setWanted(names: readonly string[]): void {
    for (const pattern of this.patterns) if (!names.includes(pattern)) this.forgetPattern(pattern)
    for (const channel of this.channels) {
      if (!names.includes(channel) && !this.isFromPattern(channel)) this.forget(channel)
    }
    for (const name of names) {
      if (isChannelPattern(name)) this.addPattern(name)
      else if (!this.#positions.has(name)) {
        this.#positions.set(name, null)
        this.#isSaved = false
      }
    }
  }

  addPattern(pattern: string): void {
    if (this.#patterns.has(pattern)) return
    this.#patterns.set(pattern, new Set())
    this.#isSaved = false
  }

  /** Removes a pattern. @returns the channels that were joined only because they match it */
  forgetPattern(pattern: string): readonly string[] {
    const matches = this.#patterns.get(pattern) ?? []
    if (this.#patterns.delete(pattern)) this.#isSaved = false
    return [...matches]
  }

  /** Reports whether a channel was joined only because it matches a pattern. */
  isFromPattern(channel: string): boolean {
    return [...this.#patterns.values()].some((matches) => matches.has(channel))
  }

  /** Records a channel that was joined only because it matches `pattern`. */
  addMatch(channel: string, pattern: string): void {
    this.addPattern(pattern)
    this.#patterns.get(pattern)?.add(channel)
    this.#isSaved = false
  }

  /** Records that the channel was joined by name: it stays joined when a pattern is left. */
  keep(channel: string): void {
    for (const matches of this.#patterns.values()) if (matches.delete(channel)) this.#isSaved = false
  }

  /** Reports whether a channel was ever joined, on this relay or an earlier one. */
  isKnown(channel: string): boolean {
    return typeof this.#positions.get(channel) === "number"
  }

  /**
   * Returns the `since` to join a channel with: the newest message in the inbox, or 0 on a relay that restarted.
   * Undefined for a channel that was never joined.
   */
  since(serverId: string, channel: string): number | undefined {
    const seq = this.#positions.get(channel) ?? undefined
    return seq === undefined || serverId === this.#serverId ? seq : 0
  }

  /** Switches to a relay. Positions on another one become 0; the channels stay. */
  reset(serverId: string): void {
    if (serverId === this.#serverId) return
    this.#serverId = serverId
    for (const [channel, seq] of this.#positions) if (seq !== null) this.#positions.set(channel, 0)
    this.#isSaved = false
  }

  /** Reports whether a channel was invite-only when it was joined. */
  isInviteOnly(channel: string): boolean {
    return this.#inviteOnly.has(channel)
  }

  /**
   * Adds a channel that was joined.
   * @param seq - the last message before those the relay sends next
   * @param options - `isReset`: positions above `seq` are of another life of the relay's store, or were false
   */
  enter(channel: string, seq: number, options: { isInviteOnly?: boolean; isReset?: boolean } = {}): void {
    const { isInviteOnly = false, isReset = false } = options
    if (isInviteOnly && !this.#inviteOnly.has(channel)) {
      this.#inviteOnly.add(channel)
      this.#isSaved = false
    }
    const known = this.#positions.get(channel) ?? undefined
    if (known !== undefined && !(isReset && known > seq)) return
    this.#positions.set(channel, seq)
    this.#isSaved = false
  }

  /**
   * Moves bookmarks forward to messages that are on disk. Ignores bookmarks of another relay and of channels that were
   * left meanwhile.
   */
  advance(bookmarks: readonly Bookmark[]): void {
    for (const { serverId, channel, seq } of bookmarks) {
      const known = this.#positions.get(channel)
      if (serverId !== this.#serverId || known === undefined || seq <= (known ?? -1)) continue
      this.#positions.set(channel, seq)
      this.#isSaved = false
    }
  }

  /** Moves a bookmark back: the numbers of the channel began again, or an earlier one was false. */
  restart(channel: string, seq: number): void {
    if ((this.#positions.get(channel) ?? 0) <= seq) return
    this.#positions.set(channel, seq)
    this.#isSaved = false
  }

  /** Removes a channel that was left. */
  forget(channel: string): void {
    this.#inviteOnly.delete(channel)
    this.keep(channel)
    if (this.#positions.delete(channel)) this.#isSaved = false
  }

  /** Writes the file if something changed. @returns the error if it failed; the next call tries again */
  save(): ChatError | undefined {
    if (this.#isSaved) return undefined
    const problem = writeStateFile(this.#path, {
      server: this.#server,
      server_id: this.#serverId,
      channels: Object.fromEntries(this.#positions),
      invite_only: [...this.#inviteOnly],
      patterns: Object.fromEntries([...this.#patterns].map(([pattern, matches]) => [pattern, [...matches]])),
    })
    this.#isSaved = problem === undefined
    return problem
  }
}

function parseBookmarks(state: Readonly<Record<string, unknown>>): Stored {
  const { server, server_id: serverId, channels, invite_only: inviteOnly, patterns } = state
  return {
    isNew: server === undefined,
    server: typeof server === "string" ? server : "",
    serverId: typeof serverId === "string" ? serverId : "",
    positions: new Map(
      entriesOf(channels).map(([channel, seq]) => [
        channel,
        Number.isSafeInteger(seq) ? (seq as number) : null,
      ]),
    ),
    inviteOnly: stringsOf(inviteOnly),
    patterns: new Map(
      entriesOf(patterns)
        .filter(([pattern]) => isChannelPattern(pattern))
        .map(([pattern, matches]) => [pattern, new Set(stringsOf(matches))]),
    ),
  }
}

function entriesOf(value: unknown): [string, unknown][] {
  return typeof value === "object" && value !== null ? Object.entries(value) : []
}

function stringsOf(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((name) => typeof name === "string") : []
}
