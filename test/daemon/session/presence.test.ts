import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { DaemonMemory, type StoredPresence } from "../../../src/daemon/session/daemon-memory.js"
import { Presence } from "../../../src/daemon/session/presence.js"
import type { ClientFrame } from "../../../src/protocol/client-messages.js"
import { ChatError } from "../../../src/protocol/errors.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const tenMinutes = 600_000

function restart(stored: StoredPresence | undefined, clock = new FakeClock(), role?: string) {
  const path = join(temporaryDirectory(), "memory.json")
  const before = DaemonMemory.open(path)
  before.note({ presence: stored })
  before.save()
  return { clock, path, presence: new Presence(DaemonMemory.open(path), clock, () => {}, role) }
}

async function resent(presence: Presence): Promise<ClientFrame[]> {
  const sent: ClientFrame[] = []
  const request = (frame: ClientFrame) => {
    sent.push(frame)
    return Promise.reject(new ChatError("UNAVAILABLE", "not now"))
  }
  await presence.resend({ request })
  return sent
}

describe("the presence an agent set", () => {
  it("is set again on each session, unless the agent never set one", async () => {
    const { presence, clock } = restart(undefined)
    expect([presence.current, presence.isWorking, await resent(presence)]).toEqual([undefined, false, []])
    presence.set({ type: "SET_PRESENCE", status: "working", activity: "tests", role: "coder" }, clock.now())
    presence.set({ type: "SET_PRESENCE", status: "working", activity: "docs" }, clock.now())
    expect(await resent(presence)).toEqual([
      { type: "SET_PRESENCE", status: "working", activity: "docs", role: "coder" },
    ])
    expect(presence.current).toEqual({
      status: "working",
      activity: "docs",
      role: "coder",
      since: clock.now(),
    })
  })

  it("survives a restart, but `working` becomes `idle` after tenMinutes minutes", () => {
    const now = new FakeClock().now()
    const fresh = { status: "working", activity: "x", role: "coder", since: now - tenMinutes } as const
    expect(restart(fresh).presence.current).toEqual(fresh)
    expect(restart({ ...fresh, since: now - tenMinutes - 1 }).presence.current).toEqual({
      status: "idle",
      role: "coder",
      since: now,
    })
    expect(restart(fresh, new FakeClock(), "reviewer").presence.current).toEqual({
      ...fresh,
      role: "reviewer",
    })
    const away = { status: "away", since: 1 } as const
    expect(restart(away).presence.current).toEqual(away)
  })

  it.each(["", "{", "7", '{"presence":{"status":"offline","since":1},"tasks":[{}],"retrieved":-1}'])(
    "is lost if memory.json is damaged: %j",
    (text) => {
      const path = join(temporaryDirectory(), "memory.json")
      writeFileSync(path, text)
      const memory = DaemonMemory.open(path)
      expect([memory.state.presence, memory.state.tasks, memory.state.retrieved]).toEqual([undefined, [], 0])
    },
  )
})
