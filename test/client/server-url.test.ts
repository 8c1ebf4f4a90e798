import { describe, expect, it } from "vitest"
import { formatServer, parseServerUrl } from "../../src/client/server-url.js"
import type { ChatError } from "../../src/protocol/errors.js"

describe("parseServerUrl", () => {
  it.each([
    "ws://127.0.0.1:6667",
    "wss://relay.example.org/chat?room=1",
    "ws://[::1]:6667",
    "WS://LOCALHOST",
  ])("accepts %s", (text) => {
    expect(parseServerUrl(text).href).toContain("://")
  })

  it.each([
    "",
    "localhost",
    "localhost:6667",
    "http://localhost:6667",
    "file:///etc/passwd",
    "ws+unix:///tmp/socket",
    "ws://",
    "ws://user:secret@localhost",
    "ws://secret@localhost",
    "ws://localhost/#secret",
  ])("refuses %j without quoting it", (text) => {
    let error: unknown
    try {
      parseServerUrl(text)
    } catch (caught) {
      error = caught
    }
    expect(error).toMatchObject({ name: "ChatError", code: "USAGE" })
    const { message, hint } = error as ChatError
    expect(`${message} ${String(hint)}`).not.toContain("secret")
  })
})

describe("formatServer", () => {
  it("leaves out path and query, which may hold a token", () => {
    expect(formatServer(new URL("wss://relay.example.org:8443/p?token=secret"))).toBe(
      "wss://relay.example.org:8443",
    )
  })
})
