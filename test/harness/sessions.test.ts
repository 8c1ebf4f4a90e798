import { mkdirSync, readdirSync, statSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { openHome } from "../../src/daemon/files/home.js"
import { describeProcess } from "../../src/daemon/files/process-record.js"
import {
  listSessions,
  readSession,
  type SessionRecord,
  sessionFile,
  sessionOfAgent,
  writeSession,
} from "../../src/harness/sessions.js"
import type { InstanceName } from "../../src/protocol/names.js"
import { temporaryDirectory } from "../kit/temporary.js"

function newHome() {
  const root = join(temporaryDirectory(), ".agentchat")
  mkdirSync(root, { mode: 0o700 })
  return openHome(root, process.getuid?.() ?? 0)
}

function recordOf(session: string, fields: Partial<SessionRecord> = {}): SessionRecord {
  return {
    ...{ harness: "claude", session, agent: `agent-${session.length}` as InstanceName, cwd: "/work" },
    ...{ started: 1, event: "SessionStart", event_at: 1, state: "idle", door: {}, announced: 0 },
    ...{ owns_daemon: false, continued: false, greeted: false, background: 0 },
    ...fields,
  }
}

describe("session records", () => {
  it("are read as they were written, from a file that only its user can read", () => {
    const home = newHome()
    const record = recordOf("s-1", {
      process: describeProcess(process.pid),
      door: { socket: "/run/x.sock", token: "secret", thread: "t", server: "http://127.0.0.1:4096" },
      reported: "working",
    })
    writeSession(home, record)
    expect(readSession(home, "s-1")).toEqual(record)
    expect(statSync(sessionFile(home, "s-1")).mode & 0o777).toBe(0o600)
    expect(statSync(home.sessions).mode & 0o777).toBe(0o700)
  })

  it("stay in their directory, whatever the id of the session is", () => {
    const home = newHome()
    for (const session of ["../../x", "/etc/passwd", "a\0b", "é".repeat(5_000)]) {
      writeSession(home, recordOf(session))
      expect(readSession(home, session)?.session).toBe(session)
    }
    expect(readdirSync(home.sessions).every((name) => /^[0-9a-f]{16}\.json$/.test(name))).toBe(true)
  })

  it("that are damaged count as missing, and a door that leads elsewhere is left out", () => {
    const home = newHome()
    writeSession(home, recordOf("s"))
    writeFileSync(sessionFile(home, "s"), '{"v":1,"harness":"claude","session":"s","agent":"../x"}')
    expect(readSession(home, "s")).toBeUndefined()
    writeSession(home, recordOf("s", { door: { socket: "relative.sock", server: "file:///etc" } }))
    expect(readSession(home, "s")?.door).toEqual({})
  })

  it("are bounded: ended ones are removed first, then those used least recently", () => {
    const home = newHome()
    writeSession(home, recordOf("ended", { state: "ended", event_at: 10_000 }))
    for (let at = 1; at <= 200; at++) writeSession(home, recordOf(`s${at}`, { event_at: at }))
    expect(readSession(home, "ended")).toBeUndefined()
    expect(readSession(home, "s1")).toBeDefined()
    writeSession(home, recordOf("new", { event_at: 500 }))
    expect(readSession(home, "s1")).toBeUndefined()
    expect(listSessions(home)).toHaveLength(200)
  })

  it("name the newest session of an agent whose process lives", () => {
    const home = newHome()
    const agent = "alice" as InstanceName
    const gone = { ...describeProcess(process.pid), start_time: "1" }
    writeSession(home, recordOf("old", { agent, event_at: 1 }))
    writeSession(home, recordOf("crashed", { agent, event_at: 2, process: gone }))
    writeSession(home, recordOf("over", { agent, event_at: 3, state: "ended" }))
    expect(sessionOfAgent(home, agent)?.session).toBe("old")
  })
})
