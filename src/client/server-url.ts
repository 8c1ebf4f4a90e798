import { ChatError } from "../protocol/errors.js"

/**
 * Parses the address of a relay. The error never quotes the text, which may hold a password.
 * @throws {ChatError} USAGE unless it is `ws://` or `wss://` with a host, and without user, password or fragment
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
  if (url.hash !== "") throw new ChatError("USAGE", "server: must not contain a # part")
  return url
}

/** Formats an address for an error: without path and query, which may hold a token. */
export function formatServer(url: URL): string {
  return `${url.protocol}//${url.host}`
}
