import type { Backbone, Table } from "../../backbone/backbone.js"
import { updateRow } from "../../backbone/update-row.js"
import type { Clock, Timer } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import type { AgentId, Channel as ChannelName } from "../../protocol/names.js"

/** One member's place in a durable channel. */
export interface Place {
  /** Entitled to what was said after this number. */
  readonly from: number
  /** On its disk up to this number. */
  readonly at: number
}

/** What bookmarks need of their house. */
interface BookmarkPorts {
  readonly clock: Clock
  /** Whether an agent is online here. */
  isHere(id: AgentId): boolean
  readonly log: (line: string) => void
}

type Places = Readonly<Record<string, Place>>

/** An agent's row as it was read or written last. */
interface Row {
  readonly places: Places
  /** 0: there is none. */
  readonly revision: number
}

/** Milliseconds for which progress is gathered before it is written. */
const gatherMs = 1_000

/**
 * Where each persistent member stands in each durable channel it is in. Membership begins when it joins and
 * ends when it leaves, not when its connection does; what was said outside of it is not its to resume.
 */
export class Bookmarks {
  readonly #table: Table
  readonly #ports: BookmarkPorts
  /** Of those who are online here. */
  readonly #rows = new Map<AgentId, Row>()
  /** How far they came since, in the channels in which they did. */
  readonly #progress = new Map<AgentId, Places>()
  #timer: Timer | undefined

  private constructor(table: Table, ports: BookmarkPorts) {
    this.#table = table
    this.#ports = ports
  }

  static async open(backbone: Backbone, ports: BookmarkPorts): Promise<Bookmarks> {
    return new Bookmarks(await backbone.table("bookmark"), ports)
  }

  /** @returns undefined for somebody who is no member yet */
  async find(id: AgentId, channel: ChannelName): Promise<Place | undefined> {
    const { places } = await this.#load(id)
    return further(places, this.#progress.get(id))[channel]
  }

  /** Makes `id` a member, entitled to what is said after `seq`. Safe once it resolves. */
  async enter(id: AgentId, channel: ChannelName, seq: number): Promise<void> {
    const row = await this.#load(id)
    await this.#change(id, (places) => ({ ...places, [channel]: { from: seq, at: seq } }), row)
  }

  /** Ends the membership. Safe once it resolves. */
  async leave(id: AgentId, channel: ChannelName): Promise<void> {
    await this.#change(id, ({ [channel]: _, ...others }) => others)
  }

  /** Notes that `id` has everything up to `seq`; written a little later. */
  advance(id: AgentId, channel: ChannelName, seq: number): void {
    const known = this.#progress.get(id)
    const place = further(this.#rows.get(id)?.places ?? {}, known)[channel]
    if (place === undefined || seq <= place.at) return
    this.#progress.set(id, { ...known, [channel]: { from: place.from, at: seq } })
    this.#timer ??= this.#ports.clock.setTimer(() => void this.save(), gatherMs, { unref: true })
  }

  /** `id` is gone from this relay. */
  async forget(id: AgentId): Promise<void> {
    const row = this.#rows.get(id)
    this.#rows.delete(id)
    await this.#save([id], row)
  }

  /** Writes what was gathered; what cannot be written now is only sent once more later. */
  async save(): Promise<void> {
    this.#timer?.cancel()
    this.#timer = undefined
    await this.#save([...this.#progress.keys()])
  }

  async #load(id: AgentId): Promise<Row> {
    const row = this.#rows.get(id) ?? (await this.#read(id))
    // Who left while it was read may be changed by another relay from now on.
    if (!this.#rows.has(id) && this.#ports.isHere(id)) this.#rows.set(id, row)
    return row
  }

  async #save(ids: readonly AgentId[], row?: Row): Promise<void> {
    try {
      await Promise.all(ids.map((id) => this.#saveProgress(id, row)))
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#ports.log(`bookmarks are not saved: ${error.message}`)
    }
  }

  async #saveProgress(id: AgentId, row?: Row): Promise<void> {
    const progress = this.#progress.get(id)
    this.#progress.delete(id)
    if (progress !== undefined) await this.#change(id, (places) => further(places, progress), row)
  }

  /** Changes a row. @throws {ChatError} UNAVAILABLE */
  async #change(id: AgentId, change: (places: Places) => Places, known = this.#rows.get(id)): Promise<void> {
    const { result: places, revision } = await updateRow(
      this.#table,
      keyOf(id),
      (row) => {
        const before = row === undefined ? {} : (JSON.parse(row.value) as Places)
        const after = change(before)
        if (after === before) return { result: after }
        return { result: after, value: Object.keys(after).length > 0 ? JSON.stringify(after) : null }
      },
      {
        what: "bookmarks",
        known: known && { value: JSON.stringify(known.places), revision: known.revision },
      },
    )
    if (this.#rows.has(id)) this.#rows.set(id, { places, revision })
  }

  async #read(id: AgentId): Promise<Row> {
    const row = await this.#table.get(keyOf(id))
    if (row === undefined) return { places: {}, revision: 0 }
    return { places: JSON.parse(row.value) as Places, revision: row.revision }
  }
}

/** Places with the progress made in them; none in what was left meanwhile, or entered anew. */
function further(places: Places, progress: Places = {}): Places {
  const reached = Object.entries(progress).filter(([channel, { from, at }]) => {
    const place = places[channel]
    return place?.from === from && place.at < at
  })
  return reached.length === 0 ? places : { ...places, ...Object.fromEntries(reached) }
}

function keyOf(id: AgentId): string {
  return id.slice(1)
}
