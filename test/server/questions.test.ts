import { describe, expect, it } from "vitest"
import { questionDigest, signAnswer } from "../../src/identity/answer-signature.js"
import { generateKeyPair, type KeyPair } from "../../src/identity/signer.js"
import type { ServerMessage } from "../../src/protocol/server-messages.js"
import { LastingEngine } from "../kit/engine.js"
import { type TestAgent, TestRelay } from "../kit/relay.js"

const merge = { type: "MSG", to: "+human", content: "may I merge?", choices: ["yes", "no"] }

async function enterPerson(relay: TestRelay, name = "pia"): Promise<TestAgent & { keys: KeyPair }> {
  const keys = generateKeyPair()
  const person = await relay.enterAs(keys, name)
  await person.wire.ask({ type: "SET_PRESENCE", status: "away", role: "Human" })
  return { ...person, keys }
}

async function ask({ wire }: TestAgent, frame: object = merge): Promise<string> {
  const ack = await wire.ask(frame)
  if (ack.type !== "ACK" || ack.msg_id === undefined) throw new Error(JSON.stringify(ack))
  return ack.msg_id
}

/** Returns a signed DONE of what a TASK asks. */
function answerTo(
  task: ServerMessage<"TASK">,
  content: string,
  { keys, welcome }: { readonly keys: KeyPair; readonly welcome: ServerMessage<"WELCOME"> },
): object {
  const question = questionDigest(task)
  const signed = { aud: welcome.server_id, task: task.task, question, answer: content, ts: 1 }
  return { type: "DONE", task: task.task, content, answer: signAnswer(signed, keys) }
}

describe("a task for people", () => {
  it("is offered to everybody with the role, who is away or not, and answered by the first", async () => {
    const relay = await TestRelay.start()
    const [pia, bob] = [await enterPerson(relay), await enterPerson(relay, "bob")]
    const ann = await relay.enterAs(generateKeyPair(), "ann")
    const id = await ask(ann)
    const offer = await pia.wire.next("TASK")
    expect(offer).toMatchObject({ task: id, offered: true, lease_ms: 0, choices: ["yes", "no"] })
    expect(await bob.wire.next("TASK")).toMatchObject({ task: id, offered: true })
    expect(await pia.wire.ask(answerTo(offer, "yes", pia))).toMatchObject({ type: "ACK", state: "done" })
    expect(await bob.wire.next("TASK_LOST")).toMatchObject({
      task: id,
      reason: `the task was answered by ${pia.id}`,
    })
    const answer = await ann.wire.next("MSG")
    expect(answer).toMatchObject({ from: pia.id, content: "yes", in_reply_to: id })
    expect(answer.answer?.question).toBe(questionDigest({ ...merge, role: "human" }))
    expect(await bob.wire.ask(answerTo(offer, "no", bob))).toMatchObject({ code: "TASK_NOT_FOUND" })
  })

  it("is offered to a person who connects later", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enterAs(generateKeyPair(), "ann")
    const id = await ask(ann)
    const pia = await enterPerson(relay)
    expect(await pia.wire.next("TASK")).toMatchObject({ task: id, offered: true })
  })

  it("is refused to an agent without the role", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enterAs(generateKeyPair(), "ann")
    const eve = await relay.enterAs(generateKeyPair(), "eve")
    const id = await ask(ann)
    expect(await eve.wire.ask({ type: "CLAIM", task: id })).toMatchObject({ code: "FORBIDDEN" })
    expect(await eve.wire.ask({ type: "DONE", task: id, content: "yes" })).toMatchObject({
      code: "FORBIDDEN",
    })
  })

  it("takes only an answer that is a choice and signed by the person for this question", async () => {
    const relay = await TestRelay.start()
    const [pia, ann] = [await enterPerson(relay), await relay.enterAs(generateKeyPair(), "ann")]
    await ask(ann)
    const offer = await pia.wire.next("TASK")
    const refuse = async (frame: object) => {
      const error = await pia.wire.ask(frame)
      return error.type === "ERROR" ? `${error.code} ${error.message}` : error.type
    }
    expect(await refuse(answerTo(offer, "maybe", pia))).toMatch(/INVALID_MSG content: is none of the choices/)
    expect(await refuse({ type: "DONE", task: offer.task, content: "yes" })).toMatch(
      /VERIFICATION_FAILED answer:/,
    )
    const other = { ...offer, content: "may I drop the database?" }
    expect(await refuse(answerTo(other, "yes", pia))).toMatch(/VERIFICATION_FAILED answer\.question/)
    const stranger = { ...pia, keys: generateKeyPair() }
    expect(await refuse(answerTo(offer, "yes", stranger))).toMatch(/VERIFICATION_FAILED answer\.sig/)
    const swapped = { ...answerTo(offer, "no", pia), content: "yes" }
    expect(await refuse(swapped)).toMatch(/VERIFICATION_FAILED answer\.sig/)
    expect(await refuse(answerTo(offer, "yes", pia))).toBe("ACK")
  })

  it("takes only JSON that fits the schema", async () => {
    const relay = await TestRelay.start()
    const [pia, ann] = [await enterPerson(relay), await relay.enterAs(generateKeyPair(), "ann")]
    const schema = { type: "object", properties: { port: { type: "integer" } }, required: ["port"] }
    await ask(ann, { type: "MSG", to: "+human", content: "which port?", schema })
    const offer = await pia.wire.next("TASK")
    const bad = await pia.wire.ask(answerTo(offer, '{"port":"x"}', pia))
    expect(bad).toMatchObject({ code: "INVALID_MSG", message: expect.stringContaining("/port") as string })
    expect(await pia.wire.ask(answerTo(offer, '{"port":80}', pia))).toMatchObject({ type: "ACK" })
  })

  it("is not given up however often its lease ends", async () => {
    const relay = await TestRelay.start({ limits: { taskAttempts: 1 } })
    const [pia, ann] = [await enterPerson(relay), await relay.enterAs(generateKeyPair(), "ann")]
    const id = await ask(ann)
    await pia.wire.ask({ type: "CLAIM", task: id })
    await pia.wire.ask({ type: "FAIL", task: id })
    expect(await pia.wire.ask({ type: "CLAIM", task: id })).toMatchObject({ type: "TASK", attempt: 2 })
  })
})

describe("a task with an expiry", () => {
  const brief = { ...merge, ttl_s: 60, default: "no" }

  it("gives the asker the default answer, marked as nobody's, and can be answered no longer", async () => {
    const relay = await TestRelay.start()
    const [pia, ann] = [await enterPerson(relay), await relay.enterAs(generateKeyPair(), "ann")]
    const id = await ask(ann, brief)
    const offer = await pia.wire.next("TASK")
    expect(offer.expires_ts).toBe(relay.clock.now() + 60_000)
    relay.clock.advance(59_999)
    expect((await ann.wire.settle()).map(({ type }) => type)).not.toContain("TASK_EXPIRED")
    relay.clock.advance(1)
    expect(await ann.wire.next("TASK_EXPIRED")).toMatchObject({ task: id, role: "human", answer: "no" })
    expect(await pia.wire.next("TASK_LOST")).toMatchObject({ task: id, reason: "the task expired" })
    const late = { code: "TASK_NOT_FOUND", message: expect.stringContaining("expired") as string }
    expect(await pia.wire.ask({ type: "CLAIM", task: id })).toMatchObject(late)
    expect(await pia.wire.ask(answerTo(offer, "yes", pia))).toMatchObject(late)
    relay.clock.advance(60_000)
    expect((await ann.wire.settle()).map(({ type }) => type)).not.toContain("TASK_EXPIRED")
  })

  it("ends for the worker that has it", async () => {
    const relay = await TestRelay.start()
    const [bob, ann] = [
      await relay.enterAs(generateKeyPair(), "bob"),
      await relay.enterAs(generateKeyPair(), "ann"),
    ]
    await bob.wire.ask({ type: "SET_PRESENCE", status: "idle", role: "reviewer" })
    const id = await ask(ann, { type: "MSG", to: "+reviewer", content: "look", ttl_s: 5 })
    await bob.wire.next("TASK")
    relay.clock.advance(5_000)
    expect(await bob.wire.next("TASK_LOST")).toMatchObject({ task: id, reason: "the task expired" })
    const notice = await ann.wire.next("TASK_EXPIRED")
    expect(notice).not.toHaveProperty("answer")
    const claims = (await ann.wire.settle()).filter((message) => message.type === "DELIVERY")
    expect(claims).toEqual([])
    expect(await bob.wire.ask({ type: "DONE", task: id, content: "x" })).toMatchObject({
      code: "TASK_NOT_FOUND",
    })
  })

  it("does not expire once it is answered", async () => {
    const relay = await TestRelay.start()
    const [pia, ann] = [await enterPerson(relay), await relay.enterAs(generateKeyPair(), "ann")]
    await ask(ann, brief)
    await pia.wire.ask(answerTo(await pia.wire.next("TASK"), "yes", pia))
    relay.clock.advance(120_000)
    const types = (await ann.wire.settle()).map(({ type }) => type)
    expect(types.filter((type) => type === "MSG" || type === "TASK_EXPIRED")).toEqual(["MSG"])
  })

  it("expires once with two relays, and after a restart", async () => {
    const engine = await LastingEngine.make({ isShared: true })
    const one = await TestRelay.start({ backbone: engine.lend() })
    const { clock } = one
    const two = await TestRelay.start({ backbone: engine.lend(), clock })
    const keys = generateKeyPair()
    const ann = await one.enterAs(keys, "ann")
    const id = await ask(ann, brief)
    await one.stop()
    clock.advance(20_000)
    const three = await TestRelay.start({ backbone: engine.lend(), clock })
    clock.advance(30_000)
    for (const relay of [two, three]) await (await relay.enter("witness")).wire.settle()
    const back = await three.enterAs(keys, "ann")
    expect(await back.wire.next("TASK_EXPIRED")).toMatchObject({ task: id, answer: "no" })
    expect((await back.wire.settle()).map(({ type }) => type)).not.toContain("TASK_EXPIRED")
  })
})

describe("the fields of a task", () => {
  it.each([
    [{ to: "@ann" }, "MSG.choices: only for a task"],
    [{ default: "no" }, "MSG.default: needs an expiry"],
    [{ default: "maybe", ttl_s: 1 }, "MSG.default: is none of the choices"],
    [{ choices: ["yes", "Yes"] }, "MSG.choices: must be one or more texts that differ"],
    [{ choices: [] }, "MSG.choices: must be one or more texts that differ"],
    [{ choices: ["\u001b[31myes"] }, "MSG.choices.0: must be 1-64 visible characters"],
    [{ choices: ["\u202eyes"] }, "MSG.choices.0: must be 1-64 visible characters"],
    [{ choices: ["y".repeat(65)] }, "MSG.choices.0: must be 1-64 visible characters"],
    [{ schema: { type: "string" } }, "MSG.schema: choices and schema are mutually exclusive"],
    [{ choices: undefined, schema: { pattern: "(a+)+$" } }, "MSG.schema: must be a JSON Schema"],
    [
      { choices: undefined, schema: { properties: { a: { $ref: "#" } } } },
      "MSG.schema: must be a JSON Schema",
    ],
    [{ ttl_s: 0 }, "MSG.ttl_s: must be at least 1"],
    [{ ttl_s: 604_801 }, "MSG.ttl_s: must be at most 604800"],
  ])("refuses %j", async (change, message) => {
    const relay = await TestRelay.start()
    const ann = await relay.enterAs(generateKeyPair(), "ann")
    const error = await ann.wire.ask({ ...merge, ...change })
    expect(error).toMatchObject({ code: "INVALID_MSG", message: expect.stringContaining(message) as string })
  })
})
