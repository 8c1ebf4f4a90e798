import type { ChatError } from "../../protocol/errors.js"
import { isChannelPattern } from "../../protocol/names.js"
import { readStateFile, writeStateFile } from "../files/state-file.js"

/** A place in one channel of one relay. */
export interface Bookmark {
  readonly serverId: string
  readonly channel: string
  /** The relay's number of a message of that channel. */
  readonly seq: number
}

/** Channel names, each with its place on the one relay; null for a channel not yet entered there. */
type Places = Map<string, number | null>

interface Stored {
  readonly server: string
  readonly serverId: string
  readonly places: Places
  readonly inviteOnly: readonly string[]
  readonly patterns: Patterns
}

/** Patterns of channels to be in, each with the channels that it alone brought. */
type Patterns = Map<string, Set<string>>

/**
 * The channels a daemon is in, and how far its inbox has each. Kept in one small file that may lag
 * behind the inbox, because then the relay only sends again what is dropped as a double. It must
 * never lead: what it passed over is not sent again.
 */
export class Bookmarks {
  readonly #path: string
  readonly #server: string
  #serverId: string
  readonly #places: Places
  readonly #inviteOnly: Set<string>
  readonly #patterns: Patterns
  #isSaved = true

  private constructor(path: string, server: string, { serverId, places, inviteOnly, patterns }: Stored) {
    this.#path = path
    this.#server = server
    this.#serverId = serverId
    this.#places = places
    this.#inviteOnly = new Set(inviteOnly)
    this.#patterns = patterns
  }

  /**
   * Reads the file. One that is missing or damaged is as good as a first start: the relay replays.
   * @param server - address of the relay; at another address only the names of the channels count
   */
  static open(path: string, server: string): Bookmarks {
    const stored = parseBookmarks(readStateFile(path))
    const isElsewhere = stored.server !== server
    return new Bookmarks(path, server, isElsewhere ? { ...stored, places: newcomer(stored.places) } : stored)
  }

  /** The channels to be in, whether or not a message of them was seen. */
  get channels(): readonly string[] {
    return [...this.#places.keys()]
  }

  /** The patterns of channels to be in. */
  get patterns(): readonly string[] {
    return [...this.#patterns.keys()]
  }

  /** Remembers a pattern. */
  addPattern(pattern: string): void {
    if (this.#patterns.has(pattern)) return
    this.#patterns.set(pattern, new Set())
    this.#isSaved = false
  }

  /** Forgets a pattern. @returns the channels that it alone had brought */
  forgetPattern(pattern: string): readonly string[] {
    const brought = this.#patterns.get(pattern) ?? []
    if (this.#patterns.delete(pattern)) this.#isSaved = false
    return [...brought]
  }

  /** Whether a pattern brought a channel, and nobody asked for it by its name. */
  isBrought(channel: string): boolean {
    return [...this.#patterns.values()].some((brought) => brought.has(channel))
  }

  /** A pattern brought a channel. */
  bring(channel: string, pattern: string): void {
    this.addPattern(pattern)
    this.#patterns.get(pattern)?.add(channel)
    this.#isSaved = false
  }

  /** Somebody asked for the channel by its name: it stays when a pattern is left. */
  keep(channel: string): void {
    for (const brought of this.#patterns.values()) if (brought.delete(channel)) this.#isSaved = false
  }

  /** Whether a channel was entered, on this relay or an earlier one. */
  isKnown(channel: string): boolean {
    return typeof this.#places.get(channel) === "number"
  }

  /**
   * Where to go on in a channel: after its last message that is in the inbox, or at the beginning of what a
   * restarted relay has. Undefined for a newcomer.
   */
  since(serverId: string, channel: string): number | undefined {
    const place = this.#places.get(channel)
    if (place === undefined || place === null) return undefined
    return serverId === this.#serverId ? place : 0
  }

  /** The session is with this relay now. Places on another one mean nothing here; the channels stay. */
  reset(serverId: string): void {
    if (serverId === this.#serverId) return
    this.#serverId = serverId
    for (const [channel, place] of this.#places) if (place !== null) this.#places.set(channel, 0)
    this.#isSaved = false
  }

  /** Whether a channel was entered as an invite-only one. */
  isInviteOnly(channel: string): boolean {
    return this.#inviteOnly.has(channel)
  }

  /** Remembers a channel that was entered. @param seq - its last message before the ones that follow */
  enter(channel: string, seq: number, { isInviteOnly = false }: { isInviteOnly?: boolean } = {}): void {
    if (isInviteOnly && !this.#inviteOnly.has(channel)) {
      this.#inviteOnly.add(channel)
      this.#isSaved = false
    }
    if (typeof this.#places.get(channel) === "number") return
    this.#places.set(channel, seq)
    this.#isSaved = false
  }

  /**
   * Moves places forward. Call it with what is safely in the inbox; marks of another relay, and of a channel that was
   * left meanwhile, are too late to count.
   */
  advance(marks: readonly Bookmark[]): void {
    for (const { serverId, channel, seq } of marks) {
      const place = this.#places.get(channel)
      if (serverId !== this.#serverId || place === undefined || seq <= (place ?? -1)) continue
      this.#places.set(channel, seq)
      this.#isSaved = false
    }
  }

  /** The channel was left: it is not entered again by itself. */
  forget(channel: string): void {
    this.#inviteOnly.delete(channel)
    this.keep(channel)
    if (this.#places.delete(channel)) this.#isSaved = false
  }

  /** Writes what changed; call it once a second and at the end. @returns why it could not, to be tried again */
  save(): ChatError | undefined {
    if (this.#isSaved) return undefined
    const channels = Object.fromEntries(this.#places)
    const inviteOnly = [...this.#inviteOnly]
    const problem = writeStateFile(this.#path, {
      server: this.#server,
      server_id: this.#serverId,
      channels,
      invite_only: inviteOnly,
      patterns: Object.fromEntries([...this.#patterns].map(([pattern, brought]) => [pattern, [...brought]])),
    })
    this.#isSaved = problem === undefined
    return problem
  }
}

function newcomer(places: Places): Places {
  return new Map([...places.keys()].map((channel) => [channel, null]))
}

function parseBookmarks(state: Readonly<Record<string, unknown>>): Stored {
  const places: Places = new Map()
  const { server, server_id: serverId, channels, invite_only: inviteOnly, patterns } = state
  if (typeof channels === "object" && channels !== null) {
    for (const [channel, seq] of Object.entries(channels)) {
      places.set(channel, Number.isSafeInteger(seq) ? (seq as number) : null)
    }
  }
  return {
    server: typeof server === "string" ? server : "",
    serverId: typeof serverId === "string" ? serverId : "",
    places,
    inviteOnly: namesIn(inviteOnly),
    patterns: parsePatterns(patterns),
  }
}

function parsePatterns(value: unknown): Patterns {
  if (typeof value !== "object" || value === null) return new Map()
  return new Map(
    Object.entries(value)
      .filter(([pattern]) => isChannelPattern(pattern))
      .map(([pattern, brought]) => [pattern, new Set(namesIn(brought))]),
  )
}

function namesIn(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((name) => typeof name === "string") : []
}
