import { expect, it } from "vitest"
import { agentIdOf, formatDidKey } from "../../../src/identity/keys.js"
import { generateKeyPair } from "../../../src/identity/signer.js"
import { prove, TestRelay } from "../../kit/relay.js"

const [ann, bob, eve] = [generateKeyPair(), generateKeyPair(), generateKeyPair()]
const bobId = agentIdOf(bob.publicKey)

it("nobody else reads, lists, searches or takes the mail of an agent, and who wrote it sees only its own", async () => {
  const relay = await TestRelay.start()
  ;(await relay.enterAs(bob, "bob")).wire.socket.destroy()
  const { wire: author } = await relay.enterAs(ann, "ann")
  const { wire: thief } = await relay.enterAs(eve, "eve", "#general")
  const sent = await author.ask({ type: "MSG", to: bobId, content: "the secret plan" })
  const { msg_id } = sent as { msg_id?: string }
  const pending = { type: "PENDING", target: bobId }
  expect(await author.ask(pending)).toMatchObject({ count: 1, ids: [msg_id] })
  expect(await thief.ask(pending)).toMatchObject({ count: 1, ids: [] })
  thief.say({ type: "RECEIVED", ids: [msg_id], retrieved: [msg_id] })
  for (const frame of [
    { type: "LIST_MESSAGES", text: "secret" },
    { type: "LIST_MESSAGES", with: bobId },
    { type: "JOIN", channel: bobId },
    { type: "PENDING" },
  ]) {
    expect(JSON.stringify(await thief.ask(frame)), JSON.stringify(frame)).not.toMatch(/secret plan|"ids":\["/)
  }
  const raw = await relay.connect()
  raw.say({ type: "IDENTIFY", name: "bob", pubkey: formatDidKey(bob.publicKey) })
  raw.say(prove(await raw.next("CHALLENGE"), eve))
  expect(await raw.next("ERROR")).toMatchObject({ code: "VERIFICATION_FAILED" })
  expect(JSON.stringify(await thief.settle())).not.toContain("secret plan")
  const { wire: owner } = await relay.enterAs(bob, "bob")
  expect(await owner.next("MSG")).toMatchObject({ msg_id, content: "the secret plan" })
})
