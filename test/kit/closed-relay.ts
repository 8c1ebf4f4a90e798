import { signGrant } from "../../src/grants/sign.js"
import { formatDidKey } from "../../src/identity/keys.js"
import { signModeration } from "../../src/identity/moderation.js"
import { generateKeyPair, type KeyPair } from "../../src/identity/signer.js"
import type { Grant } from "../../src/protocol/grants.js"
import type { Moderation } from "../../src/protocol/moderation.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { LastingEngine } from "./engine.js"
import type { FakeClock } from "./fake-clock.js"
import { prove, TestRelay } from "./relay.js"
import type { Wire } from "./wire.js"

/** The operator of all closed relays of tests. */
export const chief = generateKeyPair()
const operators = [formatDidKey(chief.publicKey)]
let ids = 1_000

/** Starts a relay that lets in only `chief` and agents with a grant. */
export async function startClosed(engine?: LastingEngine, clock?: FakeClock): Promise<TestRelay> {
  const backbone = (engine ?? (await LastingEngine.make())).lend()
  return TestRelay.start({ operators, closed: true, backbone, ...(clock && { clock }) })
}

/** Makes a grant of `chief`, by default for everything an agent may do. */
export function mint(relay: TestRelay, facts: Partial<Grant> = {}, keyPair = chief): Grant {
  const base = { profile: "agent", read: ["#>"], write: ["#>"], roles: ["*"] } as unknown as Grant
  return signGrant({ ...base, id: `grant-${ids++}`, aud: relay.relay.serverId, ts: 0, ...facts }, keyPair)
}

/** Connects with grants. */
export async function knock(
  relay: TestRelay,
  keyPair: KeyPair,
  grants?: readonly Grant[],
  frame: object = {},
): Promise<Wire> {
  const wire = await relay.connect()
  wire.say({ type: "IDENTIFY", name: "agent", pubkey: formatDidKey(keyPair.publicKey), ...frame })
  wire.say({ ...prove(await wire.next("CHALLENGE"), keyPair), ...(grants && { grants }) })
  return wire
}

/** Connects with grants that let the agent in. */
export async function enter(
  relay: TestRelay,
  keyPair: KeyPair,
  grants?: readonly Grant[],
  frame?: object,
): Promise<{ readonly wire: Wire; readonly welcome: ServerMessage<"WELCOME"> }> {
  const wire = await knock(relay, keyPair, grants, frame)
  return { wire, welcome: await wire.next("WELCOME") }
}

/** Has `chief` carry out an action. @returns the relay's answer */
export function act(
  op: Wire,
  relay: TestRelay,
  facts: Partial<Omit<Moderation, "action">> & Pick<Moderation, "action">,
): Promise<ServerMessage> {
  const own = { id: `action-${ids++}`, aud: relay.relay.serverId, reason: "left", ts: relay.clock.now() }
  return op.ask({ type: "MODERATE", statement: signModeration({ ...own, ...facts }, chief) })
}
