import type { IncomingHttpHeaders } from "node:http"
import { BlockList, isIP } from "node:net"
import { ChatError } from "../../protocol/errors.js"

const bits = { 4: 32, 6: 128 } as const

interface Request {
  readonly socket: { readonly remoteAddress?: string | undefined }
  readonly headers: IncomingHttpHeaders
}

/**
 * Finds the address of a client behind reverse proxies. Anybody can send `X-Forwarded-For`, so it counts only in a
 * request of a trusted proxy, and of its addresses only those that trusted proxies added: read from the right, the first
 * one that is no trusted proxy is the client.
 */
export class ClientAddress {
  readonly #proxies = new BlockList()

  /**
   * @param proxies - addresses of trusted proxies, or networks such as `10.0.0.0/8`
   * @throws {ChatError} USAGE
   */
  constructor(proxies: readonly string[]) {
    for (const text of proxies) {
      const [, address = "", prefix] = /^([^/]*)(?:\/(\d{1,3}))?$/.exec(text) ?? []
      const version = isIP(address)
      const isValid = version !== 0 && Number(prefix ?? 0) <= bits[version as 4 | 6]
      if (!isValid) throw new ChatError("USAGE", `${JSON.stringify(text)} is no IP address or network`)
      const length = Number(prefix ?? bits[version as 4 | 6])
      this.#proxies.addSubnet(address, length, version === 4 ? "ipv4" : "ipv6")
    }
  }

  /** Returns whether a peer is a trusted proxy, whose connections are those of its clients. */
  isProxy(address: string | undefined): boolean {
    const plain = plainAddress(address ?? "")
    const version = isIP(plain)
    return version !== 0 && this.#proxies.check(plain, version === 4 ? "ipv4" : "ipv6")
  }

  /** Returns the address of the client that sent a request; undefined if its connection is gone. */
  of({ socket, headers }: Request): string | undefined {
    let address = socket.remoteAddress
    if (!this.isProxy(address)) return address
    const hops = [headers["x-forwarded-for"] ?? []].flat().join(",").split(",")
    for (const hop of hops.reverse()) {
      const found = plainAddress(hop.trim())
      // The proxy that wrote this is at `address`, and does not know more.
      if (isIP(found) === 0) return address
      address = found
      if (!this.isProxy(found)) return found
    }
    return address
  }
}

/** Removes what proxies write around an address: brackets and a port, and the prefix of an IPv4 address as IPv6. */
function plainAddress(text: string): string {
  const bare = /^\[([^\]]*)\](?::\d+)?$/.exec(text)?.[1] ?? /^([\d.]+):\d+$/.exec(text)?.[1] ?? text
  return bare.replace(/^::ffff:(?=[\d.]+$)/i, "").replace(/%.*$/, "")
}
