import { createHash, randomBytes, timingSafeEqual } from "node:crypto"
import type { IncomingMessage } from "node:http"
import { PageRules } from "../base/page-rules.js"

const secretBytes = 32

/** The answer to who asks: allowed, allowed with a cookie to set, or refused. */
export type Entry =
  | { readonly isAllowed: true; readonly setCookie?: string }
  | { readonly isAllowed: false; readonly status: 401 | 403; readonly reason: string }

/**
 * Decides who may use the page. Whoever shows the token of the link gets a cookie, and the link is used up: a link stays in
 * the history of a browser and in logs. Pages of other sites are refused by `Host`, `Origin` and `Sec-Fetch-Site`, whatever
 * cookie the browser adds for them.
 */
export class Access {
  readonly #cookieName: string
  readonly #session = newSecret()
  readonly #rules: PageRules
  readonly #onUsed: () => void
  #token = newSecret()

  /** @param onUsed - called when the link was used and {@link token} is another one */
  constructor(host: string, port: number, onUsed: () => void = () => {}) {
    // Cookies do not keep ports apart.
    this.#cookieName = `agentchat_${port}`
    this.#rules = new PageRules(host, [])
    this.#onUsed = onUsed
  }

  /** The secret of the next link. */
  get token(): string {
    return this.#token
  }

  /** @param token - what the address of the page has after `?token=` */
  enter(request: Pick<IncomingMessage, "headers" | "method">, token: string | undefined): Entry {
    const { headers, method } = request
    if (this.#rules.refusal({ headers }) !== undefined || isForeign(headers))
      return { isAllowed: false, status: 403, reason: "pages of other sites may not use this one" }
    if (method !== "GET" && headers.origin === undefined)
      return { isAllowed: false, status: 403, reason: "Origin: is missing" }
    if (token !== undefined && isSame(token, this.#token)) {
      this.#token = newSecret()
      this.#onUsed()
      const rules = "Path=/; HttpOnly; SameSite=Strict"
      return { isAllowed: true, setCookie: `${this.#cookieName}=${this.#session}; ${rules}` }
    }
    const cookie = cookiesOf(headers.cookie).find(([name]) => name === this.#cookieName)?.[1]
    if (cookie !== undefined && isSame(cookie, this.#session)) return { isAllowed: true }
    return { isAllowed: false, status: 401, reason: "open the link that agentchat web has printed" }
  }
}

/** Reports whether the page of another site, or of another port, asks, other than by a link that a person follows. */
function isForeign(headers: IncomingMessage["headers"]): boolean {
  const { "sec-fetch-site": site, "sec-fetch-mode": mode, "sec-fetch-dest": target } = headers
  if (site === undefined || site === "same-origin" || site === "none") return false
  return mode !== "navigate" || target !== "document"
}

function newSecret(): string {
  return randomBytes(secretBytes).toString("base64url")
}

/** Compares two secrets in a time that says nothing about where they differ. */
function isSame(one: string, other: string): boolean {
  const hash = (text: string) => createHash("sha256").update(text).digest()
  return timingSafeEqual(hash(one), hash(other))
}

function cookiesOf(header = ""): (readonly [name: string, value: string])[] {
  return header.split(";").map((pair) => {
    const [name = "", ...value] = pair.split("=")
    return [name.trim(), value.join("=").trim()] as const
  })
}
