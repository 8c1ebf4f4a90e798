import { describe, expect, it } from "vitest"
import { signChallenge, signCompatChallenge } from "../../src/identity/auth-proof.js"
import { formatBase64 } from "../../src/identity/base64.js"
import { agentIdOf, formatDidKey, formatPublicPem } from "../../src/identity/keys.js"
import { generateKeyPair } from "../../src/identity/signer.js"
import { prove, TestRelay } from "../kit/relay.js"

const keyPair = generateKeyPair()
const did = formatDidKey(keyPair.publicKey)
const iat = 1_800_000_000

describe("IDENTIFY", () => {
  it("gives an agent without a key an id for this session", async () => {
    const relay = await TestRelay.start({ name: "test", limits: { ratePerSecond: 2, rateBurst: 7 } })
    const wire = await relay.connect()
    const welcome = await wire.ask({ type: "IDENTIFY", name: "bob" })
    expect(welcome).toEqual({
      type: "WELCOME",
      re: expect.any(String),
      agent_id: expect.stringMatching(/^@[a-z2-7]{8}$/),
      name: "bob",
      server: "test",
      server_id: relay.relay.serverId,
      protocol: 1,
      limits: { frame_bytes: 262_144, rate_per_s: 2, burst: 7, rate_bytes: 2_048, buffer: 20 },
      ts: relay.clock.now(),
    })
  })

  it("gives two agents with the same name two ids", async () => {
    const relay = await TestRelay.start()
    const [a, b] = [await relay.enter("bob"), await relay.enter("bob")]
    expect(a.id).not.toBe(b.id)
  })

  it.each([
    ["did:key", did],
    ["base64", formatBase64(keyPair.publicKey)],
    ["SPKI PEM", formatPublicPem(keyPair.publicKey)],
  ])("asks for a proof of a key given as %s, and derives the id from it", async (_, pubkey) => {
    const relay = await TestRelay.start()
    const wire = await relay.connect()
    wire.say({ type: "IDENTIFY", name: "bob", pubkey, id: "q" })
    const challenge = await wire.next("CHALLENGE")
    expect(challenge).toMatchObject({ re: "q", aud: relay.relay.serverId, expires_ms: 30_000 })
    wire.say(prove(challenge, keyPair))
    expect(await wire.next("WELCOME")).toMatchObject({ agent_id: agentIdOf(keyPair.publicKey) })
  })

  it("is refused a second time", async () => {
    const relay = await TestRelay.start()
    const { wire } = await relay.enter("bob")
    expect(await wire.ask({ type: "IDENTIFY", name: "eve" })).toMatchObject({ code: "ALREADY_IDENTIFIED" })
    expect(await wire.ask({ type: "VERIFY_IDENTITY", challenge_id: "x", sig: "x" })).toMatchObject({
      code: "ALREADY_IDENTIFIED",
    })
    const asked = await relay.connect()
    asked.say({ type: "IDENTIFY", name: "bob", pubkey: did })
    await asked.next("CHALLENGE")
    expect(await asked.ask({ type: "IDENTIFY", name: "bob" })).toMatchObject({ code: "ALREADY_IDENTIFIED" })
  })

  it.each(["", "a b", "0123456789abcdef", "x".repeat(65), "../x"])(
    "refuses the name %j and lets the session try another",
    async (name) => {
      const relay = await TestRelay.start()
      const wire = await relay.connect()
      expect(await wire.ask({ type: "IDENTIFY", name })).toMatchObject({
        code: "INVALID_MSG",
        message: expect.stringMatching(/^IDENTIFY\.name: /),
      })
      expect(await wire.ask({ type: "IDENTIFY", name: "bob" })).toMatchObject({ type: "WELCOME" })
    },
  )

  it("rejects an invalid key", async () => {
    const relay = await TestRelay.start()
    const wire = await relay.connect()
    expect(await wire.ask({ type: "IDENTIFY", name: "bob", pubkey: "did:key:zNope" })).toMatchObject({
      code: "INVALID_MSG",
      message: expect.stringMatching(/^pubkey: /),
    })
  })

  it("is required before everything but PING", async () => {
    const relay = await TestRelay.start()
    const wire = await relay.connect()
    expect(await wire.ask({ type: "JOIN", channel: "#general" })).toMatchObject({ code: "AUTH_REQUIRED" })
    expect(await wire.ask({ type: "MSG", to: "#general", content: "x" })).toMatchObject({
      code: "AUTH_REQUIRED",
    })
    expect(await wire.ask({ type: "VERIFY_IDENTITY", challenge_id: "x", sig: "x" })).toMatchObject({
      code: "AUTH_REQUIRED",
    })
    expect(await wire.ask({ type: "PING" })).toMatchObject({ type: "PONG", ts: relay.clock.now() })
  })
})

describe("VERIFY_IDENTITY", () => {
  async function challenged(options = {}) {
    const relay = await TestRelay.start(options)
    const wire = await relay.connect()
    wire.say({ type: "IDENTIFY", name: "bob", pubkey: did })
    return { relay, wire, challenge: await wire.next("CHALLENGE") }
  }

  async function expectRefused({ wire }: Awaited<ReturnType<typeof challenged>>, answer: object) {
    expect(await wire.ask(answer)).toMatchObject({ type: "ERROR", code: "VERIFICATION_FAILED" })
    expect(await wire.ended()).toEqual({ code: 1008, reason: "VERIFICATION_FAILED" })
  }

  it("rejects a proof by another key", async () => {
    const session = await challenged()
    await expectRefused(session, prove(session.challenge, generateKeyPair()))
  })

  it("rejects a proof for another relay", async () => {
    const session = await challenged()
    await expectRefused(session, prove({ ...session.challenge, aud: "srv_other" }, keyPair))
  })

  it("rejects a proof with another nonce or time", async () => {
    const session = await challenged()
    await expectRefused(session, prove({ ...session.challenge, nonce: "x" }, keyPair))
    const second = await challenged()
    await expectRefused(second, { ...prove(second.challenge, keyPair), iat: iat + 1 })
  })

  it("rejects an answer to another connection's challenge", async () => {
    const session = await challenged()
    const other = await session.relay.connect()
    other.say({ type: "IDENTIFY", name: "bob", pubkey: did })
    const theirs = await other.next("CHALLENGE")
    await expectRefused(session, prove(theirs, keyPair))
    other.say(prove(theirs, keyPair))
    expect(await other.next("WELCOME")).toMatchObject({ agent_id: agentIdOf(keyPair.publicKey) })
  })

  it("rejects a proof replayed on a new connection", async () => {
    const first = await challenged()
    const proof = prove(first.challenge, keyPair)
    first.wire.say(proof)
    await first.wire.next("WELCOME")
    const wire = await first.relay.connect()
    wire.say({ type: "IDENTIFY", name: "bob", pubkey: did })
    await wire.next("CHALLENGE")
    await expectRefused({ ...first, wire }, proof)
  })

  it("rejects a late proof with HANDSHAKE_TIMEOUT", async () => {
    const { relay, wire, challenge } = await challenged({ limits: { challengeMs: 2_000 } })
    relay.clock.advance(2_001)
    expect(await wire.ask(prove(challenge, keyPair))).toMatchObject({ code: "HANDSHAKE_TIMEOUT" })
    expect(await wire.ended()).toMatchObject({ code: 4003 })
  })

  it("names missing fields and keeps waiting", async () => {
    const { wire, challenge } = await challenged()
    const { challenge_id } = challenge
    expect(await wire.ask({ type: "VERIFY_IDENTITY", challenge_id })).toMatchObject({ code: "INVALID_MSG" })
    wire.say(prove(challenge, keyPair))
    await wire.next("WELCOME")
  })

  it("rejects the older proof without --compat", async () => {
    const { wire, challenge } = await challenged()
    const { challenge_id, nonce } = challenge
    const timestamp = 1_800_000_000_000
    const signature = signCompatChallenge({ challenge_id, nonce, timestamp }, keyPair)
    const answer = { type: "VERIFY_IDENTITY", challenge_id, signature, timestamp }
    expect(await wire.ask(answer)).toMatchObject({ code: "INVALID_MSG" })
  })
})

describe("a relay with --compat", () => {
  it("accepts the first AgentChat's handshake, and logs it", async () => {
    const relay = await TestRelay.start({ compat: true })
    const wire = await relay.connect()
    wire.say({ type: "IDENTIFY", name: "old", pubkey: formatPublicPem(keyPair.publicKey) })
    const { challenge_id, nonce } = await wire.next("CHALLENGE")
    const timestamp = 1_800_000_000_000
    const signature = signCompatChallenge({ challenge_id, nonce, timestamp }, keyPair)
    wire.say({ type: "VERIFY_IDENTITY", challenge_id, signature, timestamp })
    expect(await wire.next("WELCOME")).toMatchObject({ agent_id: agentIdOf(keyPair.publicKey) })
    expect(relay.log).toContain("compat: old used the older handshake")
  })

  it("rejects an older proof by another key", async () => {
    const relay = await TestRelay.start({ compat: true })
    const wire = await relay.connect()
    wire.say({ type: "IDENTIFY", name: "old", pubkey: did })
    const { challenge_id, nonce } = await wire.next("CHALLENGE")
    const signature = signCompatChallenge(
      { challenge_id, nonce, timestamp: 1_800_000_000_000 },
      generateKeyPair(),
    )
    const answer = { type: "VERIFY_IDENTITY", challenge_id, signature, timestamp: 1_800_000_000_000 }
    expect(await wire.ask(answer)).toMatchObject({ code: "VERIFICATION_FAILED" })
  })

  it("does not keep direct messages for an older client, which never confirms", async () => {
    const relay = await TestRelay.start({ compat: true })
    const wire = await relay.connect()
    wire.say({ type: "IDENTIFY", name: "old", pubkey: did })
    const { challenge_id, nonce } = await wire.next("CHALLENGE")
    const signature = signCompatChallenge({ challenge_id, nonce, timestamp: 1_800_000_000_000 }, keyPair)
    wire.say({ type: "VERIFY_IDENTITY", challenge_id, signature, timestamp: 1_800_000_000_000 })
    await wire.next("WELCOME")
    const { wire: sender } = await relay.enter("bob")
    await sender.ask({ type: "MSG", to: "@old", content: "once" })
    await wire.next("MSG")
    const again = await relay.enterAs(keyPair, "old")
    expect(await again.wire.settle()).toEqual([])
  })
})

describe("a session without IDENTIFY", () => {
  it("is closed with HANDSHAKE_TIMEOUT at the deadline", async () => {
    const relay = await TestRelay.start()
    const [silent, asked, quick] = [await relay.connect(), await relay.connect(), await relay.enter("bob")]
    asked.say({ type: "IDENTIFY", name: "eve", pubkey: did })
    await asked.next("CHALLENGE")
    relay.clock.advance(10_000)
    expect(await silent.next("ERROR")).toMatchObject({ code: "HANDSHAKE_TIMEOUT" })
    expect(await silent.ended()).toEqual({ code: 4003, reason: "HANDSHAKE_TIMEOUT" })
    expect(await asked.ended()).toMatchObject({ code: 4003 })
    expect(await quick.wire.ask({ type: "PING" })).toMatchObject({ type: "PONG" })
  })
})

describe("a second session of an identity", () => {
  it("displaces the first one", async () => {
    const relay = await TestRelay.start()
    const first = await relay.enterAs(keyPair, "bob", "#general")
    const second = await relay.enterAs(keyPair, "bob")
    expect(second.id).toBe(first.id)
    expect(await first.wire.next("SESSION_DISPLACED")).toMatchObject({ reason: expect.any(String) })
    expect(await first.wire.ended()).toMatchObject({
      code: 4001,
      reason: expect.stringContaining("SESSION_DISPLACED"),
    })
    expect(await second.wire.ask({ type: "LIST_AGENTS" })).toMatchObject({ list: [second.id] })
    expect(await second.wire.ask({ type: "LIST_AGENTS", channel: "#general" })).toMatchObject({ list: [] })
  })

  it("displaces no newer attempt of its own process, and is named to an older one", async () => {
    const relay = await TestRelay.start()
    const attempt = async (process: string, number: number) => {
      const wire = await relay.connect()
      wire.say({ type: "IDENTIFY", name: "bob", pubkey: did, process, attempt: number })
      return { wire, proof: prove(await wire.next("CHALLENGE"), keyPair) }
    }
    const late = await attempt("p", 1)
    const newer = await attempt("p", 2)
    newer.wire.say(newer.proof)
    await newer.wire.next("WELCOME")
    late.wire.say(late.proof)
    expect(await late.wire.next("ERROR")).toMatchObject({ code: "SESSION_DISPLACED" })
    expect(await late.wire.ended()).toMatchObject({ code: 4001 })
    expect(await newer.wire.ask({ type: "LIST_AGENTS" })).toMatchObject({ type: "AGENTS" })
    const newest = await attempt("p", 3)
    newest.wire.say(newest.proof)
    expect(await newer.wire.next("SESSION_DISPLACED")).toMatchObject({ process: "p" })
    const other = await attempt("q", 1)
    other.wire.say(other.proof)
    expect(await newest.wire.next("SESSION_DISPLACED")).toMatchObject({ process: "q" })
    await other.wire.next("WELCOME")
  })

  it("displaces nobody without a proof of the key", async () => {
    const relay = await TestRelay.start()
    const bob = await relay.enterAs(keyPair, "bob")
    const eve = await relay.connect()
    eve.say({ type: "IDENTIFY", name: "bob", pubkey: did })
    const challenge = await eve.next("CHALLENGE")
    const sig = signChallenge({ ...challenge, iat }, generateKeyPair())
    await eve.ask({ type: "VERIFY_IDENTITY", challenge_id: challenge.challenge_id, iat, sig })
    expect(await bob.wire.ask({ type: "PING" })).toMatchObject({ type: "PONG" })
  })

  it("does not reset the rate", async () => {
    const relay = await TestRelay.start({ limits: { ratePerSecond: 1, rateBurst: 2 } })
    const first = await relay.enterAs(keyPair, "bob")
    for (let i = 0; i < 2; i++) await first.wire.ask({ type: "MSG", to: "#general", content: "x" })
    const second = await relay.enterAs(keyPair, "bob")
    second.wire.say({ type: "MSG", to: "#general", content: "x", id: "third" })
    expect(await second.wire.settle()).toEqual([])
    relay.clock.advance(999)
    expect(await second.wire.settle()).toEqual([])
    relay.clock.advance(1)
    expect(await second.wire.next("ACK")).toMatchObject({ re: "third" })
  })

  it("sends the channel no notice if it joins at once", async () => {
    const relay = await TestRelay.start()
    const eve = await relay.enter("eve", "#general")
    await relay.enterAs(keyPair, "bob", "#general")
    relay.clock.advance(100)
    await eve.wire.next("AGENT_JOINED")
    await relay.enterAs(keyPair, "bob", "#general")
    relay.clock.advance(100)
    expect(await eve.wire.settle()).toEqual([])
  })
})
