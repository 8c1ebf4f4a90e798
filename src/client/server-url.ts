import { createHash, type X509Certificate } from "node:crypto"
import { isIP } from "node:net"
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls"
import { ChatError } from "../protocol/errors.js"
import { isSpaceName, type SpaceName, spacePath, splitSpacePath } from "../protocol/spaces.js"

/** The `#` part of an address: a pin, see {@link keyPinOf}. */
const pinPattern = /^#sha256=([A-Za-z0-9_-]{43})$/

/**
 * Parses the address of a relay. The error never quotes the text, which may hold a password.
 * @throws {ChatError} USAGE unless it is `ws://` or `wss://` with a host, without user and password, and without a `#` part
 * unless that is the pin of a `wss://` address
 */
export function parseServerUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || (url.protocol !== "ws:" && url.protocol !== "wss:")) {
    throw new ChatError("USAGE", "server: must be a ws:// or wss:// address", {
      hint: "write it like ws://127.0.0.1:6667",
    })
  }
  if (url.username !== "" || url.password !== "") {
    throw new ChatError("USAGE", "server: must not contain a user or password", {
      hint: "an agent authenticates with its identity file",
    })
  }
  if (url.hash === "") return url
  if (url.protocol === "wss:" && pinPattern.test(url.hash)) return url
  throw new ChatError("USAGE", "server: must not contain a # part", {
    hint: "after wss:// it may be #sha256= and 43 characters, the key of the relay's certificate",
  })
}

/** Formats an address for an error: without query and path, which may hold a token, but with its space. */
export function formatServer(url: URL): string {
  const space = spaceOf(url)
  return `${url.protocol}//${url.host}${space === undefined ? "" : spacePath(space)}`
}

/** Returns the space of an address; undefined if it names none. */
export function spaceOf({ pathname }: URL): SpaceName | undefined {
  const path = splitSpacePath(pathname)
  return path?.rest === "" && isSpaceName(path.name) ? path.name : undefined
}

/** Returns the address with the pin of a certificate's key. */
export function withPin(server: string, pin: string): string {
  const url = parseServerUrl(server)
  url.hash = `sha256=${pin}`
  return url.href
}

/**
 * Returns the pin of a certificate: base64url of the SHA-256 of its public key (DER of SubjectPublicKeyInfo). It stays
 * the same if the certificate is renewed with the same key.
 */
export function keyPinOf({ publicKey }: X509Certificate): string {
  const key = publicKey.export({ type: "spki", format: "der" })
  return createHash("sha256").update(key).digest("base64url")
}

/**
 * Returns options for a request to an address. With a pin the key of the certificate decides alone: its issuer, its
 * names and its dates do not count, and another key ends the connection before the relay can answer.
 */
export function connectOptionsOf(url: URL): { readonly createConnection?: (options: object) => TLSSocket } {
  const [, pin] = pinPattern.exec(url.hash) ?? []
  if (pin === undefined) return {}
  return {
    createConnection(options: ConnectionOptions) {
      const { host = "" } = options
      const servername = isIP(host) === 0 ? host : ""
      const socket = connect({ ...options, path: undefined, servername, rejectUnauthorized: false })
      return socket.once("secureConnect", () => {
        const certificate = socket.getPeerX509Certificate()
        if (certificate !== undefined && keyPinOf(certificate) === pin) return
        const text = "its certificate has another key than the address names (#sha256=)"
        socket.destroy(Object.assign(new Error(text), { code: "ERR_PINNED_KEY" }))
      })
    },
  }
}
