import { describe, expect, it } from "vitest"
import { signClaim } from "../../../src/identity/claim-signature.js"
import { formatDidKey } from "../../../src/identity/keys.js"
import { generateKeyPair } from "../../../src/identity/signer.js"
import { act, chief, enter, knock, mint, startClosed } from "../../kit/closed-relay.js"
import { LastingEngine, type LentEngine } from "../../kit/engine.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { TestRelay } from "../../kit/relay.js"

const [worker, deputy] = [generateKeyPair(), generateKeyPair()]
const operators = [formatDidKey(chief.publicKey)]
const repo = "github.com/acme/shop"

/** Lets a test hold back what a relay writes to its store; what it reads is in time. */
function holdWrites(engine: LentEngine) {
  const [logs, table] = [engine.logs.bind(engine), engine.table.bind(engine)]
  let held = Promise.resolve()
  let note = () => {}
  async function pass<T>(write: () => Promise<T>): Promise<T> {
    note()
    await held
    return write()
  }
  engine.logs = async (...options) => {
    const all = await logs(...options)
    return { ...all, append: (...entry) => pass(() => all.append(...entry)) }
  }
  engine.table = async (name) => {
    const one = await table(name)
    return { ...one, put: (...row) => pass(() => one.put(...row)) }
  }
  /** Holds back. @returns a promise that a write waits, and a function that lets it go on */
  return () => {
    let letGo = () => {}
    held = new Promise((resolve) => {
      letGo = resolve
    })
    const waits = new Promise<void>((resolve) => {
      note = resolve
    })
    return { waits, letGo }
  }
}

/** Two relays of one store: the operator is at the east one, and the west one can be slow. */
async function makeScene() {
  const engine = await LastingEngine.make({ isShared: true })
  const east = await startClosed(engine)
  const lent = engine.lend()
  const hold = holdWrites(lent)
  const west = await TestRelay.start({ operators, closed: true, backbone: lent, clock: east.clock })
  const { wire: op } = await enter(east, chief)
  await op.ask({ type: "JOIN", channel: "#general" })
  return { east, west, op, hold, grant: mint(east) }
}

describe("a grant that is revoked while a request of its agent waits for the store", () => {
  const ts = new FakeClock().now()
  const claim = { repo, paths: ["src/**"], seconds: 600, ts }
  it.each([
    ["a message", () => ({ type: "MSG", to: "#general", content: "first" })],
    [
      "a claim of files",
      (aud: string) => ({ type: "CLAIM_PATHS", ...claim, sig: signClaim({ aud, ...claim }, worker) }),
    ],
    ["the claim of a task", (_: string, task: string) => ({ type: "CLAIM", task })],
  ])(
    "ends the session: after %s nothing more is carried out, and nothing stays with the agent",
    async (_, make) => {
      const { east, west, op, hold, grant } = await makeScene()
      const { wire: agent, welcome } = await enter(west, worker, [grant])
      await agent.ask({ type: "JOIN", channel: "#general" })
      const { msg_id = "" } = (await op.ask({ type: "MSG", to: "+builder", content: "x" })) as {
        msg_id?: string
      }
      const { waits, letGo } = hold()
      agent.say({ id: "held", ...make(welcome.server_id, msg_id) })
      agent.say({ type: "MSG", to: "#general", content: "later" })
      await waits
      await act(op, east, { action: "revoke", grant: grant.id })
      expect(await agent.next("ERROR")).toMatchObject({ code: "FORBIDDEN" })
      letGo()
      await agent.ended()
      const { wire: next } = await enter(west, deputy, [mint(east)], { role: "builder" })
      expect(await next.ask({ type: "LIST_CLAIMS" })).toMatchObject({ list: [] })
      await next.ask({ type: "SET_PRESENCE", status: "idle" })
      expect(await next.ask({ type: "CLAIM", task: msg_id })).not.toMatchObject({ type: "ERROR" })
      expect(JSON.stringify(await op.settle())).not.toContain("later")
    },
  )

  it("does not let it in, where the request is its entry", async () => {
    const { east, west, op, hold, grant } = await makeScene()
    const { waits, letGo } = hold()
    const agent = await knock(west, worker, [grant])
    await waits
    await act(op, east, { action: "revoke", grant: grant.id })
    letGo()
    expect(await agent.next("ERROR")).toMatchObject({ code: "FORBIDDEN" })
    expect(await agent.ended()).toBeDefined()
  })
})

describe("the end of a grant", () => {
  it("is by the clock of each relay, whatever that of the operator or of another relay says", async () => {
    const engine = await LastingEngine.make({ isShared: true })
    const [fast, slow] = [await startClosed(engine), await startClosed(engine, new FakeClock())]
    fast.clock.advance(5_000)
    const exp = fast.clock.now() + 1_000
    const grant = mint(fast, { ts: exp + 86_400_000, exp, uses: 2 })
    const [{ wire: early }, { wire: late }] = [
      await enter(fast, worker, [grant]),
      await enter(slow, deputy, [grant]),
    ]
    const ping = { type: "MSG", to: "+builder", content: "x" }
    fast.clock.advance(999)
    expect(await early.ask(ping)).not.toMatchObject({ type: "ERROR" })
    fast.clock.advance(1)
    expect(await early.ask(ping)).toMatchObject({ code: "FORBIDDEN" })
    expect(await (await knock(fast, worker, [grant])).next("ERROR")).toMatchObject({ code: "FORBIDDEN" })
    expect(await late.ask(ping)).not.toMatchObject({ type: "ERROR" })
    slow.clock.advance(6_000)
    expect(await late.next("ERROR")).toMatchObject({ code: "FORBIDDEN" })
  })
})
