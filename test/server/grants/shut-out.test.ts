import { describe, expect, it } from "vitest"
import { signClaim } from "../../../src/identity/claim-signature.js"
import { agentIdOf } from "../../../src/identity/keys.js"
import { generateKeyPair } from "../../../src/identity/signer.js"
import { signRevocation, signRotation } from "../../../src/identity/succession.js"
import { act, chief, enter, mint, startClosed } from "../../kit/closed-relay.js"
import { LastingEngine } from "../../kit/engine.js"
import type { TestRelay } from "../../kit/relay.js"
import type { Wire } from "../../kit/wire.js"

const [worker, second, deputy] = [generateKeyPair(), generateKeyPair(), generateKeyPair()]
const workerId = agentIdOf(worker.publicKey)
const repo = "github.com/acme/shop"
const idle = { type: "SET_PRESENCE", status: "idle", role: "reviewer" }

/** Two relays of one store; the agent at the west one has a claim of files and a task. */
async function makeScene() {
  const engine = await LastingEngine.make({ isShared: true })
  const east = await startClosed(engine)
  const west = await startClosed(engine, east.clock)
  const { wire: op } = await enter(east, chief)
  const grant = mint(east)
  const { wire: agent, welcome } = await enter(west, worker, [grant])
  await agent.ask(idle)
  await agent.ask(claimOf(west, welcome.server_id))
  await op.ask({ type: "MSG", to: "+reviewer", content: "read it" })
  const { task } = await agent.next("TASK")
  const { wire: follower } = await enter(west, deputy, [mint(east)])
  await follower.ask({ type: "LIST_CLAIMS", follow: true })
  return { east, west, op, agent, follower, grant, task }
}

function claimOf(relay: TestRelay, aud: string) {
  const claim = { repo, paths: ["src/**"], seconds: 600, ts: relay.clock.now() }
  return { type: "CLAIM_PATHS", ...claim, sig: signClaim({ aud, ...claim }, worker) }
}

/** Ways to shut an agent out, and whether its tasks wait for a successor. */
const ways: Readonly<Record<string, (op: Wire, relay: TestRelay, grant: string) => Promise<unknown>>> = {
  "whose key was revoked": (op) =>
    op.ask({ type: "KEY_STATEMENT", statement: signRevocation(worker, 1, "lost") }),
  "whose key was replaced": (op) =>
    op.ask({ type: "KEY_STATEMENT", statement: signRotation(worker, second, 1) }),
  "whose grant was revoked": (op, relay, grant) => act(op, relay, { action: "revoke", grant }),
  "that was banned": (op, relay) => act(op, relay, { action: "ban", agent: workerId }),
}

describe.each(Object.entries(ways))("an agent %s", (what, shutOut) => {
  it.each(["connected", "away"])(
    "and is %s loses its session, claims and tasks on every relay at once",
    async (where) => {
      const { east, west, op, agent, follower, grant, task } = await makeScene()
      if (where === "away") {
        agent.socket.destroy()
        await follower.settle()
      }
      await shutOut(op, east, grant.id)
      if (where === "connected") expect(await agent.ended()).toBeDefined()
      for (const [wire, relay] of [
        [op, east],
        [follower, west],
      ] as const) {
        expect(await wire.ask({ type: "LIST_CLAIMS" }), String(relay.relay.port)).toMatchObject({ list: [] })
      }
      east.clock.advance(1_000)
      expect(await follower.next("CLAIMS_CHANGED")).toMatchObject({ repo, list: [] })
      await follower.ask(idle)
      if (!what.includes("replaced")) {
        expect(await follower.next("TASK")).toMatchObject({ task })
        return
      }
      expect(await follower.settle()).not.toContainEqual(expect.objectContaining({ type: "TASK" }))
    },
  )
})
