import { request } from "node:http"
import { describe, expect, it } from "vitest"
import { signGrant } from "../../../src/grants/sign.js"
import { signRequest } from "../../../src/identity/http-signature.js"
import { agentIdOf, formatDidKey } from "../../../src/identity/keys.js"
import { signModeration } from "../../../src/identity/moderation.js"
import { generateKeyPair } from "../../../src/identity/signer.js"
import { signRevocation, signRotation } from "../../../src/identity/succession.js"
import type { Grant } from "../../../src/protocol/grants.js"
import { LastingEngine } from "../../kit/engine.js"
import { prove, TestRelay } from "../../kit/relay.js"

const [chief, alice, mallory] = [1, 2, 3].map(generateKeyPair) as [
  ReturnType<typeof generateKeyPair>,
  ReturnType<typeof generateKeyPair>,
  ReturnType<typeof generateKeyPair>,
]

/** The members that these tests ask for. */
interface Body {
  readonly id: string
  readonly proven: boolean
  readonly channel: object
}

interface Sent {
  readonly json?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** Sends a request. @returns the answer and its JSON */
async function call({ relay }: TestRelay, method: string, path: string, { json, headers = {} }: Sent = {}) {
  const url = `http://127.0.0.1:${relay.port}/agent-channel${path}`
  const body = json === undefined ? {} : { body: JSON.stringify(json) }
  const response = await fetch(url, { method, headers, ...body })
  const text = await response.text()
  const isJson = response.headers.get("content-type")?.startsWith("application/json") === true
  return {
    status: response.status,
    headers: response.headers,
    text,
    body: (isJson ? JSON.parse(text) : {}) as Body,
  }
}

async function make(relay: TestRelay, json: object = {}, sent: Sent = {}): Promise<string> {
  return (await call(relay, "POST", "", { json, ...sent })).body.id
}

function signed(
  { relay, clock }: TestRelay,
  keys: typeof alice,
  method: string,
  path: string,
  json?: unknown,
) {
  const body = json === undefined ? "" : JSON.stringify(json)
  const request = { method, path: `/agent-channel${path}`, body, aud: relay.serverId }
  return { json, headers: { Authorization: signRequest(request, clock.now(), keys) } }
}

const status = { kind: "status", payload: { phase: "build" } }

describe("an event", () => {
  it("over HTTP reaches the members as a message of nobody that has a session", async () => {
    const relay = await TestRelay.start()
    const id = await make(relay)
    const { wire } = await relay.enter("bob", `#co.${id}`)
    await call(relay, "POST", `/${id}/event`, { json: { ...status, author: "worker-1" } })
    expect(await wire.next("MSG")).toMatchObject({
      from: "@2http222",
      name: "worker-1",
      kind: "status",
      content: "[status] build",
      parts: [{ kind: "agentchat.coordination.event", event: "status", author: "worker-1" }],
    })
  })

  it("of a member has the member as author, whatever it says", async () => {
    const relay = await TestRelay.start()
    const id = await make(relay)
    const { wire, id: from } = await relay.enterAs(alice, "alice", `#co.${id}`)
    const forged = {
      kind: "agentchat.coordination.event",
      event: "state",
      author: "boss",
      proven: true,
      payload: { n: 1 },
    }
    await wire.ask({ type: "MSG", to: `#co.${id}`, content: "x", parts: [forged] })
    await wire.ask({ type: "MSG", to: `#co.${id}`, content: "just words" })
    expect((await call(relay, "GET", `/${id}/events`)).body).toMatchObject([
      { kind: "comms", author: from, payload: { text: "just words" }, proven: true },
      { kind: "state", author: from, payload: { n: 1 }, proven: true },
    ])
  })

  it("is a claim of its author unless the request is signed", async () => {
    const relay = await TestRelay.start()
    const id = await make(relay)
    const me = agentIdOf(alice.publicKey)
    expect((await call(relay, "POST", `/${id}/event`, { json: { ...status, author: me } })).body.proven).toBe(
      false,
    )
    const path = `/${id}/event`
    const own = await call(relay, "POST", path, signed(relay, alice, "POST", path, status))
    expect(own.body).toMatchObject({ author: me, proven: true })
    const json = { ...status, author: "boss" }
    expect((await call(relay, "POST", path, signed(relay, alice, "POST", path, json))).status).toBe(403)
  })

  it("is appended once, however often its signed request is sent", async () => {
    const relay = await TestRelay.start({ backbone: (await LastingEngine.make()).lend() })
    const id = await make(relay)
    const path = `/${id}/event`
    const sent = signed(relay, alice, "POST", path, status)
    const answers = [await call(relay, "POST", path, sent), await call(relay, "POST", path, sent)]
    expect(answers.map(({ status: code }) => code)).toEqual([200, 200])
    expect(answers[1]?.body).toEqual(answers[0]?.body)
    expect((await call(relay, "GET", `/${id}/events`)).body).toHaveLength(1)
  })

  it("is refused if another one has its key", async () => {
    const relay = await TestRelay.start()
    const id = await make(relay)
    const headers = { "Idempotency-Key": "k" }
    await call(relay, "POST", `/${id}/event`, { json: status, headers })
    const other = await call(relay, "POST", `/${id}/event`, { json: { ...status, author: "b" }, headers })
    expect(other).toMatchObject({ status: 409, body: { code: "ID_USED" } })
    const elsewhere = await call(relay, "POST", `/${await make(relay)}/event`, { json: status, headers })
    expect(elsewhere.status).toBe(200)
  })
})

describe("a signed request", () => {
  it.each([
    ["of another path", { path: "/AA44/event" }],
    ["of another method", { method: "PUT" }],
    ["with another body", { json: { kind: "spec", payload: {} } }],
    ["of an hour ago", { ageMs: 3_600_000 }],
    ["for another relay", { aud: "srv_other" }],
  ])("is refused with a signature %s", async (_, change) => {
    const relay = await TestRelay.start()
    const id = await make(relay)
    const {
      method = "POST",
      path = `/${id}/event`,
      json = status,
      ageMs = 0,
      aud = relay.relay.serverId,
    } = change as unknown as Record<string, never>
    const request = { method, path: `/agent-channel${path}`, body: JSON.stringify(json), aud }
    const headers = { Authorization: signRequest(request, relay.clock.now() - ageMs, alice) }
    const answer = await call(relay, "POST", `/${id}/event`, { json: status, headers })
    expect(answer).toMatchObject({ status: 401, body: { code: "VERIFICATION_FAILED" } })
    expect(answer.headers.get("www-authenticate")).toMatch(/^Bearer/)
  })

  it("of a revoked key is refused", async () => {
    const relay = await TestRelay.start()
    const id = await make(relay)
    const { wire } = await relay.enterAs(chief, "chief")
    await wire.ask({ type: "KEY_STATEMENT", statement: signRevocation(alice, relay.clock.now()) })
    const path = `/${id}/event`
    expect((await call(relay, "POST", path, signed(relay, alice, "POST", path, status))).status).toBe(403)
  })
})

describe("a key that replaced a muted one", () => {
  it("says nothing over HTTP either", async () => {
    const relay = await TestRelay.start({ operators: [formatDidKey(chief.publicKey)] })
    const id = await make(relay)
    await relay.enterAs(alice, "alice")
    const op = await relay.enterAs(chief, "op")
    const facts = {
      id: "action-1",
      action: "mute",
      agent: agentIdOf(alice.publicKey),
      reason: "spam",
    } as const
    const mute = signModeration({ ...facts, aud: relay.relay.serverId, ts: relay.clock.now() }, chief)
    expect(await op.wire.ask({ type: "MODERATE", statement: mute })).toMatchObject({ state: "done" })
    const wire = await relay.connect()
    wire.say({ type: "IDENTIFY", name: "alice", pubkey: formatDidKey(mallory.publicKey) })
    wire.say({
      ...prove(await wire.next("CHALLENGE"), mallory),
      rotations: [signRotation(alice, mallory, 1)],
    })
    await wire.next("WELCOME")
    const path = `/${id}/event`
    const posted = await call(relay, "POST", path, signed(relay, mallory, "POST", path, status))
    expect(posted).toMatchObject({ status: 403, body: { code: "FORBIDDEN" } })
  })
})

describe("a closed relay", () => {
  const operators = [formatDidKey(chief.publicKey)]
  let grants = 0
  const token = ({ relay }: TestRelay, facts: Partial<Grant> = {}) => {
    const base = { profile: "agent", read: ["#co.>"], write: ["#co.>"], roles: [] } as unknown as Grant
    const id = `grant-${1_000 + grants++}`
    const grant = signGrant({ ...base, id, aud: relay.serverId, ts: 0, ...facts }, chief)
    return {
      Authorization: `Bearer ${Buffer.from(JSON.stringify({ grant, channels: [] })).toString("base64url")}`,
    }
  }
  const start = async () =>
    TestRelay.start({ operators, closed: true, backbone: (await LastingEngine.make()).lend() })

  it("answers each route only with a grant", async () => {
    const relay = await start()
    const headers = token(relay)
    const id = await make(relay, {}, { headers })
    await call(relay, "POST", `/${id}/event`, { json: { kind: "spec", payload: {} }, headers })
    await call(relay, "POST", `/${id}/event`, { json: { kind: "state", payload: {} }, headers })
    const routes = [
      ["POST", "", {}],
      ["GET", ""],
      ["GET", `/${id}`],
      ["GET", `/${id}/spec`],
      ["GET", `/${id}/state`],
      ["GET", `/${id}/events`],
      ["GET", `/${id}/presence`],
      ["POST", `/${id}/event`, status],
      ["POST", `/${id}/close`],
    ] as const
    const wrong = { Authorization: "Bearer d3Jvbmc" }
    const foreign = token(relay, { aud: "srv_other" })
    for (const [method, path, json] of routes) {
      const sent = json === undefined ? {} : { json }
      const codes = []
      for (const given of [{}, wrong, foreign, headers]) {
        codes.push((await call(relay, method, path, { ...sent, headers: given })).status)
      }
      expect([method, path, ...codes]).toEqual([method, path, 401, 401, 403, 200])
    }
  })

  it("says in the wanted form what a stranger needs, and nothing of the channel", async () => {
    const relay = await start()
    const id = await make(relay, { title: "Secret plan" }, { headers: token(relay) })
    for (const [accept, type] of [
      ["application/yaml", "application/yaml"],
      ["text/markdown", "text/markdown"],
      ["*/*", "application/json"],
    ] as const) {
      const answer = await call(relay, "GET", `/${id}`, { headers: { Accept: accept } })
      expect(answer.headers.get("content-type")).toContain(type)
      expect(answer.text).toContain("Bearer")
      expect(answer.text).not.toContain("Secret")
    }
  })

  it("shows a channel that a grant does not let one read like one that does not exist", async () => {
    const relay = await start()
    const id = await make(relay, {}, { headers: token(relay) })
    const headers = token(relay, { read: ["#other"], write: ["#other"] } as unknown as Grant)
    for (const [method, end, json] of [
      ["GET", ""],
      ["GET", "/events"],
      ["POST", "/event", status],
      ["POST", "/close"],
    ] as const) {
      const sent = { headers, ...(json && { json }) }
      const [hidden, missing] = [
        await call(relay, method, `/${id}${end}`, sent),
        await call(relay, method, `/YY99${end}`, sent),
      ]
      expect([hidden.status, hidden.text]).toEqual([404, missing.text])
    }
    expect((await call(relay, "GET", "", { headers })).body).toEqual([])
  })

  it("lets a grant that may only read read", async () => {
    const relay = await start()
    const id = await make(relay, {}, { headers: token(relay) })
    const headers = token(relay, { profile: "observer" })
    expect((await call(relay, "GET", `/${id}`, { headers })).status).toBe(200)
    expect(await call(relay, "POST", `/${id}/event`, { json: status, headers })).toMatchObject({
      status: 403,
    })
  })
})

describe("the HTTP door", () => {
  it("keeps everything over a restart", async () => {
    const engine = await LastingEngine.make()
    const first = await TestRelay.start({ backbone: engine.lend() })
    const id = await make(first, { title: "Login" })
    for (const n of [1, 2, 3]) {
      await call(first, "POST", `/${id}/event`, { json: { kind: "comms", author: "a", payload: { n } } })
    }
    const [before, row] = [
      (await call(first, "GET", `/${id}/events`)).body,
      (await call(first, "GET", `/${id}`)).body.channel,
    ]
    await first.stop()
    const second = await TestRelay.start({ backbone: engine.lend(), httpBase: "http://relay.test/x" })
    const headers = { Host: "relay.test" }
    expect((await call(second, "GET", `/${id}/events`, { headers })).body).toEqual(before)
    expect((await call(second, "GET", `/${id}`, { headers })).body.channel).toEqual({
      ...row,
      url: `http://relay.test/x/agent-channel/${id}`,
    })
  })

  it("streams events to a reader that comes back where it was", async () => {
    const relay = await TestRelay.start()
    const id = await make(relay)
    const post = (n: number) =>
      call(relay, "POST", `/${id}/event`, { json: { kind: "comms", payload: { n } } })
    await post(1)
    const first = await post(2)
    const stop = new AbortController()
    const url = `http://127.0.0.1:${relay.relay.port}/agent-channel/${id}/events/stream`
    const headers = { "Last-Event-ID": String(Number(first.body.id) - 1) }
    const response = await fetch(url, { headers, signal: stop.signal })
    expect(response.headers.get("content-type")).toBe("text/event-stream")
    const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
    let text = ""
    const readUntil = async (part: string) => {
      while (!text.includes(part)) text += (await reader?.read())?.value ?? ""
    }
    await readUntil('{"n":2}')
    await post(3)
    await readUntil('{"n":3}')
    expect(text).not.toContain('{"n":1}')
    expect(text).toContain(`id: ${first.body.id}\nevent: comms\ndata: {`)
    stop.abort()
  })

  it("gives no message of a member the power over the stream's lines", async () => {
    const relay = await TestRelay.start()
    const id = await make(relay)
    const kind = "x\nid: 9\rdata: y"
    await call(relay, "POST", `/${id}/event`, { json: { kind, payload: { t: "\n\nid: 7\n" } } })
    const stop = new AbortController()
    const url = `http://127.0.0.1:${relay.relay.port}/agent-channel/${id}/events/stream?after=0`
    const reader = (await fetch(url, { signal: stop.signal })).body
      ?.pipeThrough(new TextDecoderStream())
      .getReader()
    let text = ""
    while (!text.includes("\n\n", text.indexOf("data:"))) text += (await reader?.read())?.value ?? ""
    stop.abort()
    expect(text.split(/\r|\n/).filter((line) => /^(id|data|event):/.test(line))).toHaveLength(3)
  })

  it("refuses pages of other sites, large bodies and floods", async () => {
    const relay = await TestRelay.start({
      limits: { frameBytes: 1_024, strangerFramesPerSecond: 1, strangerFrameBurst: 5 },
    })
    const page = await call(relay, "POST", "", { json: {}, headers: { Origin: "http://evil.test" } })
    expect(page.status).toBe(403)
    expect((await call(relay, "POST", "", { json: { title: "x".repeat(2_000) } })).status).toBe(413)
    const codes = []
    for (let i = 0; i < 6; i++) codes.push((await call(relay, "GET", "")).status)
    expect(codes).toContain(429)
  })

  it("answers a client that offers another protocol", async () => {
    const relay = await TestRelay.start()
    const id = await make(relay)
    const headers = { Connection: "Upgrade, HTTP2-Settings", Upgrade: "h2c", "HTTP2-Settings": "" }
    const text = await new Promise<string>((resolve, reject) => {
      const sent = request({ port: relay.relay.port, path: `/agent-channel/${id}`, headers }, (response) => {
        let all = ""
        response.setEncoding("utf8").on("data", (part: string) => {
          all += part
        })
        response.on("end", () => resolve(all))
      })
      sent.on("error", reject).end()
    })
    expect(JSON.parse(text)).toMatchObject({ channel: { id } })
  })

  it("leaves the names of coordination channels to itself", async () => {
    const relay = await TestRelay.start()
    const { wire } = await relay.enterAs(mallory, "mallory")
    expect(await wire.ask({ type: "CREATE_CHANNEL", channel: "#co.AB45" })).toMatchObject({
      code: "UNSUPPORTED",
    })
  })

  it("keeps a channel that nobody has joined", async () => {
    const relay = await TestRelay.start()
    const id = await make(relay)
    relay.clock.advance(20 * 86_400_000)
    expect((await call(relay, "GET", `/${id}`)).status).toBe(200)
  })
})
