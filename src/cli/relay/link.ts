import type { X509Certificate } from "node:crypto"
import { isIP } from "node:net"
import { keyPinOf, parseServerUrl, spaceOf, withPin } from "../../client/server-url.js"
import { formatBase64Url, parseBase64Url } from "../../identity/base64.js"
import { ChatError } from "../../protocol/errors.js"
import { type Grant, grant } from "../../protocol/grants.js"
import { channel } from "../../protocol/message-fields.js"
import type { Channel } from "../../protocol/names.js"
import { list, matching, object, optional, parseAs } from "../../protocol/schema.js"
import { spacePath } from "../../protocol/spaces.js"

/** Milliseconds a server has to show its certificate. */
const certificateMs = 5_000

const payload = object({
  grant,
  channels: list(channel, 32),
  pin: optional(matching(/^[A-Za-z0-9_-]{43}$/, "must be a pin")),
})
const schemes = { "ws:": "agentchat:", "wss:": "agentchat+tls:" } as const

/** The contents of a link. */
export interface Invitation {
  /** ws:// or wss:// address of the relay, with the pin of its certificate's key if that is known. */
  readonly server: string
  readonly grant: Grant
  /** Channels to join. */
  readonly channels: readonly Channel[]
}

/**
 * Returns the address of a relay for others, with its space. An address with a path stays as it is: a proxy may give the
 * space another one.
 * @param server - the address that was connected to
 * @throws {ChatError} USAGE if `address` names another space
 */
export function inSpaceOf(server: string, address: string): string {
  const [space, url] = [spaceOf(parseServerUrl(server)), parseServerUrl(address)]
  const named = spaceOf(url)
  if (named !== undefined && space !== undefined && named !== space) {
    throw new ChatError("USAGE", `--address: is in space ${named}, and the link is for space ${space}`, {
      hint: `leave out ${spacePath(named)}: the link gets its space by itself`,
    })
  }
  if (space === undefined || url.pathname !== "/") return address
  url.pathname = spacePath(space)
  return url.href
}

/** Reports whether a text is meant as a link. */
export function isLink(text: string): boolean {
  return /^agentchat(?:\+tls)?:/i.test(text)
}

/** Writes an invitation as one word: `agentchat://host:port/…`, or `agentchat+tls://…` for a relay with TLS. */
export function formatLink({ server, grant: own, channels }: Invitation): string {
  const { protocol, host, pathname, hash } = parseServerUrl(server)
  const pin = hash === "" ? undefined : hash.slice(hash.indexOf("=") + 1)
  const scheme = schemes[protocol as keyof typeof schemes]
  const text = formatBase64Url(Buffer.from(JSON.stringify({ grant: own, channels, pin })))
  return `${scheme}//${host}${pathname.replace(/\/$/, "")}/${text}`
}

/** Reads a link. @throws {ChatError} USAGE; the message never quotes the link, which is a secret */
export function parseLink(link: string): Invitation {
  const [, tls, rest = ""] = /^agentchat(\+tls)?:\/\/(.+)$/i.exec(link.trim()) ?? []
  const cut = rest.lastIndexOf("/")
  const bytes = cut === -1 ? undefined : parseBase64Url(rest.slice(cut + 1))
  const invitation = bytes && parseAs(payload, Buffer.from(bytes).toString("utf8"))
  if (invitation === undefined) {
    throw new ChatError("USAGE", "link: is not complete", {
      hint: "copy all of agentchat://…, without line breaks",
    })
  }
  const server = `${tls === undefined ? "ws" : "wss"}://${rest.slice(0, cut)}`
  parseServerUrl(server)
  const { pin, ...others } = invitation
  return { server: pin === undefined || tls === undefined ? server : withPin(server, pin), ...others }
}

/** The key of a certificate, see {@link keyPinOf}. */
interface FetchedPin {
  readonly pin: string
  /** True if an authority that this machine knows has signed the certificate for that host. */
  readonly isTrusted: boolean
}

/** Returns the pin of the certificate that a server shows; undefined if it shows none. */
export async function fetchPin({ hostname, port }: URL): Promise<FetchedPin | undefined> {
  const { connect } = await import("node:tls")
  const host = hostname.replaceAll(/[[\]]/g, "")
  const name = isIP(host) === 0 ? { servername: host } : {}
  const where = { host, port: port === "" ? 443 : Number(port), ...name }
  return new Promise((resolve) => {
    const socket = connect({ ...where, rejectUnauthorized: false, timeout: certificateMs })
    const end = (certificate?: X509Certificate) => {
      resolve(certificate && { pin: keyPinOf(certificate), isTrusted: socket.authorized })
      socket.destroy()
    }
    socket.once("error", () => end())
    socket.once("timeout", () => end())
    socket.once("secureConnect", () => end(socket.getPeerX509Certificate()))
  })
}
