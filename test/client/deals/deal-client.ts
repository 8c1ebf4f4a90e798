import { onTestFinished } from "vitest"
import type { Identity } from "../../../src/identity/identity-file.js"
import { agentIdOf, formatDidKey } from "../../../src/identity/keys.js"
import type { KeyPair } from "../../../src/identity/signer.js"
import {
  AgentChatClient,
  type AgentChatClientOptions,
  type ChatError,
  type DealEvent,
} from "../../../src/index.js"
import type { Deal } from "../../../src/proposals/deal.js"
import { statementMessageId } from "../../../src/proposals/statement.js"
import type { Statement } from "../../../src/protocol/statements.js"
import { verbs } from "../../../src/protocol/verbs.js"
import { until } from "../../kit/condition.js"
import { bob } from "../../kit/deals.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { FakeRelay, type FakeRelayOptions, type FakeSession } from "../../kit/fake-relay.js"

/** A key pair as an identity. */
function identityOf(keyPair: KeyPair): Identity {
  const did = formatDidKey(keyPair.publicKey)
  return { agentId: agentIdOf(keyPair.publicKey), did, keyPair, createdTs: 0, rotations: [], grants: [] }
}

/** A client and its events. */
interface Room {
  readonly client: AgentChatClient
  readonly relay: FakeRelay
  readonly session: FakeSession
  readonly clock: FakeClock
  /** The events that listeners got, in order. */
  readonly events: DealEvent[]
  readonly errors: ChatError[]
}

/** Connects Bob to a fake relay. */
export async function enter(
  answers: FakeRelayOptions["answers"] = {},
  { isListening = true, ...options }: Partial<AgentChatClientOptions> & { isListening?: boolean } = {},
): Promise<Room> {
  const relay = await FakeRelay.start({ answers })
  const clock = new FakeClock()
  const client = new AgentChatClient({
    server: relay.url,
    name: "bob",
    identity: identityOf(bob),
    clock,
    ...options,
  })
  onTestFinished(() => client.disconnect())
  const events: DealEvent[] = []
  const errors: ChatError[] = []
  if (isListening) hearAll(client, events)
  client.on("error", (error) => errors.push(error))
  await client.connect()
  return { client, relay, session: await relay.session(), clock, events, errors }
}

/** Records every event of a statement. */
export function hearAll(client: AgentChatClient, events: DealEvent[]): void {
  for (const verb of verbs) {
    client.on(verb.toLowerCase() as "proposal", (event) => events.push(event))
  }
}

/** A statement as a relay passes it on. */
export function relayed(statement: Statement, fields: object = {}): object {
  return { ...statement, msg_id: statementMessageId(statement), name: "eve", state: "pending", ...fields }
}

/** A relay that knows of some deals. */
export function withDeals(...deals: readonly Deal[]): NonNullable<FakeRelayOptions["answers"]> {
  return {
    LIST_PROPOSALS: ({ id: re, proposal }) => {
      const list = deals
        .filter(({ id }) => proposal === undefined || proposal === id)
        .map(({ id, state, chain }) => ({ id, state, statements: chain, names: {} }))
      return list.length > 0
        ? { type: "PROPOSALS", re, list }
        : { type: "ERROR", re, code: "PROPOSAL_NOT_FOUND", message: "no" }
    },
  }
}

/** Waits until the client has confirmed `count` messages, and returns their ids. */
export async function confirmed(session: FakeSession, count = 1): Promise<string[]> {
  const ids = () => session.frames.flatMap((frame) => (frame.type === "RECEIVED" ? (frame.ids ?? []) : []))
  await until(`${count} confirmed`, () => ids().length >= count)
  return ids()
}
