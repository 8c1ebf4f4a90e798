import type { IncomingMessage } from "node:http"
import { isIP } from "node:net"
import { hostname } from "node:os"

const wildcards: ReadonlySet<string> = new Set(["0.0.0.0", "::"])
const longestShown = 200

/**
 * Decides which requests may come from a browser. A web page of another site must not use its visitor's relay, or the page of `agentchat web`. Such a
 * page may also point its own name at the address of the relay (DNS rebinding); then `Origin` and `Host` agree, but the
 * `Host` is not one of the relay's names. The headers of other programs have no `Origin`.
 */
export class PageRules {
  readonly #host: string
  readonly #origins: ReadonlySet<string>
  readonly #originHosts: ReadonlySet<string>

  /**
   * @param host - the address or name that the relay listens on
   * @param origins - other origins whose pages may connect, such as `https://chat.example.org`
   */
  constructor(host: string, origins: readonly string[]) {
    this.#host = host.toLowerCase()
    this.#origins = new Set(origins)
    this.#originHosts = new Set(origins.map((origin) => new URL(origin).hostname))
  }

  /** Returns why a request is refused; undefined if it is not. */
  refusal({ headers }: Pick<IncomingMessage, "headers">): string | undefined {
    const { origin, host = this.#host } = headers
    const name = hostnameOf(host)
    if (!this.#isOwnName(name, origin !== undefined)) return `this server is not named ${shorten(host)}`
    if (origin === undefined || this.#origins.has(origin)) return undefined
    if (URL.canParse(origin) && new URL(origin).host === host.toLowerCase()) return undefined
    return `pages of ${shorten(origin)} may not connect; serve --allow-origin allows it`
  }

  #isOwnName(name: string, isPage: boolean): boolean {
    if (this.#originHosts.has(name)) return true
    if (isLoopback(this.#host)) return isLoopback(name)
    // A page cannot make an IP address its own name.
    if (name === this.#host || isIP(name) !== 0) return true
    if (!wildcards.has(this.#host)) return false
    // The names of this machine are not known, so other programs may use any.
    return !isPage || isLoopback(name) || name === hostname().toLowerCase()
  }
}

function isLoopback(name: string): boolean {
  return name === "localhost" || name === "::1" || (isIP(name) === 4 && name.startsWith("127."))
}

/** Returns the name in a Host header, in lower case and without port and brackets. */
function hostnameOf(host: string): string {
  const url = `http://${host}`
  return URL.canParse(url) ? new URL(url).hostname.replace(/^\[|\]$/g, "") : host
}

function shorten(text: string): string {
  return text.slice(0, longestShown)
}
