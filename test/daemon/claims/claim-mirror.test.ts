import { existsSync, rmSync, writeFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { ClaimMirror } from "../../../src/daemon/claims/claim-mirror.js"
import { claimOn, readClaims } from "../../../src/daemon/claims/claims-file.js"
import { rootPaths } from "../../../src/daemon/files/paths.js"
import { signClaim } from "../../../src/identity/claim-signature.js"
import { parseInstanceName } from "../../../src/protocol/names.js"
import { until } from "../../kit/condition.js"
import { DaemonHarness } from "../../kit/daemon-harness.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { newIdentity } from "../../kit/identity.js"
import { TestRelay } from "../../kit/relay.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const repo = "github.com/acme/shop"

describe("the claims of a daemon", () => {
  it("come from a line of the outbox, signed, and reach the files of another daemon at once", async () => {
    const clock = new FakeClock()
    const relay = await TestRelay.start({ clock })
    const [ann, bob] = [new DaemonHarness(clock), new DaemonHarness(clock)]
    for (const one of [ann, bob]) await one.start({ url: `ws://127.0.0.1:${relay.relay.port}` })
    await until("both are online", () => ann.status.connected && bob.status.connected)
    ann.write({ type: "CLAIM_PATHS", id: "c1", repo, paths: ["src/**"], note: "moving" })
    const now = clock.now()
    const onFile = (path: string) => claimOn(bob.paths, repo, path, now)
    await until("the claim", () => {
      clock.advance(100)
      return onFile("src/a.ts")
    })
    expect(onFile("src/a.ts")).toMatchObject({ owner: ann.self, note: "moving", seconds: 1_800 })
    expect(onFile("test/a.ts")).toBeUndefined()
    expect(claimOn(bob.paths, "other", "src/a.ts", now)).toBeUndefined()
    expect(claimOn(bob.paths, repo, "src/a.ts", now + 1_900_000)).toBeUndefined()
    // The owner itself is not warned.
    await until("the own file", () => {
      clock.advance(100)
      return readClaims(ann.paths).list.length === 1
    })
    expect(claimOn(ann.paths, repo, "src/a.ts", now)).toBeUndefined()
    bob.write({ type: "CLAIM_PATHS", id: "c2", repo, paths: ["src/a.ts"] })
    const refused = await until("the refusal", () => bob.inbox.find(({ type }) => type === "REJECTED"))
    expect(refused).toMatchObject({ code: "CLAIMED", id: "c2" })
    ann.write({ type: "RELEASE_PATHS" })
    await until("the release", () => {
      clock.advance(100)
      return onFile("src/a.ts") === undefined
    })
  })

  it("leave out what the owner did not sign, and survive a damaged file", async () => {
    const paths = rootPaths(temporaryDirectory()).instance(parseInstanceName("a"))
    const file = { claims: `${temporaryDirectory()}/claims.json` }
    expect(paths.claims.endsWith("claims.json")).toBe(true)
    const owner = newIdentity()
    const body = { repo, paths: ["a"], seconds: 600, ts: 1_000 }
    const sig = signClaim({ aud: "s1", ...body }, owner.keyPair)
    const claim = { ...body, owner: owner.agentId, name: "ann", expires_ts: 601_000, sig }
    const forged = [
      { ...claim, paths: ["**"] },
      { ...claim, owner: newIdentity().agentId },
      { ...claim, expires_ts: 9e15 },
    ]
    const mirror = new ClaimMirror(file, () => {})
    const welcome = { server_id: "s1", agent_id: "@0000000000000000" }
    const request = () => Promise.resolve({ type: "CLAIMS", list: [...forged, claim] })
    await mirror.attach({ welcome, request } as never)
    expect(readClaims(file).list).toEqual([claim])
    writeFileSync(file.claims, '{"list":[{"repo":')
    expect(claimOn(file, repo, "a", 0)).toBeUndefined()
    rmSync(file.claims)
    expect(claimOn(file, repo, "a", 0)).toBeUndefined()
    expect(existsSync(file.claims)).toBe(false)
  })
})
