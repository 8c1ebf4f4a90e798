import {
  type ConnectionOptions as ConnectionOptionsOfTls,
  checkServerIdentity,
  type PeerCertificate,
} from "node:tls"
import {
  type ConnectionOptions,
  connect,
  errors,
  type NatsConnection,
  type TlsOptions,
} from "@nats-io/transport-node"
import { ChatError } from "../../protocol/errors.js"
import type { NatsAddress } from "./address.js"

/** A cut network is noticed after at most (maxPingsOut + 1) of these. */
const pingMs = 2_000
const maxPingsOut = 2
const redialMs = 250
/** A node that is silent is given up for the next one after this. */
const dialMs = 4_000

/** Whom to connect to, and how long a first try may take. */
interface DialOptions {
  readonly address: NatsAddress
  readonly connectTimeoutMs: number
}

/**
 * Opens a connection that, once it stood, comes back by itself whatever becomes of it.
 * @throws {ChatError} UNREACHABLE
 */
export async function dial({ address, connectTimeoutMs }: DialOptions): Promise<NatsConnection> {
  const options: ConnectionOptions = {
    servers: [...address.servers],
    name: "agentchat relay",
    timeout: Math.min(connectTimeoutMs, dialMs),
    maxReconnectAttempts: -1,
    reconnectTimeWait: redialMs,
    reconnectJitter: redialMs,
    pingInterval: pingMs,
    maxPingOut: maxPingsOut,
    // Credentials that are refused today may be accepted tomorrow, without a restart of every relay.
    ignoreAuthErrorAbort: true,
    noAsyncTraces: true,
    ...(address.isEncrypted ? { tls: encryption(address) } : {}),
    ...(address.user === undefined ? {} : { user: address.user }),
    ...(address.password === undefined ? {} : { pass: address.password }),
    ...(address.token === undefined ? {} : { token: address.token }),
  }
  try {
    return await connect(options)
  } catch (error) {
    throw unreachable(address.where, error)
  }
}

/**
 * Has a node's certificate name one of the hosts of the address. The library by itself compares that of a node which
 * is addressed by number with `localhost`.
 */
function encryption({ servers }: NatsAddress): TlsOptions {
  const hosts = servers.map((server) => server.replace(/:\d+$/, "").replace(/^\[|\]$/g, ""))
  const refusalOf = (certificate: PeerCertificate) => {
    const refusals = hosts.map((host) => checkServerIdentity(host, certificate))
    return refusals.includes(undefined) ? undefined : refusals[0]
  }
  // Passed on to Node.js as it is.
  const options: ConnectionOptionsOfTls = {
    checkServerIdentity: (_host, certificate) => refusalOf(certificate),
  }
  return options as TlsOptions
}

/**
 * Ends a connection whose other end is silent. The library, before it connects anew, waits until its last bytes are
 * written, which takes a quarter of an hour when they are many and nobody takes them; it has no other way.
 */
export function breakOff(nc: NatsConnection): void {
  const { protocol } = nc as { protocol?: { transport?: { socket?: { destroy?: () => void } } } }
  protocol?.transport?.socket?.destroy?.()
}

/** The error of a NATS that does not answer at first. */
export function unreachable(where: string, cause: unknown): ChatError {
  const isRefused = cause instanceof errors.AuthorizationError
  return new ChatError(
    "UNREACHABLE",
    isRefused ? `NATS at ${where} refuses the credentials` : `no NATS answers at ${where}`,
    { cause },
  )
}
