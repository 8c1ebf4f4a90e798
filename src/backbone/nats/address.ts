import { ChatError } from "../../protocol/errors.js"

const defaultPort = 4222

/** Who to connect to; `where` may be shown to anybody. */
export interface NatsAddress {
  readonly servers: readonly string[]
  readonly where: string
  readonly isEncrypted: boolean
  readonly user?: string
  readonly password?: string
  readonly token?: string
}

/**
 * Reads an address; credentials may stand before the first host, percent-encoded.
 * @throws {ChatError} USAGE, without repeating what may be a password
 */
export function parseNatsAddress(text: string): NatsAddress {
  const form = /^(nats|tls):\/\/(?:([^@/?#,]+)@)?([^@/?#]+)\/?$/.exec(text)
  if (form === null) throw badAddress()
  const [, scheme, credentials, hosts = ""] = form
  const servers = hosts.split(",").map(toHostAndPort)
  return {
    servers,
    where: servers.join(", "),
    isEncrypted: scheme === "tls",
    ...(credentials === undefined ? {} : toCredentials(credentials)),
  }
}

function toHostAndPort(host: string): string {
  const form = /^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?$/.exec(host)
  const port = Number(form?.[2] ?? defaultPort)
  if (form?.[1] === undefined || port < 1 || port > 65_535) throw badAddress()
  return `${form[1]}:${port}`
}

function toCredentials(text: string): { user: string; password: string } | { token: string } {
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
  return new ChatError("USAGE", "the address of NATS is nats://[user:password@]host[:port][,host[:port]…]")
}
