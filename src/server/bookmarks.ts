import type { Backbone, Table } from "../backbone/backbone.js"
import type { Clock, Timer } from "../base/clock.js"
import { ChatError } from "../protocol/errors.js"
import type { AgentId, Channel as ChannelName } from "../protocol/names.js"

/** One member's place in a durable channel. */
export interface Place {
  /** Entitled to what was said after this number. */
  readonly from: number
  /** On its disk up to this number. */
  readonly at: number
}

type Places = Record<string, Place>

/** Milliseconds for which progress is gathered before it is written. */
const gatherMs = 1_000

/**
 * Where each persistent member stands in each durable channel it is in. Membership begins when it joins and
 * ends when it leaves, not when its connection does; what was said outside of it is not its to resume.
 */
export class Bookmarks {
  readonly #table: Table
  readonly #clock: Clock
  readonly #log: (line: string) => void
  /** Of those who are online here. */
  readonly #places = new Map<AgentId, Places>()
  readonly #changed = new Set<AgentId>()
  #timer: Timer | undefined

  private constructor(table: Table, clock: Clock, log: (line: string) => void) {
    this.#table = table
    this.#clock = clock
    this.#log = log
  }

  static async open(backbone: Backbone, clock: Clock, log: (line: string) => void): Promise<Bookmarks> {
    return new Bookmarks(await backbone.table("bookmark"), clock, log)
  }

  /** @returns undefined for somebody who is no member yet */
  async find(id: AgentId, channel: ChannelName): Promise<Place | undefined> {
    return (await this.#load(id))[channel]
  }

  /** Makes `id` a member, entitled to what is said after `seq`. Safe once it resolves. */
  async enter(id: AgentId, channel: ChannelName, seq: number): Promise<void> {
    const places = await this.#load(id)
    places[channel] = { from: seq, at: seq }
    await this.#write(id)
  }

  /** Ends the membership. Safe once it resolves. */
  async leave(id: AgentId, channel: ChannelName): Promise<void> {
    const places = await this.#load(id)
    if (places[channel] === undefined) return
    const { [channel]: _, ...others } = places
    this.#places.set(id, others)
    await this.#write(id)
  }

  /** Notes that `id` has everything up to `seq`; written a little later. */
  advance(id: AgentId, channel: ChannelName, seq: number): void {
    const places = this.#places.get(id)
    const place = places?.[channel]
    if (places === undefined || place === undefined || seq <= place.at) return
    places[channel] = { from: place.from, at: seq }
    this.#changed.add(id)
    this.#timer ??= this.#clock.setTimer(() => void this.save(), gatherMs, { unref: true })
  }

  /** `id` is gone from this relay. */
  async forget(id: AgentId): Promise<void> {
    if (this.#changed.has(id)) await this.save()
    this.#places.delete(id)
  }

  /** Writes what was gathered; what cannot be written now is only sent once more later. */
  async save(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    const ids = [...this.#changed]
    this.#changed.clear()
    try {
      await Promise.all(ids.map((id) => this.#write(id)))
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#log(`bookmarks are not saved: ${error.message}`)
    }
  }

  async #load(id: AgentId): Promise<Places> {
    const known = this.#places.get(id)
    if (known !== undefined) return known
    const row = await this.#table.get(keyOf(id))
    const places = this.#places.get(id) ?? (row === undefined ? {} : (JSON.parse(row.value) as Places))
    this.#places.set(id, places)
    return places
  }

  async #write(id: AgentId): Promise<void> {
    const places = this.#places.get(id)
    if (places === undefined) return
    if (Object.keys(places).length === 0) await this.#table.delete(keyOf(id))
    else await this.#table.put(keyOf(id), JSON.stringify(places))
  }
}

function keyOf(id: AgentId): string {
  return id.slice(1)
}
