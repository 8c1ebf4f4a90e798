import { describe, expect, it } from "vitest"
import { agentIdOf } from "../../../src/identity/keys.js"
import { generateKeyPair } from "../../../src/identity/signer.js"
import { type ClientType, clientMessages } from "../../../src/protocol/client-messages.js"
import { type Profile, profiles } from "../../../src/protocol/grants.js"
import { matchesAny } from "../../../src/protocol/names.js"
import { clientExamples } from "../../kit/client-examples.js"
import { act, chief, enter, mint, startClosed } from "../../kit/closed-relay.js"
import type { Wire } from "../../kit/wire.js"

const worker = generateKeyPair()
const [agents, talkers, everybody] = [["agent"], ["agent", "guest"], Object.keys(profiles)]
const [operators, auditors] = [[], ["admin"]]

/** The profiles whose grant is enough for each message; besides them, operators may send all. */
const allowed: Readonly<Record<ClientType, readonly string[] | "comes before a session">> = {
  IDENTIFY: "comes before a session",
  VERIFY_IDENTITY: "comes before a session",
  KEY_STATEMENT: everybody,
  JOIN: everybody,
  LEAVE: everybody,
  MSG: talkers,
  FORECAST: talkers,
  LIST_GUARDS: everybody,
  RESET_GUARD: operators,
  MODERATE: operators,
  LIST_AUDIT: auditors,
  LIST_MESSAGES: everybody,
  LIST_GRANTS: operators,
  LIST_CHANNELS: everybody,
  LIST_AGENTS: everybody,
  CREATE_CHANNEL: talkers,
  SET_CHANNEL: talkers,
  REMOVE_CHANNEL: operators,
  INVITE: talkers,
  SET_PRESENCE: agents,
  SET_ATTENTION: everybody,
  SET_WAKE_LEASE: everybody,
  RECEIVED: everybody,
  PENDING: agents,
  CLAIM_PATHS: agents,
  RELEASE_PATHS: everybody,
  LIST_CLAIMS: everybody,
  LIST_TASKS: everybody,
  CLAIM: agents,
  EXTEND: agents,
  DONE: agents,
  FAIL: everybody,
  PROPOSAL: agents,
  ACCEPT: agents,
  REJECT: agents,
  COMPLETE: agents,
  DISPUTE: agents,
  /** As the example asks for those of all agents. */
  LIST_PROPOSALS: auditors,
  PING: everybody,
}

/** Messages of the examples that mean an operator, a channel and a task that exist. */
function framesOf(type: ClientType, task: string): object[] {
  const example = { ...clientExamples[type], type }
  if (type === "MSG" || type === "FORECAST") {
    return ["#general", "@op", "+builder"].map((to) => ({ type, to, content: "x" }))
  }
  if (type === "CREATE_CHANNEL") return [{ type, channel: "#new" }]
  if (type === "LEAVE") return []
  if (type === "PENDING") return ["@op", "+builder"].map((target) => ({ type, target }))
  if ("task" in example) return [{ ...example, task }]
  return [example]
}

/** Messages that name a channel, with everything else they need. */
const channelFrames: readonly object[] = [
  { type: "JOIN" },
  { type: "LEAVE" },
  { type: "MSG", content: "x" },
  { type: "FORECAST", content: "x" },
  { type: "LIST_AGENTS" },
  { type: "LIST_MESSAGES" },
  { type: "CREATE_CHANNEL" },
  { type: "SET_CHANNEL", description: "x" },
  { type: "REMOVE_CHANNEL" },
  { type: "INVITE", agent: "@op" },
  { type: "SET_ATTENTION", attention: "quiet" },
]

/** Reports whether a guest writes to an agent or a role, and not to a channel. */
function isGuestsLetter(profile: Profile, { to = "#" }: { readonly to?: string }): boolean {
  return profile === "guest" && !to.startsWith("#")
}

async function isRefused(wire: Wire, frame: object): Promise<boolean> {
  const { code } = (await wire.ask(frame)) as { code?: string }
  return code === "FORBIDDEN" || code === "OPERATOR_REQUIRED"
}

describe.each(Object.keys(profiles) as Profile[])("the grant of a profile: %s", (profile) => {
  it("is enough for exactly the messages in the table, and others change nothing", async () => {
    const relay = await startClosed()
    const { wire: op } = await enter(relay, chief, [], { name: "op" })
    await op.ask({ type: "JOIN", channel: "#general" })
    const { msg_id: task } = (await op.ask({ type: "MSG", to: "+builder", content: "x" })) as {
      msg_id?: string
    }
    const roles = profiles[profile].works ? ["*"] : []
    const { wire } = await enter(relay, worker, [mint(relay, { profile, roles })], { name: "bob" })
    await wire.ask({ type: "JOIN", channel: "#general" })
    await op.settle()
    const faults: string[] = []
    for (const type of Object.keys(clientMessages) as ClientType[]) {
      const own = allowed[type]
      // An example of MODERATE is refused for its signature before.
      if (typeof own === "string" || !("answer" in clientMessages[type]) || type === "MODERATE") continue
      for (const frame of framesOf(type, task ?? "")) {
        const isAllowed = own.includes(profile) && !isGuestsLetter(profile, frame)
        if ((await isRefused(wire, frame)) === isAllowed) faults.push(JSON.stringify(frame))
      }
    }
    expect(faults).toEqual([])
    if (profiles[profile].writes) return
    expect(JSON.stringify(await op.settle())).not.toContain(agentIdOf(worker.publicKey).slice(1))
    const { list } = (await op.ask({ type: "LIST_CHANNELS" })) as { list?: { name: string }[] }
    expect(list?.map(({ name }) => name)).toEqual(["#agents", "#general", "#skills"])
  })
})

describe("a channel that an agent may not read", () => {
  it("is in the table of messages that name a channel", () => {
    const named = Object.entries(clientMessages).filter(
      ([, { fields }]) => "channel" in fields || "to" in fields,
    )
    const verbs = ["PROPOSAL", "ACCEPT", "REJECT", "COMPLETE", "DISPUTE"]
    const types = named.map(([type]) => type).filter((type) => !verbs.includes(type))
    expect(types.sort()).toEqual(channelFrames.map((frame) => (frame as { type: string }).type).sort())
  })

  it.each(channelFrames)("answers %j as one that does not exist", async (frame) => {
    const relay = await startClosed()
    const { wire: op } = await enter(relay, chief, [], { name: "op" })
    await op.ask({ type: "CREATE_CHANNEL", channel: "#secret.plan" })
    await act(op, relay, { action: "close", channel: "#secret.plan" })
    const { wire } = await enter(relay, worker, [
      mint(relay, { read: ["#general"], write: ["#general"] } as never),
    ])
    const ask = async (channel: string) =>
      JSON.stringify({ ...(await wire.ask({ ...frame, channel, to: channel })), re: "" }).replaceAll(
        channel,
        "#",
      )
    expect(await ask("#secret.plan")).toBe(await ask("#secret.none"))
    // The name of a similar one is no hint either.
    expect(await ask("#secret.plam")).not.toContain("#secret.plan")
  })

  it("shows in no list, roster or forecast, and nobody can be invited to it", async () => {
    const relay = await startClosed()
    const { wire: op } = await enter(relay, chief, [], { name: "op" })
    await op.ask({ type: "CREATE_CHANNEL", channel: "#secret.plan" })
    const { wire, welcome } = await enter(relay, worker, [mint(relay, { read: ["#general"] } as never)], {
      name: "bob",
    })
    await wire.ask({ type: "JOIN", channel: "#>" })
    expect(await op.ask({ type: "INVITE", channel: "#secret.plan", agent: "@bob" })).toMatchObject({
      code: "FORBIDDEN",
      message: `agent: no grant lets ${welcome.agent_id} read #secret.plan`,
    })
    await op.ask({ type: "MSG", to: "#secret.plan", content: "x", mentions: ["@bob"] })
    const lists = ["LIST_CHANNELS", "LIST_AGENTS", "LIST_GUARDS", "LIST_CLAIMS", "LIST_TASKS"]
    const answers = [
      ...(await Promise.all(lists.map((type) => wire.ask({ type })))),
      ...(await wire.settle()),
    ]
    expect(JSON.stringify(answers)).not.toContain("secret")
  })
})

describe.each(Object.keys(profiles) as Profile[])("the rights in WELCOME of a profile: %s", (profile) => {
  it("say what the relay allows: which channels it may join and write to, and which roles it may serve", async () => {
    const relay = await startClosed()
    const { wire: op } = await enter(relay, chief)
    const names = ["#team.web", "#team.api", "#secret"]
    for (const channel of names) await op.ask({ type: "CREATE_CHANNEL", channel })
    const { writes, works } = profiles[profile]
    const facts = { read: ["#team.>"], write: writes ? ["#team.web"] : [], roles: works ? ["builder"] : [] }
    const { wire, welcome } = await enter(relay, worker, [mint(relay, { profile, ...facts } as never)])
    const { read = [], write = [], roles = [] } = welcome.rights ?? {}
    const includes = (patterns: readonly string[], name: string) =>
      matchesAny(patterns as never, name as never)
    for (const channel of names) {
      const joined = await wire.ask({ type: "JOIN", channel })
      expect(joined.type === "JOINED", `${profile} reads ${channel}`).toBe(includes(read, channel))
      const sent = await wire.ask({ type: "MSG", to: channel, content: "x" })
      expect(sent.type === "ACK", `${profile} writes ${channel}`).toBe(includes(write, channel))
    }
    for (const role of ["builder", "reviewer"]) {
      const served = await wire.ask({ type: "SET_PRESENCE", status: "idle", role })
      expect(served.type === "ACK", `${profile} serves ${role}`).toBe(roles.includes(role))
    }
  })
})
