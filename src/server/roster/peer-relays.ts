import type { Backbone, Table } from "../../backbone/backbone.js"
import type { Clock } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import type { Limits } from "../../protocol/limits.js"

/** Milliseconds without a heartbeat after which a relay is considered gone. */
const goneMs = 60_000

/** Receives the state changes of other relays. */
export interface PeerListener {
  onHeartbeat(relay: string): void
  /** The relay sent no heartbeat for {@link Limits.silenceMs}, or sent one again after that. */
  onSilence(relay: string, isSilent: boolean): void
  /** The relay signed off, or sent no heartbeat for a minute. */
  onGone(relay: string): void
}

interface PeerRelayOptions {
  /** The name of this relay among its peers, a new one at each start. */
  readonly self: string
  readonly clock: Clock
  readonly limits: Limits
  readonly log: (line: string) => void
}

interface Peer {
  /** Checks since its last heartbeat. */
  missedChecks: number
  isSilent: boolean
}

/**
 * The other relays of a backbone. Each relay writes a row of its own again and again as a heartbeat; a relay whose row
 * does not change is silent. Clocks of different relays are never compared.
 */
export class PeerRelays {
  readonly #table: Table
  readonly #backbone: Backbone
  readonly #options: PeerRelayOptions
  readonly #listener: PeerListener
  readonly #peers = new Map<string, Peer>()
  readonly #silentChecks: number
  readonly #goneChecks: number
  #isWriting = false
  #isClosed = false

  private constructor(table: Table, backbone: Backbone, options: PeerRelayOptions, listener: PeerListener) {
    const { probeMs, silenceMs } = options.limits
    this.#table = table
    this.#backbone = backbone
    this.#options = options
    this.#listener = listener
    this.#silentChecks = Math.ceil(silenceMs / probeMs)
    this.#goneChecks = Math.ceil(goneMs / probeMs)
  }

  /** @throws {ChatError} UNAVAILABLE */
  static async open(
    backbone: Backbone,
    options: PeerRelayOptions,
    listener: PeerListener,
  ): Promise<PeerRelays> {
    const relays = new PeerRelays(await backbone.table("relay"), backbone, options, listener)
    await relays.#table.watch(({ key, value }) => relays.#onChange(key, value !== undefined))
    await relays.#writeHeartbeat()
    return relays
  }

  /** Adds a relay that an agent is connected to; if it sends no heartbeat it becomes silent and then gone. */
  add(relay: string): void {
    if (relay === this.#options.self || this.#peers.has(relay)) return
    this.#peers.set(relay, { missedChecks: 0, isSilent: false })
  }

  isSilent(relay: string): boolean {
    return this.#peers.get(relay)?.isSilent === true
  }

  /** Writes a heartbeat and checks for those of others; to be called every {@link Limits.probeMs}. */
  check(): void {
    void this.#writeHeartbeat()
    // Without a connection to the backbone, missing heartbeats say nothing about other relays.
    if (!this.#backbone.isReachable) {
      for (const peer of this.#peers.values()) if (!peer.isSilent) peer.missedChecks = 0
      return
    }
    for (const [relay, peer] of this.#peers) {
      peer.missedChecks++
      if (peer.missedChecks === this.#silentChecks) {
        peer.isSilent = true
        this.#listener.onSilence(relay, true)
      } else if (peer.missedChecks >= this.#goneChecks) {
        this.#remove(relay)
        void this.#deleteRow(relay)
      }
    }
  }

  /** Signs off. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#deleteRow(this.#options.self)
  }

  #onChange(relay: string, exists: boolean): void {
    if (relay === this.#options.self || this.#isClosed) return
    if (!exists) {
      this.#remove(relay)
      return
    }
    this.add(relay)
    const peer = this.#peers.get(relay)
    if (peer === undefined) return
    peer.missedChecks = 0
    this.#listener.onHeartbeat(relay)
    if (!peer.isSilent) return
    peer.isSilent = false
    this.#listener.onSilence(relay, false)
  }

  #remove(relay: string): void {
    if (this.#peers.delete(relay)) this.#listener.onGone(relay)
  }

  async #writeHeartbeat(): Promise<void> {
    if (this.#isWriting || this.#isClosed) return
    const { self, clock } = this.#options
    this.#isWriting = true
    try {
      await this.#try(() => this.#table.put(self, JSON.stringify({ ts: clock.now() })))
    } finally {
      this.#isWriting = false
    }
  }

  #deleteRow(relay: string): Promise<void> {
    return this.#try(() => this.#table.delete(relay))
  }

  async #try(write: () => Promise<unknown>): Promise<void> {
    try {
      await write()
    } catch (error) {
      if (!(error instanceof ChatError)) throw error
      this.#options.log(`relays: heartbeat is not written: ${error.message}`)
    }
  }
}
