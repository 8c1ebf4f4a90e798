import { describe, expect, it } from "vitest"
import { isClaimOf, type SignedClaim, signClaim } from "../../src/identity/claim-signature.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import type { ClaimEntry } from "../../src/protocol/claims.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { LastingEngine } from "../kit/engine.js"
import { FakeClock } from "../kit/fake-clock.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

const keys = { ann: generateKeyPair(), bob: generateKeyPair(), eve: generateKeyPair() }
const repo = "github.com/acme/shop"

/** A claim by the owner of `key` that is signed now. */
function claimOf(
  relay: TestRelay,
  { welcome }: TestAgent,
  key: typeof keys.ann,
  paths: readonly string[],
  change: Partial<SignedClaim> = {},
) {
  const claim = { repo, paths, seconds: 600, ts: relay.clock.now(), ...change }
  return { type: "CLAIM_PATHS", ...claim, sig: signClaim({ aud: welcome.server_id, ...claim }, key) }
}

async function list({ wire }: TestAgent, of?: string): Promise<readonly ClaimEntry[]> {
  const answer = await wire.ask({ type: "LIST_CLAIMS", ...(of === undefined ? {} : { repo: of }) })
  return (answer as ServerMessage<"CLAIMS">).list
}

async function room() {
  const relay = await TestRelay.start()
  const [ann, bob] = [await relay.enterAs(keys.ann, "ann"), await relay.enterAs(keys.bob, "bob")]
  const claim = (paths: readonly string[], change: Partial<SignedClaim> = {}) =>
    ann.wire.ask(claimOf(relay, ann, keys.ann, paths, change))
  const bobClaims = (paths: readonly string[], change: Partial<SignedClaim> = {}) =>
    bob.wire.ask(claimOf(relay, bob, keys.bob, paths, change))
  return { relay, ann, bob, claim, bobClaims }
}

describe("a claim of files", () => {
  it("is first come, first served; the refusal names owner, note and end", async () => {
    const { relay, ann, bob, claim, bobClaims } = await room()
    expect(await claim(["src/**"], { note: "big\u001b[31m move" })).toMatchObject({ type: "CLAIMS" })
    const end = new Date(relay.clock.now() + 600_000).toISOString()
    const refused = (await bobClaims(["docs/a.md", "src/*.ts"])) as ServerMessage<"ERROR">
    expect(refused).toMatchObject({ type: "ERROR", code: "CLAIMED" })
    expect(refused.message).toBe(
      `paths: src/*.ts is claimed by ${ann.id} (ann) until ${end}: "big\\u001b[31m move"`,
    )
    // All paths or none.
    expect((await list(bob)).flatMap(({ paths }) => paths)).toEqual(["src/**"])
    expect(await bobClaims(["src/a.ts"], { repo: "elsewhere" })).toMatchObject({ type: "CLAIMS" })
  })

  it("is shown to everybody as its owner signed it, and in the roster", async () => {
    const { ann, bob, claim } = await room()
    await claim(["src/a.ts", "b"], { note: "mine" })
    const [shown] = await list(bob, repo)
    expect(shown).toMatchObject({ owner: ann.id, name: "ann", note: "mine", seconds: 600 })
    if (shown === undefined) throw new Error("no claim")
    const aud = ann.welcome.server_id
    expect(isClaimOf({ ...shown, aud }, shown.sig, ann.id)).toBe(true)
    for (const other of [{ paths: ["**"] }, { seconds: 9_999 }, { note: "x" }, { repo: "x" }, { aud: "x" }]) {
      expect(isClaimOf({ ...shown, aud, ...other }, shown.sig, ann.id), JSON.stringify(other)).toBe(false)
    }
    const { roster } = (await bob.wire.ask({ type: "LIST_AGENTS" })) as ServerMessage<"AGENTS">
    expect(roster.map(({ name, claims }) => [name, claims?.[0]?.paths])).toEqual([
      ["ann", ["src/a.ts", "b"]],
      ["bob", undefined],
    ])
  })

  it("ends with its time, and with release of all or some of its paths", async () => {
    const { relay, ann, bob, claim, bobClaims } = await room()
    await claim(["a", "b", "c"])
    expect(await bob.wire.ask({ type: "RELEASE_PATHS", repo, paths: ["a"] })).toMatchObject({ released: [] })
    expect(await ann.wire.ask({ type: "RELEASE_PATHS", repo, paths: ["a", "x"] })).toMatchObject({
      released: ["a"],
    })
    expect(await bobClaims(["a"])).toMatchObject({ type: "CLAIMS" })
    expect(await bobClaims(["b"])).toMatchObject({ code: "CLAIMED" })
    expect(await ann.wire.ask({ type: "RELEASE_PATHS" })).toMatchObject({ released: ["b", "c"] })
    expect(await bobClaims(["b"])).toMatchObject({ type: "CLAIMS" })
    relay.clock.advance(600_000)
    expect(await list(ann)).toEqual([])
    expect(await claim(["b"])).toMatchObject({ type: "CLAIMS" })
  })

  it("is renewed by its owner without a second copy", async () => {
    const { ann, claim } = await room()
    await claim(["a", "b"])
    await claim(["a"], { seconds: 1_200 })
    const claims = await list(ann)
    expect(claims.map(({ paths, released, seconds }) => [paths, released, seconds])).toEqual([
      [["a", "b"], ["a"], 600],
      [["a"], undefined, 1_200],
    ])
  })

  it("ends when its owner has been offline for five minutes, not before", async () => {
    const { relay, ann, bob, claim } = await room()
    await claim(["a"], { seconds: 86_400 })
    ann.wire.socket.destroy()
    await bob.wire.settle()
    relay.clock.advance(290_000)
    await bob.wire.settle()
    expect(await list(bob)).toHaveLength(1)
    relay.clock.advance(20_000)
    expect(await list(bob)).toEqual([])
  })

  it.each([
    ["of another key", {}, keys.eve, "VERIFICATION_FAILED"],
    ["for another relay", { aud: "elsewhere" }, keys.bob, "VERIFICATION_FAILED"],
    ["signed long ago", { ts: 1 }, keys.bob, "INVALID_MSG"],
    ["from the future", { ts: 9e15 }, keys.bob, "INVALID_MSG"],
    ["for more than a day", { seconds: 86_401 }, keys.bob, "INVALID_MSG"],
    ["of nothing", { paths: [] }, keys.bob, "INVALID_MSG"],
    ["outside of the repository", { paths: ["../x"] }, keys.bob, "INVALID_MSG"],
    ["with a long note", { note: "x".repeat(201) }, keys.bob, "INVALID_MSG"],
  ])("%s is refused", async (_name, change, key, code) => {
    const { relay, bob } = await room()
    const answer = await bob.wire.ask(claimOf(relay, bob, key, ["a"], change))
    expect(answer).toMatchObject({ type: "ERROR", code })
    expect(await list(bob)).toEqual([])
  })

  it("whose paths were changed after it was signed is refused, and one without a key", async () => {
    const { relay, bob } = await room()
    const changed = { ...claimOf(relay, bob, keys.bob, ["a"]), paths: ["**"] }
    expect(await bob.wire.ask(changed)).toMatchObject({ code: "VERIFICATION_FAILED" })
    const guest = await relay.enter("guest")
    expect(await guest.wire.ask(claimOf(relay, bob, keys.bob, ["a"]))).toMatchObject({
      code: "IDENTITY_REQUIRED",
    })
  })

  it("reaches those who follow, with every change of the repository", async () => {
    const { relay, ann, bob, claim } = await room()
    await bob.wire.ask({ type: "LIST_CLAIMS", follow: true })
    await claim(["a"])
    relay.clock.advance(100)
    await ann.wire.ask({ type: "RELEASE_PATHS" })
    relay.clock.advance(100)
    const changes = (await bob.wire.settle()).filter(({ type }) => type === "CLAIMS_CHANGED")
    const told = changes as ServerMessage<"CLAIMS_CHANGED">[]
    expect(told.map(({ repo: of, list: claims }) => [of, claims.length])).toEqual([
      [repo, 1],
      [repo, 0],
    ])
  })

  it("cannot fill the table: one origin has a share, one repository a bound", async () => {
    const { claim, bobClaims } = await room()
    const files = (i: number) => Array.from({ length: 16 }, (_, at) => `f${i}-${at}`)
    for (let i = 0; i < 16; i++) await claim(files(i))
    expect(await claim(["one-more"])).toMatchObject({ code: "LIMIT_REACHED" })
    // Renewal takes no more room.
    expect(await claim(["f0-0"])).toMatchObject({ type: "CLAIMS" })
    expect(await bobClaims(["x"], { repo: "other" })).toMatchObject({ type: "CLAIMS" })
  })
})

describe("claims on two relays with one store", () => {
  it("agree who was first, also in the same moment, and survive a restart", async () => {
    const clock = new FakeClock()
    const engine = await LastingEngine.make({ isShared: true })
    const east = await TestRelay.start({ backbone: engine.lend(), clock })
    const west = await TestRelay.start({ backbone: engine.lend(), clock })
    const ann = await east.enterAs(keys.ann, "ann")
    const bob = await west.enterAs(keys.bob, "bob")
    const answers = await Promise.all([
      ann.wire.ask(claimOf(east, ann, keys.ann, ["src/**"])),
      bob.wire.ask(claimOf(west, bob, keys.bob, ["src/a.ts"])),
    ])
    expect(answers.map(({ type }) => type).sort()).toEqual(["CLAIMS", "ERROR"])
    expect(await list(ann)).toEqual(await list(bob))
    expect(await list(ann)).toHaveLength(1)
    const third = await TestRelay.start({ backbone: engine.lend(), clock })
    const eve = await third.enterAs(keys.eve, "eve")
    expect(await list(eve)).toEqual(await list(bob))
  })
})
