import { onTestFinished } from "vitest"
import { systemClock } from "../../src/base/clock.js"
import { Connection, type ConnectOptions } from "../../src/client/connection.js"
import type { ChatError } from "../../src/protocol/errors.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { FakeRelay, type FakeRelayOptions } from "./fake-relay.js"

/** A client session and its events. */
export interface OpenedSession {
  readonly relay: FakeRelay
  readonly connection: Connection
  readonly messages: ServerMessage[]
  readonly ends: ChatError[]
}

/** Opens a session with a scripted relay, closed when the test ends. */
export async function openSession(
  relayOptions: FakeRelayOptions = {},
  options: Partial<ConnectOptions> = {},
): Promise<OpenedSession> {
  const relay = await FakeRelay.start(relayOptions)
  const messages: ServerMessage[] = []
  const ends: ChatError[] = []
  const connection = await Connection.open(
    { url: relay.url, name: "bob", clock: systemClock, ...options },
    { onMessage: (message) => messages.push(message), onClose: (error) => ends.push(error) },
  )
  onTestFinished(() => connection.close())
  return { relay, connection, messages, ends }
}
