import type { Clock } from "../../base/clock.js"
import { LruMap } from "../../base/lru-map.js"
import { Gcra, type Passage } from "../../guards/gcra.js"
import type { Limits } from "../../protocol/limits.js"
import { addressOrigin, loopback, type Origin } from "./origin.js"

/** Addresses without a connection whose frames are still counted. */
const absentAddresses = 4_096
/** Milliseconds between two log lines about the same address. */
const logMs = 60_000
/** Agents without a key, or with a new one, that may use their whole rate at once from one address. */
const agentsPerOrigin = 20
const originsKept = 4_096

interface Visitor {
  connections: number
  readonly meter: Gcra
  loggedMs: number
}

/**
 * Limits connections, frames before IDENTIFY, and messages of agents that do not count by themselves, per IP address, in
 * all spaces together. The addresses of this machine may hold any number
 * of connections: a thousand agents on one machine are nothing unusual.
 */
export class IpLimiter {
  readonly #limits: Limits
  readonly #clock: Clock
  readonly #log: (line: string) => void
  /** Addresses with a connection. */
  readonly #present = new Map<Origin, Visitor>()
  readonly #absent = new LruMap<Origin, Visitor>(absentAddresses)
  /** Meters of addresses, for messages of agents that do not count by themselves. */
  readonly #messages = new LruMap<Origin, Gcra>(originsKept)

  constructor(limits: Limits, clock: Clock, log: (line: string) => void) {
    this.#limits = limits
    this.#clock = clock
    this.#log = log
  }

  /** Counts a connection. Call {@link disconnected} once for each. */
  connected(address: string | undefined): void {
    this.#find(addressOrigin(address)).connections++
  }

  disconnected(address: string | undefined): void {
    const origin = addressOrigin(address)
    const visitor = this.#present.get(origin)
    if (visitor === undefined || --visitor.connections > 0) return
    this.#present.delete(origin)
    this.#absent.set(origin, visitor)
  }

  /** Returns whether an address holds more connections than it may. */
  hasTooManyConnections(address: string | undefined): boolean {
    const origin = addressOrigin(address)
    if (origin === loopback) return false
    const visitor = this.#present.get(origin)
    if (visitor === undefined || visitor.connections <= this.#limits.addressSessions) return false
    this.#logFlood(origin, visitor, `${visitor.connections} connections, more than one address may have`)
    return true
  }

  /** Counts a frame that came before IDENTIFY. @returns whether it may be handled */
  takeFrame(address: string | undefined): Passage {
    const origin = addressOrigin(address)
    const visitor = this.#find(origin)
    const passage = visitor.meter.take(this.#clock.monotonic())
    if (!passage.ok) this.#logFlood(origin, visitor, "too many frames without an identity")
    return passage
  }

  /** Counts a message of an agent that does not count by itself. @param cells - its cost */
  takeMessage(origin: Origin, cells: number): Passage {
    const { ratePerSecond, rateBurst } = this.#limits
    const burst = agentsPerOrigin * rateBurst
    let meter = this.#messages.get(origin)
    if (meter === undefined) {
      meter = new Gcra({ ratePerSecond: agentsPerOrigin * ratePerSecond, burst })
      this.#messages.set(origin, meter)
    }
    return meter.take(this.#clock.monotonic(), Math.min(cells, burst))
  }

  #find(origin: Origin): Visitor {
    const known = this.#present.get(origin) ?? this.#absent.get(origin)
    const { strangerFramesPerSecond: ratePerSecond, strangerFrameBurst: burst } = this.#limits
    const visitor = known ?? {
      connections: 0,
      meter: new Gcra({ ratePerSecond, burst }),
      loggedMs: -Infinity,
    }
    this.#absent.delete(origin)
    this.#present.set(origin, visitor)
    return visitor
  }

  #logFlood(origin: Origin, visitor: Visitor, what: string): void {
    const nowMs = this.#clock.monotonic()
    if (nowMs - visitor.loggedMs < logMs) return
    visitor.loggedMs = nowMs
    this.#log(`flood: ${origin}: ${what}`)
  }
}
