import { once } from "node:events"
import { createServer as createHttpServer, type RequestListener } from "node:http"
import { type AddressInfo, createServer, type Server, type Socket } from "node:net"
import { describe, expect, it, onTestFinished } from "vitest"
import { systemClock } from "../../src/base/clock.js"
import { Connection } from "../../src/client/connection.js"
import { errorOfNetwork } from "../../src/client/relay-error.js"
import { ChatError } from "../../src/protocol/errors.js"

async function portOf(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  onTestFinished(() => void server.close())
  return (server.address() as AddressInfo).port
}
const answering = (handle: RequestListener) => portOf(createHttpServer(handle))
const hintFor = async (url: string) => {
  const options = { url, name: "bob" as never, clock: systemClock }
  const error = await Connection.open(options, { onMessage: () => {}, onClose: () => {} }).catch(
    (problem: unknown) => problem,
  )
  expect(error).toBeInstanceOf(ChatError)
  expect(error).toMatchObject({ code: "UNREACHABLE" })
  return (error as ChatError).hint
}

describe("the hint for a relay that cannot be reached", () => {
  it("says how to start one if nothing listens on this machine", async () => {
    const server = createServer()
    const port = await portOf(server)
    server.close()
    expect(await hintFor(`ws://127.0.0.1:${port}`)).toBe(
      `start a relay on this machine with: agentchat up --port ${port}`,
    )
  })

  it("asks for another address if the server is no relay", async () => {
    const port = await answering((_, response) => void response.writeHead(404).end())
    expect(await hintFor(`ws://127.0.0.1:${port}`)).toMatch(/not a relay; check host, port and path/)
  })

  it("names the redirect, the refusal and the failing proxy", async () => {
    const hintOf = async (status: number) =>
      hintFor(`ws://127.0.0.1:${await answering((_, response) => void response.writeHead(status).end())}`)
    expect(await hintOf(301)).toMatch(/redirects/)
    expect(await hintOf(403)).toMatch(/refuses the connection/)
    expect(await hintOf(502)).toMatch(/relay behind it does not answer/)
  })

  it("says ws:// for wss:// at a server without a certificate", async () => {
    const port = await answering((_, response) => void response.end())
    expect(await hintFor(`wss://127.0.0.1:${port}`)).toMatch(/begins with ws:\/\/$/)
  })

  it("says wss:// if the server ends a plain connection", async () => {
    const port = await portOf(createServer((socket: Socket) => void socket.destroy()))
    expect(await hintFor(`ws://127.0.0.1:${port}`)).toMatch(/begins with wss:\/\/$/)
  })

  it.each([
    ["ENOTFOUND", "check the name of the host"],
    ["EAI_AGAIN", "check the name of the host"],
    ["EHOSTUNREACH", "check the address, the network and firewalls"],
    ["DEPTH_ZERO_SELF_SIGNED_CERT", "NODE_EXTRA_CA_CERTS"],
    ["SELF_SIGNED_CERT_IN_CHAIN", "NODE_EXTRA_CA_CERTS"],
    ["UNABLE_TO_VERIFY_LEAF_SIGNATURE", "NODE_EXTRA_CA_CERTS"],
    ["CERT_HAS_EXPIRED", "needs a new certificate"],
    ["CERT_NOT_YET_VALID", "clocks"],
    ["ERR_TLS_CERT_ALTNAME_INVALID", "host name that is in the relay's certificate"],
  ])("says for %s: %s", (code, hint) => {
    const error = Object.assign(new Error("failed"), { code })
    expect(errorOfNetwork("wss://example.org", error).hint).toContain(hint)
  })

  it("asks for the port where the address has none, and does not start a plain relay for wss", () => {
    const error = Object.assign(new Error("failed"), { code: "ECONNREFUSED" })
    expect(errorOfNetwork("ws://127.0.0.1", error).hint).toMatch(
      /^add the port; .*: ws:\/\/127\.0\.0\.1:6667$/,
    )
    expect(errorOfNetwork("wss://example.org/chat", error).hint).toMatch(/wss:\/\/example\.org:6667$/)
    expect(errorOfNetwork("wss://127.0.0.1:7000", error).hint).not.toContain("agentchat up")
  })

  it("does not tell to start a relay for another machine", () => {
    const error = Object.assign(new Error("failed"), { code: "ECONNREFUSED" })
    expect(errorOfNetwork("ws://example.org:6667", error).hint).not.toContain("agentchat up")
  })
})
