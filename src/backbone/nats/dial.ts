import { checkServerIdentity, type ConnectionOptions as NodeTlsOptions, type PeerCertificate } from "node:tls"
import {
  type ConnectionOptions,
  connect,
  errors,
  type NatsConnection,
  type TlsOptions,
} from "@nats-io/transport-node"
import { ChatError } from "../../protocol/errors.js"

const defaultPort = 4222
/** A lost network is noticed after at most (maxPingsOut + 1) of these. */
const pingMs = 2_000
const maxPingsOut = 2
const reconnectMs = 250
/** Time limit for one node, after which the next one is tried. */
const dialMs = 4_000

/** The address of a NATS cluster. */
export interface NatsAddress {
  readonly servers: readonly string[]
  /** The servers without credentials, for messages. */
  readonly where: string
  readonly isEncrypted: boolean
  readonly user?: string
  readonly password?: string
  readonly token?: string
}

/**
 * Parses an address such as `nats://user:password@host:4222,host2`. Credentials are percent-encoded.
 * @throws {ChatError} USAGE, without repeating a possible password
 */
export function parseNatsAddress(text: string): NatsAddress {
  const match = /^(nats|tls):\/\/(?:([^@/?#,]+)@)?([^@/?#]+)\/?$/.exec(text)
  if (match === null) throw badAddress()
  const [, scheme, credentials, hosts = ""] = match
  const servers = hosts.split(",").map(parseHost)
  return {
    servers,
    where: servers.join(", "),
    isEncrypted: scheme === "tls",
    ...(credentials === undefined ? {} : parseCredentials(credentials)),
  }
}

function parseHost(text: string): string {
  const match = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(text)
  const port = Number(match?.[2] ?? defaultPort)
  if (match?.[1] === undefined || port < 1 || port > 65_535) throw badAddress()
  return `${match[1]}:${port}`
}

function parseCredentials(text: string): { user: string; password: string } | { token: string } {
  const colon = text.indexOf(":")
  try {
    if (colon < 0) return { token: decodeURIComponent(text) }
    return {
      user: decodeURIComponent(text.slice(0, colon)),
      password: decodeURIComponent(text.slice(colon + 1)),
    }
  } catch {
    throw badAddress()
  }
}

function badAddress(): ChatError {
  return new ChatError("USAGE", "NATS address: must be nats://[user:password@]host[:port][,host[:port]…]")
}

interface DialOptions {
  readonly address: NatsAddress
  /** Milliseconds until the first connection must be open. */
  readonly connectTimeoutMs: number
}

/**
 * Opens a connection that reconnects by itself, without a limit of attempts.
 * @throws {ChatError} UNREACHABLE
 */
export async function dial({ address, connectTimeoutMs }: DialOptions): Promise<NatsConnection> {
  const options: ConnectionOptions = {
    servers: [...address.servers],
    name: "agentchat relay",
    timeout: Math.min(connectTimeoutMs, dialMs),
    maxReconnectAttempts: -1,
    reconnectTimeWait: reconnectMs,
    reconnectJitter: reconnectMs,
    pingInterval: pingMs,
    maxPingOut: maxPingsOut,
    // Credentials that are refused now may be accepted later, without a restart of every relay.
    ignoreAuthErrorAbort: true,
    noAsyncTraces: true,
    ...(address.isEncrypted ? { tls: tlsOptions(address) } : {}),
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
 * Requires the certificate of a node to name one of the hosts of the address. By itself, the library compares the
 * certificate of a node that is addressed by IP with `localhost`.
 */
function tlsOptions({ servers }: NatsAddress): TlsOptions {
  const hosts = servers.map((server) => server.replace(/:\d+$/, "").replace(/^\[|\]$/g, ""))
  const check = (certificate: PeerCertificate) => {
    const mismatches = hosts.map((host) => checkServerIdentity(host, certificate))
    return mismatches.includes(undefined) ? undefined : mismatches[0]
  }
  // The library passes these on to Node.js, although its type has no such field.
  const options: NodeTlsOptions = { checkServerIdentity: (_host, certificate) => check(certificate) }
  return options as TlsOptions
}

/**
 * Destroys the socket of a connection whose peer is silent. Before it reconnects, the library waits until its last
 * bytes are written, which can take a quarter of an hour when nobody reads them, and it offers no other way out.
 */
export function destroySocket(nc: NatsConnection): void {
  const { protocol } = nc as { protocol?: { transport?: { socket?: { destroy?: () => void } } } }
  protocol?.transport?.socket?.destroy?.()
}

/** The error of a NATS that cannot be reached at first. */
export function unreachable(where: string, cause: unknown): ChatError {
  const isRefused = cause instanceof errors.AuthorizationError
  const message = isRefused ? `NATS at ${where} refused the credentials` : `no NATS at ${where}`
  return new ChatError("UNREACHABLE", message, { cause })
}
