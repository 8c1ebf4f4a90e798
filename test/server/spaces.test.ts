import { join } from "node:path"
import { describe, expect, it } from "vitest"
import type { Backbone } from "../../src/backbone/backbone.js"
import { openMemoryBackbone } from "../../src/backbone/memory/memory-backbone.js"
import { checkMessage, readerOf } from "../../src/client/message-check.js"
import { signFrame } from "../../src/client/message-signer.js"
import { signGrant } from "../../src/grants/sign.js"
import { signClaim } from "../../src/identity/claim-signature.js"
import { signRequest } from "../../src/identity/http-signature.js"
import { agentIdOf, formatDidKey } from "../../src/identity/keys.js"
import { signModeration } from "../../src/identity/moderation.js"
import { generateKeyPair, type KeyPair } from "../../src/identity/signer.js"
import { signRevocation } from "../../src/identity/succession.js"
import { signWakeLease } from "../../src/identity/wake-lease.js"
import type { ClientFrame } from "../../src/protocol/client-messages.js"
import { defaultLimits } from "../../src/protocol/limits.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { parseSpaceName } from "../../src/protocol/spaces.js"
import { limitsOfSpace } from "../../src/server/space.js"
import { propose } from "../kit/deals.js"
import { FakeClock } from "../kit/fake-clock.js"
import { prove, type TestAgent, TestRelay } from "../kit/relay.js"
import { storeOpener } from "../kit/store.js"
import { temporaryDirectory } from "../kit/temporary.js"

const [ann, bob, chief] = [1, 2, 3].map(generateKeyPair) as [KeyPair, KeyPair, KeyPair]
const operators = [formatDidKey(chief.publicKey)]
const idOf = ({ publicKey }: KeyPair) => agentIdOf(publicKey)
const sqlite = storeOpener()

async function start(options: Parameters<typeof TestRelay.start>[0] = {}) {
  const relay = await TestRelay.start({ spaces: ["a", "b"], operators, ...options })
  return { relay, a: relay.space("a"), b: relay.space("b") }
}

const engines: readonly [string, () => (space: string | undefined) => Promise<Backbone>][] = [
  ["memory", () => () => openMemoryBackbone({ clock: new FakeClock() })],
  [
    "SQLite",
    () => {
      const root = temporaryDirectory()
      return (space = "") => sqlite.open(join(root, space), new FakeClock())
    },
  ],
]

/** Sends a frame; a statement has its own id. */
function ask({ wire }: TestAgent, frame: object) {
  return "id" in frame ? wire.answerTo(frame) : wire.ask(frame)
}

/** Leaves traces of every kind in a space, all of Ann or with the word `marker`. */
async function leaveTraces(space: TestRelay) {
  const [author, target, op] = [
    await space.enterAs(ann, "marker-ann", "#general"),
    await space.enterAs(bob, "marker-bob"),
    await space.enterAs(chief, "chief", "#general"),
  ]
  const { server_id: aud } = author.welcome
  const ts = space.clock.now()
  const claim = { repo: "marker.example/shop", paths: ["src/marker.ts"], seconds: 600, ts }
  const ban = { id: "marker-ban", aud, action: "mute", agent: idOf(bob), reason: "marker", ts } as const
  target.wire.socket.destroy()
  const steps = [
    { type: "CREATE_CHANNEL", channel: "#marker" },
    { type: "MSG", to: "#general", content: "marker said" },
    { type: "MSG", to: "+marker", content: "marker task" },
    { type: "CLAIM_PATHS", ...claim, sig: signClaim({ aud, ...claim }, ann) },
    propose({ id: "prop_marker01", to: formatDidKey(bob.publicKey), aud, ts, task: "marker" }, ann),
    { type: "MSG", to: idOf(bob), content: "marker mail" },
  ]
  for (const step of steps)
    expect(await ask(author, step), JSON.stringify(step)).not.toMatchObject({ type: "ERROR" })
  const moderation = { type: "MODERATE", statement: signModeration(ban, chief) }
  expect(await op.wire.ask(moderation)).not.toMatchObject({ type: "ERROR" })
  return op
}

const questions = [
  ["channels", { type: "LIST_CHANNELS" }],
  ["agents and names", { type: "LIST_AGENTS" }],
  ["tasks", { type: "LIST_TASKS" }],
  ["claims", { type: "LIST_CLAIMS" }],
  ["deals", { type: "LIST_PROPOSALS", all: true }],
  ["actions of operators", { type: "LIST_AUDIT" }],
  ["messages", { type: "LIST_MESSAGES", text: "marker" }],
  ["an agent by its id", { type: "LIST_AGENTS", agent: idOf(ann) }],
  ["a direct message by id", { type: "MSG", to: idOf(ann), content: "hello" }],
  ["a direct message by name", { type: "MSG", to: "@marker-ann", content: "hello" }],
  ["mail that waits", { type: "PENDING", target: idOf(bob) }],
  ["tasks that wait", { type: "PENDING", target: "+marker" }],
] as const

describe.each(engines)("two spaces in %s", (name, makeOpen) => {
  it("share no channel, name, agent, message, task, claim, deal, action or mailbox", async () => {
    const { a, b } = await start({ backbone: makeOpen() })
    const inB = await b.enterAs(chief, "chief", "#general")
    const inA = await leaveTraces(a)
    for (const [what, question] of questions) {
      const known = await inA.wire.ask(question)
      const unknown = await inB.wire.ask(question)
      const shown = JSON.stringify(unknown)
        .replaceAll("hello", "")
        .replace(/"to":"[^"]*"/, "")
      expect(known.type, `a: ${what}`).not.toBe("ERROR")
      expect(unknown, `b: ${what}`).not.toEqual({ ...known, re: expect.anything() })
      if (unknown.type === "ERROR") expect(unknown.code, what).toMatch(/NOT_FOUND/)
      else
        expect(shown, what).not.toMatch(new RegExp(`marker |#marker|marker-|src/marker|prop_|${idOf(ann)}`))
    }
    expect(JSON.stringify(await inB.wire.settle())).not.toMatch(/marker/)
  })

  it(`keep their ids and contents over a restart, unless in memory`, async () => {
    const backbone = makeOpen()
    const first = await start({ backbone })
    const ids = first.relay.relay.spaces.map(({ serverId }) => serverId)
    expect(new Set(ids).size).toBe(2)
    const speaker = await first.a.enterAs(ann, "ann", "#general")
    await speaker.wire.ask({ type: "MSG", to: "#general", content: "kept" })
    await first.relay.stop()
    const second = await start({ backbone })
    const [isKept, count] = name === "memory" ? [false, 0] : [true, 1]
    expect(second.relay.relay.spaces.map(({ serverId }) => serverId)).toEqual(
      isKept ? ids : expect.anything(),
    )
    const replayOf = async (space: TestRelay) => {
      const { wire } = await space.enterAs(bob, "bob", "#general")
      return (await wire.settle()).filter(({ type }) => type === "MSG").length
    }
    expect([await replayOf(second.a), await replayOf(second.b)]).toEqual([count, 0])
  })
})

describe("what an agent with one key does in a space", () => {
  it("stops it there alone, where a guard stops it", async () => {
    const { relay, a, b } = await start({ guards: {} })
    const [annA, bobA] = [await a.enterAs(ann, "ann", "#general"), await a.enterAs(bob, "bob", "#general")]
    const annB = await b.enterAs(ann, "ann", "#general")
    await b.enterAs(bob, "bob", "#general")
    const [chiefA, chiefB] = [await a.enterAs(chief, "chief"), await b.enterAs(chief, "chief")]
    const speak = ({ wire }: TestAgent, content: string) => {
      relay.clock.advance(2_000)
      const mentions = [idOf(wire === bobA.wire ? ann : bob)]
      return wire.ask({ type: "MSG", to: "#general", content, mentions })
    }
    let stopped: TestAgent | undefined
    for (let turn = 0; stopped === undefined && turn < 80; turn++) {
      const by = turn % 2 === 0 ? bobA : annA
      const said = await speak(by, `turn ${turn}: ${turn * 7919} ${turn * 104_729}`)
      if (said.type === "ERROR" && by === annA) stopped = by
    }
    expect(await speak(annA, "one more thing")).toMatchObject({ code: "GUARDED" })
    expect(await speak(annB, "one more thing")).toMatchObject({ type: "ACK" })
    expect(JSON.stringify(await chiefA.wire.ask({ type: "LIST_GUARDS", stopped: true }))).toContain(idOf(ann))
    expect(JSON.stringify(await chiefB.wire.ask({ type: "LIST_GUARDS", stopped: true }))).not.toContain(
      idOf(ann),
    )
  })

  it("says nothing of its status, role or wake lease elsewhere", async () => {
    const { relay, a, b } = await start()
    const [annA, annB] = [await a.enterAs(ann, "ann"), await b.enterAs(ann, "ann")]
    const watcher = await b.enterAs(bob, "bob")
    const now = relay.clock.now()
    const facts = {
      method: "claude-socket",
      latency_ms: 80,
      proven_ts: now,
      expires_ts: now + 60_000,
    } as const
    const lease = signWakeLease({ aud: annA.welcome.server_id, ...facts }, ann)
    await annA.wire.ask({ type: "SET_PRESENCE", status: "working", role: "reviewer" })
    expect(await annA.wire.ask({ type: "SET_WAKE_LEASE", lease })).toMatchObject({ state: "done" })
    expect(await annB.wire.ask({ type: "SET_WAKE_LEASE", lease })).toMatchObject({
      code: "VERIFICATION_FAILED",
    })
    const entryIn = async ({ wire }: TestAgent) => {
      const answer = await wire.ask({ type: "LIST_AGENTS", agent: idOf(ann) })
      return (answer as ServerMessage<"AGENTS">).roster[0]
    }
    expect(await entryIn(annA)).toMatchObject({ status: "working", role: "reviewer", wakeable: lease })
    const elsewhere = await entryIn(watcher)
    expect(elsewhere?.status).not.toBe("working")
    expect(elsewhere?.role).not.toBe("reviewer")
    expect(elsewhere).not.toHaveProperty("wakeable")
  })
})

it("a coordination channel of a space is unknown in another, and so is a request that is signed for it", async () => {
  const { relay, a } = await start()
  const call = async (space: string, method: string, path: string, json?: object, headers = {}) => {
    const url = `http://127.0.0.1:${relay.relay.port}${space}/agent-channel${path}`
    const response = await fetch(url, { method, headers, ...(json && { body: JSON.stringify(json) }) })
    return { status: response.status, text: await response.text() }
  }
  const { id } = JSON.parse((await call("/space/a", "POST", "", {})).text) as { id: string }
  const event = { kind: "status", payload: { phase: "marker" } }
  const [aud] = relay.relay.spaces.map(({ serverId }) => serverId)
  const signedFor = (space: string, path: string) => {
    const request = {
      method: "POST",
      path: `${space}/agent-channel${path}`,
      body: JSON.stringify(event),
      aud: aud ?? "",
    }
    return { Authorization: signRequest(request, relay.clock.now(), ann) }
  }
  const path = `/${id}/event`
  expect((await call("/space/a", "POST", path, event, signedFor("/space/a", path))).status).toBe(200)
  for (const space of ["/space/b", "/space/none", ""]) {
    expect((await call(space, "GET", `/${id}/events`)).status, space).toBe(404)
    expect((await call(space, "GET", `/${id}`)).status, space).toBe(404)
    expect((await call(space, "POST", path, event)).status, space).toBe(404)
  }
  const { id: idOfB } = JSON.parse((await call("/space/b", "POST", "", {})).text) as { id: string }
  const pathInB = `/${idOfB}/event`
  expect((await call("/space/b", "POST", pathInB, event, signedFor("/space/b", pathInB))).status).toBe(401)
  expect((await call("/space/b", "GET", `/${idOfB}/events`)).text).not.toContain("marker")
  const { wire } = await a.enter("bob", `#co.${id}`)
  expect(JSON.stringify(await wire.settle())).toContain("marker")
})

describe("what is signed for one space", () => {
  it("is no message of its author in another, whoever passes it on", async () => {
    const { a, b } = await start()
    const [author, reader] = [
      await a.enterAs(ann, "ann", "#general"),
      await a.enterAs(bob, "bob", "#general"),
    ]
    const { welcome: welcomeB } = await b.enterAs(bob, "bob", "#general")
    const own = { agentId: author.id, keyPair: ann, serverId: author.welcome.server_id }
    const frame = { type: "MSG", id: "m1", to: "#general", content: "deploy it" } as const
    author.wire.say(
      signFrame<ClientFrame<"MSG">>(frame, own as Parameters<typeof signFrame>[1], a.clock.now()),
    )
    const message = await reader.wire.next("MSG")
    expect(checkMessage(message, readerOf(reader.welcome, undefined)).verified).toBe(true)
    expect(() => checkMessage(message, readerOf(welcomeB, undefined))).toThrow(
      "its signature is not of this text",
    )
  })

  it("is refused in another: the proof of a key, a claim, a proposal, an action", async () => {
    const { relay, a, b } = await start()
    const aud = relay.relay.spaces[0]?.serverId ?? ""
    const ts = relay.clock.now()
    const [wa, wb] = [await a.connect(), await b.connect()]
    for (const wire of [wa, wb])
      wire.say({ type: "IDENTIFY", name: "ann", pubkey: formatDidKey(ann.publicKey) })
    const [challenge, other] = [await wa.next("CHALLENGE"), await wb.next("CHALLENGE")]
    expect(await wb.ask(prove({ ...other, aud: challenge.aud }, ann))).toMatchObject({
      code: "VERIFICATION_FAILED",
    })
    const inB = await b.enterAs(ann, "ann")
    const claim = { repo: "x.example/y", paths: ["a.ts"], seconds: 60, ts }
    const action = { id: "act-0001", aud, action: "ban", agent: idOf(ann), reason: "left", ts } as const
    const statement = signModeration(action, chief)
    const frames = [
      { type: "CLAIM_PATHS", ...claim, sig: signClaim({ aud, ...claim }, ann) },
      propose({ id: "prop_0009", to: operators[0], aud, ts }, ann),
      { type: "MODERATE", statement },
    ]
    for (const frame of frames) {
      const answer = await ask(inB, frame)
      expect(answer, JSON.stringify(frame)).toMatchObject({
        type: "ERROR",
        message: expect.stringMatching(/aud|sig|relay/),
      })
    }
    expect(
      await (await a.enterAs(chief, "chief")).wire.ask({ type: "MODERATE", statement }),
    ).not.toMatchObject({
      type: "ERROR",
    })
    expect((await inB.wire.ask({ type: "PING" })).type).toBe("PONG")
  })

  it("lets nobody into another closed space: a grant names its space", async () => {
    const { relay, a, b } = await start({ closed: true })
    const aud = relay.relay.spaces[0]?.serverId ?? ""
    const rights = { profile: "agent", read: ["#>"], write: ["#>"], roles: ["*"] } as unknown as {
      profile: "agent"
    }
    const grant = signGrant(
      { ...rights, id: "grant-0001", aud, ts: 0 } as Parameters<typeof signGrant>[0],
      chief,
    )
    const knock = async (space: TestRelay) => {
      const wire = await space.connect()
      wire.say({ type: "IDENTIFY", name: "ann", pubkey: formatDidKey(ann.publicKey) })
      const answer = await wire.ask({ ...prove(await wire.next("CHALLENGE"), ann), grants: [grant] })
      return answer.type
    }
    expect([await knock(b), await knock(a)]).toEqual(["ERROR", "WELCOME"])
  })

  it("ends a key only in the spaces where its revocation was shown", async () => {
    const { relay, a, b } = await start()
    const statement = signRevocation(ann, relay.clock.now())
    await (await a.enter("bob")).wire.ask({ type: "KEY_STATEMENT", statement })
    const wire = await a.connect()
    const identify = { type: "IDENTIFY", name: "ann", pubkey: formatDidKey(ann.publicKey) }
    expect(await wire.ask(identify)).toMatchObject({ code: "KEY_ENDED" })
    await b.enterAs(ann, "ann")
    await (await b.enter("bob")).wire.ask({ type: "KEY_STATEMENT", statement })
    expect(await (await b.connect()).ask(identify)).toMatchObject({ code: "KEY_ENDED" })
  })
})

describe("the addresses of a relay with spaces", () => {
  const bodyOf = async (relay: TestRelay, path: string) => {
    const response = await fetch(`http://127.0.0.1:${relay.relay.port}${path}`)
    return { status: response.status, text: await response.text() }
  }

  it("refuse whatever names no space, and name none", async () => {
    const { relay } = await start({ spaces: ["alpha", "beta"] })
    for (const name of ["none", "Alpha", "alpha%2f..", "..", "", "alpha/x", "undefined"]) {
      await expect(relay.space(name).connect(), name).rejects.toThrow("404")
    }
    await expect(relay.connect()).rejects.toThrow("404")
    for (const path of ["/", "/health", "/space/none", "/space/", "/space/none/health"]) {
      expect((await bodyOf(relay, path)).text, path).not.toMatch(/alpha|beta/)
    }
    expect((await bodyOf(relay, "/")).text).toContain("/space/NAME")
    expect((await relay.space("alpha/").enter("ann")).welcome.type).toBe("WELCOME")
  })

  it("have the health of each, and the sums of all", async () => {
    const { relay, a, b } = await start()
    await a.enter("ann")
    await b.enter("ann")
    await b.enter("bob")
    const [idA] = relay.relay.spaces.map(({ serverId }) => serverId)
    expect(JSON.parse((await bodyOf(relay, "/health")).text)).toMatchObject({
      ok: true,
      spaces: 2,
      agents: 3,
    })
    const healthOfA = JSON.parse((await bodyOf(relay, "/space/a/health")).text) as object
    expect(healthOfA).toMatchObject({ ok: true, server_id: idA, agents: 1, sessions: 1 })
  })

  it("are not those of a relay without spaces, which lets nobody of a space into its only chat", async () => {
    const relay = await TestRelay.start()
    await expect(relay.space("a").connect()).rejects.toThrow("404")
    expect((await relay.enter("ann")).welcome.type).toBe("WELCOME")
  })

  it.each([
    [["a", "a"], "named twice"],
    [["A"], "is no name of a space"],
    [["../x"], "is no name of a space"],
    [Array.from({ length: 33 }, (_, index) => `s${index}`), "at most 32 spaces"],
  ])("cannot be %j", async (spaces, reason) => {
    await expect(TestRelay.start({ spaces })).rejects.toThrow(reason)
  })
})

describe("bounds of a process with spaces", () => {
  it("count the connections of an address in all spaces", async () => {
    const { a, b } = await start({ limits: { addressSessions: 2 }, trustedProxies: ["127.0.0.1"] })
    const from = ["X-Forwarded-For: 198.51.100.7"]
    await a.connect(from)
    await b.connect(from)
    await expect(b.connect(from)).rejects.toThrow("429")
    await b.connect(["X-Forwarded-For: 198.51.100.8"])
  })

  it("count the messages of an address without keys in all spaces", async () => {
    const { a, b } = await start({
      ...{ limits: { ratePerSecond: 0.001, rateBurst: 1 }, trustedProxies: ["127.0.0.1"] },
    })
    let accepted = 0
    for (let index = 0; index < 24; index++) {
      const wire = await (index % 2 === 0 ? a : b).connect(["X-Forwarded-For: 198.51.100.7"])
      wire.say({ type: "IDENTIFY", name: `n${index}` })
      await wire.ask({ type: "JOIN", channel: "#general" })
      const answer = await wire.ask({ type: "MSG", to: "#general", content: "x" })
      if (answer.type === "ACK") accepted++
    }
    expect(accepted).toBe(20)
  })

  it("of memory are divided, so that the parts never add up to more", () => {
    for (let count = 1; count <= 32; count++) {
      const own = limitsOfSpace(defaultLimits, count)
      for (const name of ["channels", "identities", "tasks", "mailTotalBytes", "keylessMailBytes"] as const) {
        expect(own[name] * count).toBeLessThanOrEqual(defaultLimits[name])
        expect(own[name]).toBeGreaterThan(0)
      }
      expect(own.frameBytes).toBe(defaultLimits.frameBytes)
    }
  })
})

it("a name of a space is a safe directory and part of a NATS subject", () => {
  for (const name of ["a", "web-2", "0", "a".repeat(22)]) expect(parseSpaceName(name)).toBe(name)
  for (const name of ["", ".", "..", "-a", "a-", "A", "a_b", "a.b", "a/b", "a\n", "é", "a".repeat(23)]) {
    expect(() => parseSpaceName(name), name).toThrow(/^space: /)
  }
})
