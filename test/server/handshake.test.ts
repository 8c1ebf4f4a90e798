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
  it("welcomes an agent without a key under an id for this session", async () => {
    const house = await TestRelay.start({ name: "test", limits: { ratePerSecond: 2, rateBurst: 7 } })
    const wire = await house.connect()
    const welcome = await wire.ask({ type: "IDENTIFY", name: "bob" })
    expect(welcome).toEqual({
      type: "WELCOME",
      re: expect.any(String),
      agent_id: expect.stringMatching(/^@[a-z2-7]{8}$/),
      name: "bob",
      server: "test",
      server_id: house.relay.serverId,
      protocol: 1,
      limits: { frame_bytes: 262_144, rate_per_s: 2, burst: 7, rate_bytes: 2_048, buffer: 20 },
      ts: house.clock.now(),
    })
  })

  it("gives two agents of one name two ids", async () => {
    const house = await TestRelay.start()
    const [a, b] = [await house.enter("bob"), await house.enter("bob")]
    expect(a.id).not.toBe(b.id)
  })

  it.each([
    ["did:key", did],
    ["base64", formatBase64(keyPair.publicKey)],
    ["SPKI PEM", formatPublicPem(keyPair.publicKey)],
  ])("asks for a proof of a key given as %s, and knows the agent by it", async (_, pubkey) => {
    const house = await TestRelay.start()
    const wire = await house.connect()
    wire.say({ type: "IDENTIFY", name: "bob", pubkey, id: "q" })
    const challenge = await wire.next("CHALLENGE")
    expect(challenge).toMatchObject({ re: "q", aud: house.relay.serverId, expires_ms: 30_000 })
    wire.say(prove(challenge, keyPair))
    expect(await wire.next("WELCOME")).toMatchObject({ agent_id: agentIdOf(keyPair.publicKey) })
  })

  it("is refused a second time", async () => {
    const house = await TestRelay.start()
    const { wire } = await house.enter("bob")
    expect(await wire.ask({ type: "IDENTIFY", name: "eve" })).toMatchObject({ code: "ALREADY_IDENTIFIED" })
    expect(await wire.ask({ type: "VERIFY_IDENTITY", challenge_id: "x", sig: "x" })).toMatchObject({
      code: "ALREADY_IDENTIFIED",
    })
    const asked = await house.connect()
    asked.say({ type: "IDENTIFY", name: "bob", pubkey: did })
    await asked.next("CHALLENGE")
    expect(await asked.ask({ type: "IDENTIFY", name: "bob" })).toMatchObject({ code: "ALREADY_IDENTIFIED" })
  })

  it.each(["", "a b", "0123456789abcdef", "x".repeat(65), "../x"])(
    "refuses the name %j and lets the session try another",
    async (name) => {
      const house = await TestRelay.start()
      const wire = await house.connect()
      expect(await wire.ask({ type: "IDENTIFY", name })).toMatchObject({
        code: "INVALID_MSG",
        message: expect.stringMatching(/^IDENTIFY\.name: /),
      })
      expect(await wire.ask({ type: "IDENTIFY", name: "bob" })).toMatchObject({ type: "WELCOME" })
    },
  )

  it("refuses what is no key", async () => {
    const house = await TestRelay.start()
    const wire = await house.connect()
    expect(await wire.ask({ type: "IDENTIFY", name: "bob", pubkey: "did:key:zNope" })).toMatchObject({
      code: "INVALID_MSG",
      message: expect.stringMatching(/^pubkey: /),
    })
  })

  it("comes first: everything else but PING needs it", async () => {
    const house = await TestRelay.start()
    const wire = await house.connect()
    expect(await wire.ask({ type: "JOIN", channel: "#general" })).toMatchObject({ code: "AUTH_REQUIRED" })
    expect(await wire.ask({ type: "MSG", to: "#general", content: "x" })).toMatchObject({
      code: "AUTH_REQUIRED",
    })
    expect(await wire.ask({ type: "VERIFY_IDENTITY", challenge_id: "x", sig: "x" })).toMatchObject({
      code: "AUTH_REQUIRED",
    })
    expect(await wire.ask({ type: "PING" })).toMatchObject({ type: "PONG", ts: house.clock.now() })
  })
})

describe("VERIFY_IDENTITY", () => {
  async function challenged(options = {}) {
    const house = await TestRelay.start(options)
    const wire = await house.connect()
    wire.say({ type: "IDENTIFY", name: "bob", pubkey: did })
    return { house, wire, challenge: await wire.next("CHALLENGE") }
  }

  async function expectRefused({ wire }: Awaited<ReturnType<typeof challenged>>, answer: object) {
    expect(await wire.ask(answer)).toMatchObject({ type: "ERROR", code: "VERIFICATION_FAILED" })
    expect(await wire.ended()).toEqual({ code: 1008, reason: "VERIFICATION_FAILED" })
  }

  it("refuses a proof by another key", async () => {
    const session = await challenged()
    await expectRefused(session, prove(session.challenge, generateKeyPair()))
  })

  it("refuses a proof made for another relay", async () => {
    const session = await challenged()
    await expectRefused(session, prove({ ...session.challenge, aud: "srv_other" }, keyPair))
  })

  it("refuses a proof of another nonce or another time", async () => {
    const session = await challenged()
    await expectRefused(session, prove({ ...session.challenge, nonce: "x" }, keyPair))
    const second = await challenged()
    await expectRefused(second, { ...prove(second.challenge, keyPair), iat: iat + 1 })
  })

  it("refuses an answer to another connection's challenge", async () => {
    const session = await challenged()
    const other = await session.house.connect()
    other.say({ type: "IDENTIFY", name: "bob", pubkey: did })
    const theirs = await other.next("CHALLENGE")
    await expectRefused(session, prove(theirs, keyPair))
    other.say(prove(theirs, keyPair))
    expect(await other.next("WELCOME")).toMatchObject({ agent_id: agentIdOf(keyPair.publicKey) })
  })

  it("refuses a proof that was seen before on a new connection", async () => {
    const first = await challenged()
    const proof = prove(first.challenge, keyPair)
    first.wire.say(proof)
    await first.wire.next("WELCOME")
    const wire = await first.house.connect()
    wire.say({ type: "IDENTIFY", name: "bob", pubkey: did })
    await wire.next("CHALLENGE")
    await expectRefused({ ...first, wire }, proof)
  })

  it("refuses a proof that comes too late, in a way that may be tried again", async () => {
    const { house, wire, challenge } = await challenged({ limits: { challengeMs: 2_000 } })
    house.clock.advance(2_001)
    expect(await wire.ask(prove(challenge, keyPair))).toMatchObject({ code: "HANDSHAKE_TIMEOUT" })
    expect(await wire.ended()).toMatchObject({ code: 4003 })
  })

  it("names what is missing and waits on", async () => {
    const { wire, challenge } = await challenged()
    const { challenge_id } = challenge
    expect(await wire.ask({ type: "VERIFY_IDENTITY", challenge_id })).toMatchObject({ code: "INVALID_MSG" })
    wire.say(prove(challenge, keyPair))
    await wire.next("WELCOME")
  })

  it("does not take the older proof unless asked to", async () => {
    const { wire, challenge } = await challenged()
    const { challenge_id, nonce } = challenge
    const timestamp = 1_800_000_000_000
    const signature = signCompatChallenge({ challenge_id, nonce, timestamp }, keyPair)
    const answer = { type: "VERIFY_IDENTITY", challenge_id, signature, timestamp }
    expect(await wire.ask(answer)).toMatchObject({ code: "INVALID_MSG" })
  })
})

describe("a relay with --compat", () => {
  it("takes the first AgentChat's handshake, and says so in the log", async () => {
    const house = await TestRelay.start({ compat: true })
    const wire = await house.connect()
    wire.say({ type: "IDENTIFY", name: "old", pubkey: formatPublicPem(keyPair.publicKey) })
    const { challenge_id, nonce } = await wire.next("CHALLENGE")
    const timestamp = 1_700_000_000_000
    const signature = signCompatChallenge({ challenge_id, nonce, timestamp }, keyPair)
    wire.say({ type: "VERIFY_IDENTITY", challenge_id, signature, timestamp })
    expect(await wire.next("WELCOME")).toMatchObject({ agent_id: agentIdOf(keyPair.publicKey) })
    expect(house.log).toContain("compat: old used the older handshake")
  })

  it("reads null as absent, as older clients write it", async () => {
    const house = await TestRelay.start({ compat: true })
    const wire = await house.connect()
    wire.say({ type: "IDENTIFY", name: "old", pubkey: null })
    await wire.next("WELCOME")
    const strict = await TestRelay.start()
    const refused = await strict.connect()
    expect(await refused.ask({ type: "IDENTIFY", name: "old", pubkey: null })).toMatchObject({
      code: "INVALID_MSG",
    })
  })

  it("still refuses an older proof by another key", async () => {
    const house = await TestRelay.start({ compat: true })
    const wire = await house.connect()
    wire.say({ type: "IDENTIFY", name: "old", pubkey: did })
    const { challenge_id, nonce } = await wire.next("CHALLENGE")
    const signature = signCompatChallenge({ challenge_id, nonce, timestamp: 1 }, generateKeyPair())
    const answer = { type: "VERIFY_IDENTITY", challenge_id, signature, timestamp: 1 }
    expect(await wire.ask(answer)).toMatchObject({ code: "VERIFICATION_FAILED" })
  })

  it("does not keep direct messages for an older client, which never confirms", async () => {
    const house = await TestRelay.start({ compat: true })
    const wire = await house.connect()
    wire.say({ type: "IDENTIFY", name: "old", pubkey: did })
    const { challenge_id, nonce } = await wire.next("CHALLENGE")
    const signature = signCompatChallenge({ challenge_id, nonce, timestamp: 1 }, keyPair)
    wire.say({ type: "VERIFY_IDENTITY", challenge_id, signature, timestamp: 1 })
    await wire.next("WELCOME")
    const { wire: sender } = await house.enter("bob")
    await sender.ask({ type: "MSG", to: "@old", content: "once" })
    await wire.next("MSG")
    const again = await house.enterAs(keyPair, "old")
    expect(await again.wire.settle()).toEqual([])
  })
})

describe("a session that does not say who it is", () => {
  it("is told and closed at the deadline", async () => {
    const house = await TestRelay.start()
    const [silent, asked, quick] = [await house.connect(), await house.connect(), await house.enter("bob")]
    asked.say({ type: "IDENTIFY", name: "eve", pubkey: did })
    await asked.next("CHALLENGE")
    house.clock.advance(10_000)
    expect(await silent.next("ERROR")).toMatchObject({ code: "HANDSHAKE_TIMEOUT" })
    expect(await silent.ended()).toEqual({ code: 4003, reason: "HANDSHAKE_TIMEOUT" })
    expect(await asked.ended()).toMatchObject({ code: 4003 })
    expect(await quick.wire.ask({ type: "PING" })).toMatchObject({ type: "PONG" })
  })
})

describe("takeover", () => {
  it("lets the newer session of an identity win", async () => {
    const house = await TestRelay.start()
    const first = await house.enterAs(keyPair, "bob", "#general")
    const second = await house.enterAs(keyPair, "bob")
    expect(second.id).toBe(first.id)
    expect(await first.wire.next("SESSION_DISPLACED")).toMatchObject({ reason: expect.any(String) })
    expect(await first.wire.ended()).toMatchObject({
      code: 4001,
      reason: expect.stringContaining("SESSION_DISPLACED"),
    })
    expect(await second.wire.ask({ type: "LIST_AGENTS" })).toMatchObject({ list: [second.id] })
    expect(await second.wire.ask({ type: "LIST_AGENTS", channel: "#general" })).toMatchObject({ list: [] })
  })

  it("needs the proof: naming another's key displaces nobody", async () => {
    const house = await TestRelay.start()
    const bob = await house.enterAs(keyPair, "bob")
    const eve = await house.connect()
    eve.say({ type: "IDENTIFY", name: "bob", pubkey: did })
    const challenge = await eve.next("CHALLENGE")
    const sig = signChallenge({ ...challenge, iat }, generateKeyPair())
    await eve.ask({ type: "VERIFY_IDENTITY", challenge_id: challenge.challenge_id, iat, sig })
    expect(await bob.wire.ask({ type: "PING" })).toMatchObject({ type: "PONG" })
  })

  it("does not reset what the identity may send", async () => {
    const house = await TestRelay.start({ limits: { ratePerSecond: 1, rateBurst: 2 } })
    const first = await house.enterAs(keyPair, "bob")
    for (let i = 0; i < 2; i++) await first.wire.ask({ type: "MSG", to: "#general", content: "x" })
    const second = await house.enterAs(keyPair, "bob")
    second.wire.say({ type: "MSG", to: "#general", content: "x", id: "third" })
    expect(await second.wire.settle()).toEqual([])
    house.clock.advance(999)
    expect(await second.wire.settle()).toEqual([])
    house.clock.advance(1)
    expect(await second.wire.next("ACK")).toMatchObject({ re: "third" })
  })

  it("is not told to the channel when the new session joins at once", async () => {
    const house = await TestRelay.start()
    const eve = await house.enter("eve", "#general")
    await house.enterAs(keyPair, "bob", "#general")
    house.clock.advance(100)
    await eve.wire.next("AGENT_JOINED")
    await house.enterAs(keyPair, "bob", "#general")
    house.clock.advance(100)
    expect(await eve.wire.settle()).toEqual([])
  })
})
