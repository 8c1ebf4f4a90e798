import { parseServerUrl } from "../../client/server-url.js"
import { formatBase64Url, parseBase64Url } from "../../identity/base64.js"
import { ChatError } from "../../protocol/errors.js"
import { type Grant, grant } from "../../protocol/grants.js"
import { channel } from "../../protocol/message-fields.js"
import type { Channel } from "../../protocol/names.js"
import { list, object, parseAs } from "../../protocol/schema.js"

const payload = object({ grant, channels: list(channel, 32) })
const schemes = { "ws:": "agentchat:", "wss:": "agentchat+tls:" } as const

/** The contents of a link. */
export interface Invitation {
  /** ws:// or wss:// address of the relay. */
  readonly server: string
  readonly grant: Grant
  /** Channels to join. */
  readonly channels: readonly Channel[]
}

/** Reports whether a text is meant as a link. */
export function isLink(text: string): boolean {
  return /^agentchat(?:\+tls)?:/i.test(text)
}

/** Writes an invitation as one word: `agentchat://host:port/…`, or `agentchat+tls://…` for a relay with TLS. */
export function formatLink({ server, grant: own, channels }: Invitation): string {
  const { protocol, host, pathname } = parseServerUrl(server)
  const scheme = schemes[protocol as keyof typeof schemes]
  const text = formatBase64Url(Buffer.from(JSON.stringify({ grant: own, channels })))
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
  return { server, ...invitation }
}
