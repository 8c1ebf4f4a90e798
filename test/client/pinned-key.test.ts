import { X509Certificate } from "node:crypto"
import { describe, expect, it } from "vitest"
import { AgentChatClient } from "../../src/client/client.js"
import { keyPinOf, parseServerUrl, withPin } from "../../src/client/server-url.js"
import { TestRelay } from "../kit/relay.js"
import { hasProgram } from "../kit/requires.js"
import { makeCertificate } from "../kit/tls.js"

describe.runIf(hasProgram("openssl"))("an address with the key of a certificate", () => {
  it("is enough to connect to a relay whose certificate nobody has signed, and is for another name", async () => {
    const tls = makeCertificate("elsewhere.example")
    const relay = await TestRelay.start({ tls })
    const server = withPin(relay.relay.url, keyPinOf(new X509Certificate(tls.cert)))
    const chat = new AgentChatClient({ server, name: "bob" })
    expect(await chat.connect()).toMatchObject({ name: "bob" })
    await chat.disconnect()
  })

  it("refuses a certificate with another key, and says what to do", async () => {
    const relay = await TestRelay.start({ tls: makeCertificate("localhost") })
    const pin = keyPinOf(new X509Certificate(makeCertificate("localhost").cert))
    const chat = new AgentChatClient({ server: withPin(relay.relay.url, pin), name: "bob" })
    await expect(chat.connect()).rejects.toMatchObject({
      code: "UNREACHABLE",
      message: expect.stringContaining("another key than the address names") as string,
      hint: expect.stringContaining("ask its operator for a new link") as string,
    })
    expect(relay.log.join()).not.toContain("bob")
  })
})

it.each([
  "ws://h#sha256=" + "A".repeat(43),
  "wss://h#sha256=short",
  "wss://h#other",
  "wss://h#sha1=" + "A".repeat(43),
])("the address %s is refused", (server) => {
  expect(() => parseServerUrl(server)).toThrow("server: must not contain a # part")
})
