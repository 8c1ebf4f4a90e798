import { randomBytes } from "node:crypto"
import type { Clock } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import type { Backbone, Logs, Retention, Table } from "../backbone.js"
import { Listeners } from "../listeners.js"
import { NatsBus } from "./bus.js"
import { parseNatsAddress, unreachable } from "./dial.js"
import { errorText, NatsClient } from "./nats-client.js"
import { NatsLogs } from "./nats-logs.js"
import { NatsTable } from "./nats-table.js"

const defaultSpace = "agentchat"
const defaultConnectTimeoutMs = 10_000
const spacePattern = /^[A-Za-z0-9_-]{1,32}$/
const idBytes = 9
/** The table that holds the id of the space. */
const systemTable = "system"
const retryMs = 500

/** How a NATS engine is opened. */
export interface NatsOptions {
  /** `nats://[user:password@|token@]host[:port][,host[:port]…]`; `tls://` for an encrypted connection. */
  readonly servers: string
  /** Prefix of every stream and bucket, so that several chats can share one NATS (default `agentchat`). */
  readonly space?: string
  readonly clock: Clock
  /** Receives a line when the store is lost, found again, or configured otherwise; never with credentials. */
  readonly log: (line: string) => void
  /**
   * Milliseconds until the first connection must be open and JetStream must have answered; also the time limit for
   * opening a family of logs or a table (default 10,000).
   */
  readonly connectTimeoutMs?: number
}

/** The version of what is stored. A store of a newer version is not opened. */
const formatVersion = 1

/**
 * Opens an engine that stores everything in NATS JetStream (server 2.9 or newer), shared by every relay with the same
 * servers and space. It never gives up reconnecting. While NATS or the quorum of its nodes cannot be reached, everything
 * rejects with UNAVAILABLE at once. No call takes longer than 5 s, except that opening logs and tables, subscribing and
 * watching are retried for as long as the first connection may take.
 * @throws {ChatError} USAGE for an invalid address or space; UNSUPPORTED if a newer version wrote it; UNREACHABLE when nothing answers in time
 */
export async function openNatsBackbone(options: NatsOptions): Promise<Backbone> {
  const { servers, space = defaultSpace, clock, log, connectTimeoutMs = defaultConnectTimeoutMs } = options
  if (!spacePattern.test(space)) {
    throw new ChatError("USAGE", "NATS space: must be 1–32 letters, digits, _ or -")
  }
  const address = parseNatsAddress(servers)
  const untilMs = clock.monotonic() + connectTimeoutMs
  const client = await NatsClient.open({ address, space, clock, log, connectTimeoutMs })
  for (;;) {
    try {
      client.assumeReachable()
      return await openSpace(client)
    } catch (error) {
      if (error instanceof ChatError && error.code === "UNSUPPORTED") {
        await client.close()
        throw error
      }
      // A cluster that has just started answers once its nodes have found each other.
      if (clock.monotonic() + retryMs > untilMs) {
        await client.close()
        throw unreachable(`${address.where} with JetStream (${errorText(error)})`, error)
      }
      await new Promise<void>((resolve) => void clock.setTimer(resolve, retryMs))
    }
  }
}

async function openSpace(client: NatsClient): Promise<Backbone> {
  const system = await NatsTable.open(client, systemTable)
  const candidate = `srv_${randomBytes(idBytes).toString("base64url")}`
  // Read before the id: relays of a later version may keep it otherwise.
  const format = await client.withTimeout(() => system.ensure("format", String(formatVersion)))
  if (Number(format) > formatVersion) {
    throw new ChatError(
      "UNSUPPORTED",
      `NATS: was written by a newer agentchat (version ${Number(format)}; this one supports ${formatVersion})`,
      { hint: "use that agentchat version, or another NATS" },
    )
  }
  const id = await client.withTimeout(() => system.ensure("id", candidate))
  if (id === undefined) throw new ChatError("UNAVAILABLE", "the store does not keep what is written")
  return new NatsBackbone(client, system, id)
}

class NatsBackbone implements Backbone {
  readonly kind = "nats"
  readonly isShared = true
  readonly #client: NatsClient
  readonly #system: NatsTable
  readonly bus: NatsBus
  #id: string
  readonly #idListeners = new Listeners<undefined>()
  readonly #logs = new Map<string, Promise<NatsLogs>>()
  readonly #tables = new Map<string, Promise<NatsTable>>()

  constructor(client: NatsClient, system: NatsTable, id: string) {
    this.#client = client
    this.#system = system
    this.#id = id
    this.bus = new NatsBus(client)
    client.startProbing(async () => {
      await system.probe()
      await this.#checkId()
    })
  }

  get id(): string {
    return this.#id
  }

  get isReachable(): boolean {
    return this.#client.isReachable
  }

  logs(name: string, retention: Retention): Promise<Logs> {
    return openOnce(this.#logs, name, () => NatsLogs.open(this.#client, name, retention))
  }

  table(name: string): Promise<Table> {
    return openOnce(this.#tables, name, () => NatsTable.open(this.#client, name))
  }

  onReachabilityChange(listener: (isReachable: boolean) => void): void {
    this.#client.onReachabilityChange(listener)
  }

  onIdChange(listener: () => void): void {
    this.#idListeners.add(listener)
  }

  /**
   * A NATS that lost everything is still the store of the relays that use it, and the first one to notice gives it its
   * id again. If that is a relay which started meanwhile, the others take over its id: relays of one chat have one.
   */
  async #checkId(): Promise<void> {
    const found = await this.#system.ensure("id", this.#id)
    if (found === undefined || found === this.#id) return
    this.#client.log(`nats: the store is another one now: ${found} instead of ${this.#id}`)
    this.#id = found
    this.#idListeners.emit(undefined)
  }

  async close(): Promise<void> {
    const opened = await Promise.allSettled([...this.#logs.values(), ...this.#tables.values()])
    for (const one of opened) if (one.status === "fulfilled") one.value.close()
    this.#system.close()
    await this.#client.close()
  }
}

/** Opens something under a name, or returns what was opened before; after a failure it may be tried again. */
function openOnce<T>(all: Map<string, Promise<T>>, name: string, open: () => Promise<T>): Promise<T> {
  const found = all.get(name)
  if (found !== undefined) return found
  const opening = open()
  all.set(name, opening)
  opening.catch(() => all.delete(name))
  return opening
}
