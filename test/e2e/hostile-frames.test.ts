import { appendFileSync, existsSync, readFileSync } from "node:fs"
import { describe, expect, it, type TestContext } from "vitest"
import { agentchat, must } from "../kit/command-server.js"
import { until } from "../kit/condition.js"
import { FakeRelay, msg } from "../kit/fake-relay.js"
import { type RelayProcess, type Workspace } from "../kit/program.js"
import { patienceMs, Scene, startDaemon } from "../kit/scene.js"
import { Wire } from "../kit/wire.js"

/** Starts a daemon, and waits until it is in #general. */
async function startAgent(
  { onTestFinished }: TestContext,
  url: string,
  name: string,
  ...more: string[]
): Promise<Workspace> {
  const work = await new Scene(onTestFinished).agent(url, name, ...more)
  await until(
    `${name} in #general`,
    () => (work.status(name)?.["channels"] as string[] | undefined)?.includes("#general"),
    patienceMs,
  )
  return work
}

/** Stops a daemon and starts it again. */
async function restartAgent(work: Workspace, url: string, name: string): Promise<void> {
  expect((await agentchat(work, "daemon", "--stop", "--name", name)).status).toBe(0)
  await startDaemon(work, url, name)
}

/** Connects a raw client and joins #general. */
async function enter(relay: RelayProcess, name: string): Promise<{ wire: Wire; id: string }> {
  const wire = await Wire.open(Number(new URL(relay.url).port))
  wire.say({ type: "IDENTIFY", name })
  const { agent_id: id } = await wire.next("WELCOME")
  wire.say({ type: "JOIN", channel: "#general" })
  await wire.next("JOINED")
  return { wire, id }
}

const idOf = (work: Workspace, name: string) => String(work.status(name)?.["agent_id"])
const messages = (work: Workspace, name: string) => work.inbox(name).filter(({ type }) => type === "MSG")
const text = (work: Workspace, name: string, file: string) => readFileSync(work.file(name, file), "utf8")

describe("a hostile peer", { timeout: 120_000 }, () => {
  it("a client sends under its own name, whatever names its frames contain", async (context) => {
    const relay = await new Scene(context.onTestFinished).relay()
    const alice = await startAgent(context, relay.url, "alice")
    const bob = await startAgent(context, relay.url, "bob")
    const [aliceId, bobId] = [idOf(alice, "alice"), idOf(bob, "bob")]
    const { wire, id } = await enter(relay, "mallory")
    const forged = {
      ...{ from: aliceId, name: "alice", msg_id: `${aliceId.slice(1)}.1`, agent_id: aliceId },
      ...{ agent: aliceId, sender: aliceId, self: true, by: aliceId },
    }
    for (const to of ["#general", bobId, aliceId]) {
      expect(await wire.ask({ ...forged, type: "MSG", to, content: `to ${to}` })).toMatchObject({
        type: "ACK",
      })
    }
    for (const type of ["DELIVERY", "PRESENCE_CHANGED", "TASK", "AGENT_LEFT"]) {
      expect(await wire.ask({ ...forged, type, state: "mirrored" })).toMatchObject({ code: "INVALID_MSG" })
    }
    await until("bob's", () => messages(bob, "bob").length === 2, patienceMs)
    await until("alice's", () => messages(alice, "alice").length === 2, patienceMs)
    for (const [work, name] of [
      [alice, "alice"],
      [bob, "bob"],
    ] as const) {
      for (const line of messages(work, name)) {
        expect(line).toMatchObject({ from: id, name: "mallory" })
        expect(String(line["msg_id"]).startsWith(`${id.slice(1)}.`)).toBe(true)
      }
      expect(text(work, name, "inbox.jsonl")).not.toContain(`"from":"${aliceId}"`)
    }
  })

  it("a client cannot connect with the key of another agent", async (context) => {
    const relay = await new Scene(context.onTestFinished).relay()
    const alice = await startAgent(context, relay.url, "alice")
    const shown = await must(
      alice,
      "identity",
      "--export",
      "--identity",
      alice.file("alice", "identity.json"),
    )
    const { did } = JSON.parse(shown) as { did: string }
    const wire = await Wire.open(Number(new URL(relay.url).port))
    wire.say({ type: "IDENTIFY", name: "alice", pubkey: did })
    const { challenge_id } = await wire.next("CHALLENGE")
    wire.say({ type: "VERIFY_IDENTITY", challenge_id, iat: 1_800_000_000, sig: "A".repeat(86) })
    expect(await wire.next("ERROR")).toMatchObject({ code: "VERIFICATION_FAILED" })
    expect(alice.status("alice")).toMatchObject({ connected: true })
  })

  it("a daemon drops and logs messages with a forged sender", async (context) => {
    const relay = await FakeRelay.start()
    const bob = await startAgent(context, relay.url, "bob")
    const session = await relay.session()
    const to = idOf(bob, "bob")
    session.send(
      msg("cccccccc.1", { to, content: "forged mail" }),
      msg("cccccccc.2", { content: "forged post" }),
      msg("bbbbbbbb.3", { to, content: "true" }),
    )
    await until("the true one", () => bob.contents("bob").includes("true"), patienceMs)
    expect(bob.contents("bob")).toEqual(["true"])
    expect(text(bob, "bob", "inbox.jsonl")).not.toContain("forged")
    expect(text(bob, "bob", "daemon.log").match(/sender-mismatch/g)).toHaveLength(2)
  })

  it("only the address of a message decides its kind", async (context) => {
    const relay = await new Scene(context.onTestFinished).relay()
    const bob = await startAgent(context, relay.url, "bob", "--role", "reviewer")
    const { wire, id } = await enter(relay, "mallory")
    const bobId = idOf(bob, "bob")
    const extra = {
      ...{ channel: "#ops", agent: bobId, to_service: "reviewer", toService: "reviewer", role: "reviewer" },
      ...{ task: "t1", seq: 99, replay: true, hops: 7, recipient: bobId },
    }
    wire.say({ ...extra, type: "MSG", to: "#general", content: "a post", id: "m1" })
    wire.say({ ...extra, type: "MSG", to: bobId, content: "mail", id: "m2" })
    await until("both", () => messages(bob, "bob").length === 2, patienceMs)
    const [post, mail] = messages(bob, "bob").sort((a, b) =>
      String(a["msg_id"]).localeCompare(String(b["msg_id"])),
    )
    expect(post).toMatchObject({ to: "#general", content: "a post", from: id })
    expect(mail).toMatchObject({ to: bobId, content: "mail", from: id })
    for (const line of [post, mail]) {
      for (const field of ["channel", "agent", "to_service", "toService", "task", "replay", "recipient"]) {
        expect(line).not.toHaveProperty(field)
      }
    }
    expect(post?.seq).not.toBe(99)
    expect(bob.inbox("bob").filter(({ type }) => type === "TASK")).toEqual([])
  })

  it("each malformed frame gets a reason, and none is delivered, even later", async (context) => {
    const relay = await new Scene(context.onTestFinished).relay()
    const bob = await startAgent(context, relay.url, "bob")
    const { wire } = await enter(relay, "mallory")
    const malformed = [
      ['{"type":"MSG","to":"#general","content":"evil"', /column 47: unexpected end/],
      ['["MSG","#general","evil"]', /object/],
      ['{"to":"#general","content":"evil"}', /type/],
      ['{"type":"NONSENSE","to":"#general","content":"evil"}', /NONSENSE/],
      ['{"type":"MSG","content":"evil"}', /\bto\b/],
      ['{"type":"MSG","to":"#general"}', /content/],
      ['{"type":"MSG","to":"general","content":"evil"}', /\bto\b/],
      ['{"type":"MSG","to":["#general"],"content":"evil"}', /\bto\b/],
      ['{"type":"MSG","to":"#general","content":{"evil":1}}', /content/],
    ] as const
    for (const [frame, reason] of malformed) {
      wire.say(frame)
      const error = await wire.next("ERROR")
      expect([frame, error.code]).toEqual([frame, "INVALID_MSG"])
      expect(error.message).toMatch(reason)
    }
    wire.say({ type: "MSG", to: "#general", content: "good", id: "m1" })
    await until("the good one", () => bob.contents("bob").includes("good"), patienceMs)
    await restartAgent(bob, relay.url, "bob")
    wire.say({ type: "MSG", to: "#general", content: "good again", id: "m2" })
    await until("the other good one", () => bob.contents("bob").includes("good again"), patienceMs)
    expect(bob.contents("bob")).toEqual(["good", "good again"])
    expect(text(bob, "bob", "inbox.jsonl")).not.toContain("evil")
    expect((await wire.settle()).filter(({ type }) => type === "ERROR")).toEqual([])
  })

  it("malformed outbox lines are set aside with a reason and not tried again", async (context) => {
    const relay = await new Scene(context.onTestFinished).relay()
    const alice = await startAgent(context, relay.url, "alice")
    const bob = await startAgent(context, relay.url, "bob")
    const outbox = alice.file("alice", "outbox.jsonl")
    appendFileSync(
      outbox,
      'evil {\n{"content":"evil"}\n{"to":"#general"}\n{"to":"#general","content":"good"}\n',
    )
    await until("the good one", () => bob.contents("bob").includes("good"), patienceMs)
    const rejected = () =>
      text(alice, "alice", "rejected.jsonl")
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as { code: string; reason: string })
    await until(
      "the rejections",
      () => existsSync(alice.file("alice", "rejected.jsonl")) && rejected().length === 3,
    )
    expect(rejected().map(({ code }) => code)).toEqual(["INVALID_MSG", "INVALID_MSG", "INVALID_MSG"])
    expect(rejected()[1]?.reason).toMatch(/\bto\b/)
    expect(rejected()[2]?.reason).toContain("content")
    await restartAgent(alice, relay.url, "alice")
    await must(alice, "send", "#general", "good again", "--name", "alice")
    await until("the other good one", () => bob.contents("bob").includes("good again"), patienceMs)
    expect(bob.contents("bob")).toEqual(["good", "good again"])
    expect(rejected()).toHaveLength(3)
  })
})
