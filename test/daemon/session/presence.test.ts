import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { DaemonMemory, type SaidPresence } from "../../../src/daemon/session/daemon-memory.js"
import { Presence } from "../../../src/daemon/session/presence.js"
import type { ClientFrame } from "../../../src/protocol/client-messages.js"
import { ChatError } from "../../../src/protocol/errors.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const ten = 600_000

function restarted(presence: SaidPresence | undefined, clock = new FakeClock(), role?: string) {
  const path = join(temporaryDirectory(), "memory.json")
  const before = DaemonMemory.open(path)
  before.note({ presence })
  before.save()
  return { clock, path, said: new Presence(DaemonMemory.open(path), clock, () => {}, role) }
}

async function repeated(presence: Presence): Promise<ClientFrame[]> {
  const sent: ClientFrame[] = []
  const request = (frame: ClientFrame) => {
    sent.push(frame)
    return Promise.reject(new ChatError("UNAVAILABLE", "not now"))
  }
  await presence.repeat({ request })
  return sent
}

describe("what an agent said that it does", () => {
  it("is said again on each session, and nothing when it never said anything", async () => {
    const { said, clock } = restarted(undefined)
    expect([said.said, said.isWorking, await repeated(said)]).toEqual([undefined, false, []])
    said.say({ type: "SET_PRESENCE", status: "working", activity: "tests", role: "coder" }, clock.now())
    said.say({ type: "SET_PRESENCE", status: "working", activity: "docs" }, clock.now())
    expect(await repeated(said)).toEqual([
      { type: "SET_PRESENCE", status: "working", activity: "docs", role: "coder" },
    ])
    expect(said.said).toEqual({ status: "working", activity: "docs", role: "coder", since: clock.now() })
  })

  it("survives a restart, but after ten minutes nobody is believed to work still", () => {
    const now = new FakeClock().now()
    const fresh = { status: "working", activity: "x", role: "coder", since: now - ten } as const
    expect(restarted(fresh).said.said).toEqual(fresh)
    expect(restarted({ ...fresh, since: now - ten - 1 }).said.said).toEqual({
      status: "idle",
      role: "coder",
      since: now,
    })
    expect(restarted(fresh, new FakeClock(), "reviewer").said.said).toEqual({ ...fresh, role: "reviewer" })
    const away = { status: "away", since: 1 } as const
    expect(restarted(away).said.said).toEqual(away)
  })

  it.each(["", "{", "7", '{"presence":{"status":"offline","since":1},"tasks":[{}],"retrieved":-1}'])(
    "is forgotten with a damaged memory: %j",
    (text) => {
      const path = join(temporaryDirectory(), "memory.json")
      writeFileSync(path, text)
      const memory = DaemonMemory.open(path)
      expect([memory.presence, memory.tasks, memory.retrieved]).toEqual([undefined, [], 0])
    },
  )
})
