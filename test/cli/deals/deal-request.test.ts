import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { createIdentity } from "../../../src/identity/identity-file.js"
import type { ClientFrame } from "../../../src/protocol/client-messages.js"
import { CommandRoom } from "../../kit/command-room.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { FakeRelay, type FakeSession } from "../../kit/fake-relay.js"
import { newIdentity } from "../../kit/identity.js"

describe("a statement that a relay does not answer", () => {
  /** A room whose relay calls `answer` when a proposal arrives, and sends no reply to it. */
  async function roomWith(answer: (session: FakeSession, clock: FakeClock) => void, knowsBob = true) {
    const { agentId: id, did } = newIdentity()
    const roster = [{ id, name: "bob", status: "idle", did }]
    const proposals: ClientFrame<"PROPOSAL">[] = []
    const clock = new FakeClock()
    const relay = await FakeRelay.start({
      answers: {
        LIST_AGENTS: ({ id: re }) => {
          if (knowsBob) return { type: "AGENTS", re, list: [id], roster }
          clock.advance(300)
          return undefined
        },
        PROPOSAL: (frame, session) => {
          proposals.push(frame)
          answer(session, clock)
          return undefined
        },
      },
    })
    const room = new CommandRoom()
    const identity = join(room.dir, "o'r.json")
    createIdentity(identity)
    const command = ["propose", relay.url, "@bob", "work", "--identity", identity, "--timeout", "0.3"]
    const run = (...args: string[]) => room.run([...command, ...args], { clock })
    return { relay, identity, run, proposals }
  }

  it("an unanswered proposal is reported with the command that looks it up", async () => {
    const { relay, identity, run, proposals } = await roomWith((_, clock) => clock.advance(300))
    const { status, out, err } = await run("--json")
    const id = proposals[0]?.id ?? ""
    expect(id).toMatch(/^prop_/)
    expect(status).toBe(4)
    expect(JSON.parse(out)).toMatchObject({
      ok: false,
      proposal_id: id,
      via: "relay",
      error: { code: "TIMEOUT", exit: 4 },
    })
    expect(err).toContain(`${id}: PROPOSAL was sent, but: `)
    expect(err).toContain(
      `check with: agentchat proposals ${relay.url} ${id} --identity '${identity.replace("'", "'\\''")}'; repeat`,
    )
  })

  it("a proposal is reported when the relay closes the connection", async () => {
    const { run, proposals } = await roomWith(({ socket }) => socket.terminate())
    const { status, out, err } = await run()
    expect({ status, out }).toEqual({ status: 8, out: "" })
    expect(err).toContain(`agentchat proposals`)
    expect(err).toContain(proposals[0]?.id)
  })

  it("a proposal that was not sent is not reported", async () => {
    const { run, proposals } = await roomWith(() => {}, false)
    const { status, out, err } = await run("--json")
    expect(status).toBe(4)
    expect(JSON.parse(out)).not.toHaveProperty("proposal_id")
    expect(err).not.toContain("prop_")
    expect(proposals).toEqual([])
  })
})
