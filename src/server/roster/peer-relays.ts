import type { Backbone, Table } from "../../backbone/backbone.js"
import type { Clock } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"

/** Milliseconds of silence after which a relay is taken for gone. */
const goneMs = 60_000

/** What is told of other relays. */
export interface RelayEvents {
  /** It gave a sign of life. */
  onBeat(relay: string): void
  /** It gave none for {@link Limits.silenceMs}, or one after such a silence. */
  onSilence(relay: string, isSilent: boolean): void
  /** It said good-bye, or was silent for a minute. */
  onGone(relay: string): void
  readonly log: (line: string) => void
}

/** Another relay. */
interface Peer {
  /** Looks since its last sign of life. */
  quietLooks: number
  isSilent: boolean
}

/**
 * The relays that share a backbone: each writes its row again and again, and one whose row does not change is
 * silent, whatever its clock says.
 */
export class PeerRelays {
  readonly #table: Table
  readonly #backbone: Backbone
  readonly #self: string
  readonly #clock: Clock
  readonly #events: RelayEvents
  readonly #peers = new Map<string, Peer>()
  readonly #silentLooks: number
  readonly #goneLooks: number
  #isBeating = false
  #isClosed = false

  private constructor(
    table: Table,
    backbone: Backbone,
    self: string,
    clock: Clock,
    limits: Limits,
    events: RelayEvents,
  ) {
    this.#table = table
    this.#backbone = backbone
    this.#self = self
    this.#clock = clock
    this.#events = events
    this.#silentLooks = Math.ceil(limits.silenceMs / limits.probeMs)
    this.#goneLooks = Math.ceil(goneMs / limits.probeMs)
  }

  /**
   * @param self - what this relay is called among them, another one at each start
   * @throws {ChatError} UNAVAILABLE
   */
  static async open(
    backbone: Backbone,
    self: string,
    clock: Clock,
    limits: Limits,
    events: RelayEvents,
  ): Promise<PeerRelays> {
    const relays = new PeerRelays(await backbone.table("relay"), backbone, self, clock, limits, events)
    await relays.#table.watch(({ key, value }) => relays.#hear(key, value !== undefined))
    await relays.#beat()
    return relays
  }

  /** Takes note of a relay that an agent is said to be connected to; without a sign of life it is soon silent. */
  mention(relay: string): void {
    if (relay !== this.#self && !this.#peers.has(relay))
      this.#peers.set(relay, { quietLooks: 0, isSilent: false })
  }

  isSilent(relay: string): boolean {
    return this.#peers.get(relay)?.isSilent === true
  }

  /** Gives a sign of life and looks for those of others; call every {@link Limits.probeMs}. */
  look(): void {
    void this.#beat()
    // Nobody can be heard then, and that says nothing of them.
    if (!this.#backbone.isReachable) {
      for (const peer of this.#peers.values()) if (!peer.isSilent) peer.quietLooks = 0
      return
    }
    for (const [relay, peer] of this.#peers) {
      peer.quietLooks++
      if (peer.quietLooks === this.#silentLooks) {
        peer.isSilent = true
        this.#events.onSilence(relay, true)
      } else if (peer.quietLooks >= this.#goneLooks) {
        this.#end(relay)
        void this.#remove(relay)
      }
    }
  }

  /** Says good-bye. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#remove(this.#self)
  }

  #hear(relay: string, isThere: boolean): void {
    if (relay === this.#self || this.#isClosed) return
    if (!isThere) {
      this.#end(relay)
      return
    }
    this.mention(relay)
    const peer = this.#peers.get(relay)
    if (peer === undefined) return
    peer.quietLooks = 0
    this.#events.onBeat(relay)
    if (!peer.isSilent) return
    peer.isSilent = false
    this.#events.onSilence(relay, false)
  }

  #end(relay: string): void {
    if (this.#peers.delete(relay)) this.#events.onGone(relay)
  }

  async #beat(): Promise<void> {
    if (this.#isBeating || this.#isClosed) return
    this.#isBeating = true
    await this.#try(() => this.#table.put(this.#self, JSON.stringify({ ts: this.#clock.now() })))
    this.#isBeating = false
  }

  #remove(relay: string): Promise<void> {
    return this.#try(() => this.#table.delete(relay))
  }

  async #try(write: () => Promise<unknown>): Promise<void> {
    try {
      await write()
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#events.log(`the other relays cannot be told now: ${error.message}`)
    }
  }
}
