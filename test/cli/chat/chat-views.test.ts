import { describe, expect, it, onTestFinished } from "vitest"
import { Chat } from "../../../src/cli/chat/chat.js"
import { makeColors } from "../../../src/cli/output/message-text.js"
import { AgentChatClient } from "../../../src/client/client.js"
import type { Identity } from "../../../src/identity/identity-file.js"
import { generateKeyPair } from "../../../src/identity/signer.js"
import { until } from "../../kit/condition.js"
import { newIdentity } from "../../kit/identity.js"
import { type TestAgent, TestRelay } from "../../kit/relay.js"

async function openChat(relay: TestRelay) {
  const lines: string[] = []
  const targets: string[] = []
  const identity: Identity = newIdentity()
  const makeClient = (name: string) =>
    Promise.resolve(
      new AgentChatClient({ server: `ws://127.0.0.1:${relay.relay.port}`, name, identity, role: "human" }),
    )
  const chat = new Chat(await makeClient("pia"), {
    clock: relay.clock,
    view: { print: (line) => lines.push(line), setTarget: (target) => targets.push(target) },
    colors: makeColors(false),
    makeClient,
    onLost: () => {},
  })
  await chat.connect()
  onTestFinished(() => chat.close())
  const shows = (pattern: RegExp) => until(String(pattern), () => lines.find((line) => pattern.test(line)))
  return { chat, lines, targets, shows }
}

const ask = (asker: TestAgent, frame: object) =>
  asker.wire.ask({ type: "MSG", to: "+human", choices: ["yes", "no"], ...frame })

describe("a chat", () => {
  it("shows questions as they arrive, lists them, and answers one, signed and spelled as the choice", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enterAs(generateKeyPair(), "ann")
    const { chat, lines, shows } = await openChat(relay)
    await ask(ann, { content: "may I \u001b[2Jmerge?\nsure?", ttl_s: 60, default: "no" })
    expect(await shows(/needs you: 1 {2}ann/)).toMatch(
      /may I \\u\{1b\}\[2Jmerge\? sure\? \[yes \| no\] \(until .*, else no\)/,
    )
    await ask(ann, { content: "and deploy?" })
    await chat.handleLine("/needs")
    await shows(/^ {2}2 {2}ann .*and deploy\?/)
    await chat.handleLine("/answer YES")
    expect(lines.at(-1)).toMatch(/which question\?/)
    await chat.handleLine("/answer 2 maybe")
    expect(lines.at(-1)).toMatch(/none of the choices; answer with one of: yes, no/)
    await chat.handleLine("/answer 2 YES")
    expect(await ann.wire.next("MSG")).toMatchObject({ content: "yes" })
    relay.clock.advance(60_000)
    await shows(/no longer needs you: 1: the task expired/)
  })

  it("counts what arrives in other channels, and marks what mentions the person", async () => {
    const relay = await TestRelay.start()
    const ann = await relay.enter("ann", "#general", "#agents")
    const { chat, lines, targets, shows } = await openChat(relay)
    await chat.handleLine("/join general")
    await chat.handleLine("/join agents")
    ann.wire.say({ type: "MSG", to: "#general", content: "look", mentions: ["@pia"] })
    expect(await shows(/look$/)).toMatch(/^» /)
    expect(targets.at(-1)).toBe("#agents (1 elsewhere)")
    await chat.handleLine("/list")
    expect(lines).toContain("  #general  2  1 unread")
    await chat.handleLine("/join general")
    expect(targets.at(-1)).toBe("#general")
  })
})
