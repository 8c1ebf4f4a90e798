import { createHash, timingSafeEqual } from "node:crypto"
import type { IncomingMessage } from "node:http"

/** Headers by which a proxy names the client. */
const proxyHeaders = ["forwarded", "x-forwarded-for", "x-real-ip", "via"] as const

/**
 * Reports whether a request may read the numbers of a relay: with the token, or, if there is none, from this machine and
 * not through a proxy on it, which would pass on requests of others.
 */
export function mayReadMetrics(
  { headers, socket }: Pick<IncomingMessage, "headers" | "socket">,
  token: string | undefined,
): boolean {
  if (token !== undefined) {
    const [, given = ""] = /^Bearer +(\S+)$/i.exec(headers.authorization ?? "") ?? []
    return timingSafeEqual(digest(given), digest(token))
  }
  return isLoopback(socket.remoteAddress ?? "") && proxyHeaders.every((name) => headers[name] === undefined)
}

function isLoopback(address: string): boolean {
  return address === "::1" || /^(?:::ffff:)?127\./.test(address)
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest()
}
