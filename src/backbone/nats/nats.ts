import type { Clock } from "../../base/clock.js"
import { ChatError } from "../../protocol/errors.js"
import type { Backbone } from "../backbone.js"
import { parseNatsAddress } from "./address.js"

const defaultSpace = "agentchat"
const defaultConnectTimeoutMs = 10_000
const spaceForm = /^[A-Za-z0-9_-]{1,32}$/

/** Where a NATS is, who keeps what there, and how this relay tells what happens. */
export interface NatsOptions {
  /** `nats://[user:password@|token@]host[:port][,host[:port]…]`; `tls://` for an encrypted connection. */
  readonly servers: string
  /** Prefix of every stream and bucket, so that several chats can share one NATS; `agentchat` by default. */
  readonly space?: string
  readonly clock: Clock
  /** Told when the store is lost, found again, or not as wished; never with credentials. */
  readonly log: (line: string) => void
  /** Milliseconds until a connection and the first answer of JetStream must stand; also until one thing is opened. */
  readonly connectTimeoutMs?: number
}

/**
 * An engine that keeps everything in NATS JetStream (server 2.9 or newer), shared by every relay that names the
 * same servers and space. It reconnects for ever; while NATS or the quorum of its nodes is away, everything
 * rejects with UNAVAILABLE at once, and no call takes longer than 5 s, but that opening a family or a table and
 * beginning to listen try again for as long as the first connection may take.
 * @throws {ChatError} USAGE for an address or space of another form; UNREACHABLE when nothing answers in time
 */
export async function openNatsBackbone(options: NatsOptions): Promise<Backbone> {
  const space = options.space ?? defaultSpace
  if (!spaceForm.test(space)) {
    throw new ChatError("USAGE", "the name of a space is 1–32 letters, digits, _ or -")
  }
  const address = parseNatsAddress(options.servers)
  // The client library is loaded by those who use it.
  const { connectNatsBackbone } = await import("./nats-backbone.js")
  return connectNatsBackbone({
    address,
    space,
    clock: options.clock,
    log: options.log,
    connectTimeoutMs: options.connectTimeoutMs ?? defaultConnectTimeoutMs,
  })
}
