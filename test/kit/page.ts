import { onTestFinished } from "vitest"
import { systemClock } from "../../src/base/clock.js"
import type { Identity } from "../../src/identity/identity-file.js"
import { agentIdOf, formatDidKey } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import { AgentChatClient, type AgentChatClientOptions } from "../../src/index.js"
import { type Relay, type RelayOptions, startRelay } from "../../src/server/relay.js"
import { WebServer, type WebServerOptions } from "../../src/web/web-server.js"

/** A new identity that is in no file. */
export function makeIdentity(): Identity {
  const keyPair = generateKeyPair()
  const did = formatDidKey(keyPair.publicKey)
  return { agentId: agentIdOf(keyPair.publicKey), did, keyPair, createdTs: 0, rotations: [], grants: [] }
}

/** Starts a relay on a free port that ends with the test. */
export async function startTestRelay(options: Partial<RelayOptions> = {}): Promise<Relay> {
  const limits = { ratePerSecond: 1e9, requestsPerSecond: 1e9, requestBurst: 1e9 }
  const relay = await startRelay({
    ...{ port: 0, host: "127.0.0.1", clock: systemClock, log: () => {}, limits },
    ...options,
  })
  onTestFinished(() => relay.stop())
  return relay
}

/** Connects an agent that ends with the test. */
export async function enter(
  relay: Pick<Relay, "url">,
  name: string,
  options: Partial<AgentChatClientOptions> = {},
): Promise<AgentChatClient & { readonly id: string }> {
  const client = new AgentChatClient({ server: relay.url, name, identity: makeIdentity(), ...options })
  onTestFinished(() => client.disconnect())
  await client.connect()
  client.on("message", () => {})
  await client.join("#general")
  return Object.assign(client, { id: client.agentId ?? "" })
}

/** Serves the page for a person; it ends with the test. */
export async function serve(
  relay: Pick<Relay, "url">,
  identity: Identity = makeIdentity(),
  options: Partial<WebServerOptions> = {},
): Promise<WebServer> {
  const person = {
    server: relay.url,
    name: "anna",
    role: "human",
    reconnect: true,
    random: () => 0,
    identity,
  }
  const web = await WebServer.start({
    client: new AgentChatClient(person),
    ...{ relayUrl: relay.url, identity, name: "anna", host: "127.0.0.1", port: 0 },
    ...{ clock: systemClock, positions: undefined, log: () => {} },
    ...options,
  })
  onTestFinished(() => web.close())
  return web
}
