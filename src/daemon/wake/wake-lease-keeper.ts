import type { Clock } from "../../base/clock.js"
import { isPlain } from "../../base/plain.js"
import type { Connection } from "../../client/connection.js"
import type { Identity } from "../../identity/identity-file.js"
import { signWakeLease, type WakeClaims } from "../../identity/wake-lease.js"
import { ChatError } from "../../protocol/errors.js"
import { Fault } from "../../protocol/schema.js"
import { isCurrent, maxLeaseMs, wakeMethod } from "../../protocol/wake.js"

/** A proof that the session could be woken, before it is signed for a relay. */
export type ProvenWake = Omit<WakeClaims, "aud">

interface LeaseOptions {
  readonly clock: Clock
  /** Absent for an ephemeral daemon, which cannot sign. */
  readonly identity: Identity | undefined
  readonly log: (line: string) => void
}

/** The last proof that the session could be woken. Signs it for the relay of each session, and withdraws it. */
export class WakeLeaseKeeper {
  readonly #options: LeaseOptions
  #proven: ProvenWake | undefined
  #connection: Pick<Connection, "request" | "welcome"> | undefined

  /** @param saved - as {@link saved} returned it in an earlier run, or whatever is in the file */
  constructor(options: LeaseOptions, saved: unknown) {
    this.#options = options
    this.#proven = parseProven(saved)
  }

  /** The proof while it is valid. */
  get current(): ProvenWake | undefined {
    const proven = this.#proven
    return proven !== undefined && isCurrent(proven, this.#options.clock.now()) ? proven : undefined
  }

  /** Shows the lease in this session. */
  attach(connection: Pick<Connection, "request" | "welcome">): void {
    this.#connection = connection
    if (this.current !== undefined) this.#send()
  }

  detach(): void {
    this.#connection = undefined
  }

  /** Renews the lease after an echo. */
  renew(method: string, latencyMs: number, provenTs: number): void {
    this.#proven = {
      method,
      latency_ms: Math.max(0, Math.round(latencyMs)),
      proven_ts: provenTs,
      expires_ts: provenTs + maxLeaseMs,
    }
    this.#options.log(`wake: proven by ${method} in ${this.#proven.latency_ms} ms`)
    this.#send()
  }

  /** Withdraws the lease. @param method - only if it was proven this way */
  withdraw(reason: string, method?: string): void {
    if (this.#proven === undefined || (method !== undefined && this.#proven.method !== method)) return
    const wasCurrent = this.current !== undefined
    this.#proven = undefined
    if (!wasCurrent) return
    this.#options.log(`wake: no longer proven: ${reason}`)
    this.#send()
  }

  #send(): void {
    const connection = this.#connection
    const keyPair = this.#options.identity?.keyPair
    if (connection === undefined || keyPair === undefined) return
    const { current } = this
    const aud = connection.welcome.server_id
    const lease = current === undefined ? {} : { lease: signWakeLease({ ...current, aud }, keyPair) }
    connection.request({ type: "SET_WAKE_LEASE", ...lease }).catch((error: unknown) => {
      if (!(error instanceof ChatError)) throw error
      this.#options.log(`wake: the relay refuses the lease: ${error.code} ${error.message}`)
    })
  }
}

function parseProven(value: unknown): ProvenWake | undefined {
  if (!isPlain(value)) return undefined
  const { method, latency_ms, proven_ts, expires_ts } = value
  if (wakeMethod.read(method) instanceof Fault) return undefined
  if (![latency_ms, proven_ts, expires_ts].every((time) => Number.isSafeInteger(time))) return undefined
  return { method, latency_ms, proven_ts, expires_ts } as ProvenWake
}
