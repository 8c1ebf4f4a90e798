import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { signClaim } from "../../src/identity/claim-signature.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import { AgentChatClient, type ClaimEntry } from "../../src/index.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { until } from "../kit/condition.js"
import { newIdentity } from "../kit/identity.js"
import { NatsServer } from "../kit/nats.js"
import { enter, startOn } from "../kit/nats-relays.js"
import { RelayProcess } from "../kit/program.js"
import { hasProgram } from "../kit/requires.js"
import { temporaryDirectory } from "../kit/temporary.js"
import type { Wire } from "../kit/wire.js"

const testMs = 120_000
const repo = "github.com/acme/shop"

async function list(wire: Wire): Promise<readonly ClaimEntry[]> {
  return ((await wire.ask({ type: "LIST_CLAIMS" })) as ServerMessage<"CLAIMS">).list
}

describe("claims of a relay with a store", { timeout: testMs }, () => {
  it("outlive kill -9 of the relay as they were acknowledged, claims and releases", async ({
    onTestFinished,
  }) => {
    const relay = await RelayProcess.start("--data", join(temporaryDirectory(), "data"))
    onTestFinished(() => relay.kill())
    const connect = async (name: string) => {
      const client = new AgentChatClient({ server: relay.url, name, identity: newIdentity() })
      onTestFinished(() => client.disconnect())
      await client.connect()
      return client
    }
    const ann = await connect("ann")
    const made = await ann.claimPaths(repo, ["src/a.ts", "src/b.ts"], { note: "parser" })
    await ann.releasePaths(repo, ["src/b.ts"])
    const last = await ann.claimPaths(repo, ["doc/**"])
    await relay.kill("SIGKILL")
    await relay.restart()
    const bob = await connect("bob")
    expect(await bob.claims(repo)).toEqual([{ ...made, released: ["src/b.ts"] }, last])
    await expect(bob.claimPaths(repo, ["doc/x.md"])).rejects.toMatchObject({ code: "CLAIMED" })
    expect((await bob.claimPaths(repo, ["src/b.ts"])).owner).toBe(bob.agentId)
  })
})

describe.runIf(hasProgram("nats-server"))("claims of two relays on one NATS", { timeout: testMs }, () => {
  let server: NatsServer
  beforeAll(async () => {
    server = await NatsServer.start()
  }, testMs)
  afterAll(() => server.dispose())

  it("are one list: of two in the same moment one is refused, and a release frees the file everywhere", async () => {
    const [east, west] = [await startOn(server.url), await startOn(server.url)]
    const keys = { ann: generateKeyPair(), bob: generateKeyPair() }
    const ann = await enter(east, keys.ann, "ann")
    const bob = await enter(west, keys.bob, "bob")
    const claim = ({ wire }: { readonly wire: Wire }, key: typeof keys.ann, path: string) => {
      const body = { repo, paths: [path], seconds: 600, ts: Date.now() }
      const sig = signClaim({ aud: east.serverId, ...body }, key)
      return wire.ask({ type: "CLAIM_PATHS", ...body, sig })
    }
    const answers = await Promise.all([claim(ann, keys.ann, "src/**"), claim(bob, keys.bob, "src/a.ts")])
    expect(answers.map(({ type }) => type).sort()).toEqual(["CLAIMS", "ERROR"])
    const first = answers[0].type === "CLAIMS" ? ann : bob
    await until("one claim on both", async () => {
      const [one, other] = [await list(ann.wire), await list(bob.wire)]
      return one.length === 1 && JSON.stringify(one) === JSON.stringify(other) && one[0]?.owner === first.id
    })
    await first.wire.ask({ type: "RELEASE_PATHS" })
    const second = first === ann ? bob : ann
    await until("the file is free", async () => (await list(second.wire)).length === 0)
    const again = await claim(second, second === ann ? keys.ann : keys.bob, "src/a.ts")
    expect(again).toMatchObject({ type: "CLAIMS", list: [{ owner: second.id }] })
  })
})
