import { existsSync, mkdirSync, writeFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { readIfExists } from "../../../src/base/files.js"
import type { System } from "../../../src/cli/context.js"
import { describeProcess } from "../../../src/daemon/files/process-record.js"
import { ReaderCursor } from "../../../src/daemon/inbox/reader-cursor.js"
import { newNonce, takeEchoes } from "../../../src/daemon/wake/echo.js"
import { readSession, sessionFile, writeSession } from "../../../src/harness/sessions.js"
import { claudeRewakeDoor } from "../../../src/harness/wake/claude-rewake.js"
import { ringFile } from "../../../src/harness/wake/ring-file.js"
import { until } from "../../kit/condition.js"
import { contextIn, HookRoom } from "./hook-room.js"

const env = { AGENTCHAT_NAME: "ann" }
const session = "s1"
const payload = { session_id: session, cwd: "/CWD" }

interface RewakeOptions {
  readonly env?: Readonly<Record<string, string>>
  readonly system?: Partial<System>
  readonly more?: object
}

/** The clock and the processes of a session are those of the test. */
class RewakeRoom extends HookRoom {
  #events = 0

  static async open(): Promise<RewakeRoom> {
    const room = new RewakeRoom()
    await room.daemon("ann")
    mkdirSync(room.paths("ann").echoes, { mode: 0o700 })
    await room.event("SessionStart", { source: "startup" })
    await room.event("Stop")
    return room
  }

  async event(name: string, more: object = {}): Promise<string> {
    this.clock.advance(10_000)
    const turn = { prompt_id: `p${++this.#events}`, ...more }
    const { out } = await this.hook("claude", name, { ...payload, ...turn }, { env })
    return out
  }

  /** Starts the hook in the background. @returns its end, once it waits */
  async rewake({ env: own = {}, system = {}, more = {} }: RewakeOptions = {}) {
    const before = this.#turn
    const options = { env: { ...env, ...own }, system: { pid: process.pid, ...system }, rewake: true }
    const end = this.hook("claude", "Stop", { ...payload, ...more }, options)
    await until("the hook waits", () => this.#turn !== before)
    return { end }
  }

  get #turn(): string | undefined {
    return readIfExists(sessionFile(this.root, session).replace(/json$/, "rewake"))
  }

  get door() {
    const record = readSession(this.root, session)
    return record === undefined ? undefined : claudeRewakeDoor(this.root, record, this.clock)
  }

  ring(text = `agentchat-ring ${newNonce()}: 1 unread message`): string {
    writeFileSync(ringFile(this.root, session), text)
    return text.split(/[ :]/)[1] ?? ""
  }

  /** Lines that count as read. */
  get isRead(): boolean {
    return ReaderCursor.open(this.paths("ann"), "me").has(1)
  }

  get echoed(): string[] {
    return takeEchoes(this.paths("ann")).map(({ nonce }) => nonce)
  }
}

describe("the background hook of an idle Claude Code session", () => {
  it("prints the ring and what is unread, exits with 2, and the next hook of the turn proves it", async () => {
    const room = await RewakeRoom.open()
    const { end } = await room.rewake()
    expect(room.door).toMatchObject({ method: "async-rewake", isClosed: false })
    room.receive("ann", { content: "the build is red" })
    const nonce = room.ring()
    const { status, out } = await end
    expect(status).toBe(2)
    expect(out).toMatch(new RegExp(`^agentchat-ring ${nonce}: 1 unread message\n[^]*agentchat-begin`))
    expect(out).toContain("the build is red")
    expect([room.isRead, room.echoed, existsSync(ringFile(room.root, session))]).toEqual([false, [], false])
    expect(await room.event("PostToolBatch")).toBe("{}\n")
    expect([room.isRead, room.echoed]).toEqual([true, [nonce]])
    expect(await room.event("Stop")).toBe("{}\n")
  })

  it("proves nothing if the next event is a prompt of the user's, which shows the lines again", async () => {
    const room = await RewakeRoom.open()
    const { end } = await room.rewake()
    room.receive("ann", { content: "the build is red" })
    room.ring()
    expect((await end).status).toBe(2)
    await room.event("Notification", { notification_type: "idle_prompt" })
    expect(contextIn(await room.event("UserPromptSubmit", { prompt: "hello" }))).toContain("the build is red")
    expect([room.isRead, room.echoed]).toEqual([true, []])
    await room.event("Stop")
    expect(room.echoed).toEqual([])
  })

  it("is proven by a prompt that has its number", async () => {
    const room = await RewakeRoom.open()
    const { end } = await room.rewake()
    room.receive("ann", { content: "the build is red" })
    const nonce = room.ring()
    const { out } = await end
    expect(await room.event("UserPromptSubmit", { prompt: `<system-reminder>${out}` })).toBe("{}\n")
    expect([room.isRead, room.echoed]).toEqual([true, [nonce]])
  })

  it("prints the ring alone if nothing is unread", async () => {
    const room = await RewakeRoom.open()
    const { end } = await room.rewake()
    const nonce = room.ring()
    expect(await end).toMatchObject({ status: 2, out: `agentchat-ring ${nonce}: 1 unread message\n` })
  })

  it("ends without a word when a newer one begins, which takes the ring", async () => {
    const room = await RewakeRoom.open()
    const first = await room.rewake()
    const second = await room.rewake()
    room.clock.advance(1_000)
    expect(await first.end).toEqual({ status: 0, out: "", err: "" })
    room.ring()
    expect((await second.end).status).toBe(2)
  })

  it("ends without a word when the session works, and the door stays for the turn", async () => {
    const room = await RewakeRoom.open()
    const { end } = await room.rewake({ system: { parentPid: () => 1 } })
    await room.event("UserPromptSubmit", { prompt: "go on" })
    expect(await end).toEqual({ status: 0, out: "", err: "" })
    expect(room.door?.method).toBe("async-rewake")
  })

  it.each<[string, (room: RewakeRoom, gone: () => void) => unknown]>([
    ["the session", (room) => room.event("SessionEnd", { reason: "logout" })],
    ["the process of the session", (room) => writeSession(room.root, lostSession(room))],
    ["its parent", (_room, gone) => gone()],
    ["its time, before the harness ends it", (room) => room.clock.advance(21_540_000)],
  ])("ends with %s, and its door with it", async (_name, act) => {
    const room = await RewakeRoom.open()
    let parent = 1
    const { end } = await room.rewake({ system: { parentPid: () => parent } })
    await act(room, () => (parent = 2))
    room.clock.advance(1_000)
    expect(await end).toEqual({ status: 0, out: "", err: "" })
    expect(room.door).toBeUndefined()
  })

  it("ends at a signal, and its door with it", async () => {
    const room = await RewakeRoom.open()
    const stop = new AbortController()
    const { end } = await room.rewake({ system: { interruption: () => stop.signal } })
    stop.abort("SIGTERM")
    expect((await end).status).toBe(0)
    expect(room.door).toBeUndefined()
  })

  it.each([
    ["where there is an inbox socket", { env: { CLAUDE_CODE_MESSAGING_SOCKET: "/x.sock" } }],
    ["for a subagent", { more: { agent_id: "a1" } }],
    ["where Cursor reads the configuration", { env: { CURSOR_VERSION: "3" } }],
    ["in a directory without a home", { more: { cwd: "/" } }],
  ])("does not wait %s", async (_name, { env: own = {}, more = {} }: RewakeOptions) => {
    const room = await RewakeRoom.open()
    const options = { env: { ...env, ...own }, rewake: true }
    expect(await room.hook("claude", "Stop", { ...payload, ...more }, options)).toMatchObject({
      ...{ status: 0, out: "" },
    })
    expect(room.door).toBeUndefined()
  })

  it("that was killed is a closed door for a minute, in which the next one may begin", async () => {
    const room = await RewakeRoom.open()
    const { end } = await room.rewake({ system: { pid: 2 ** 30 } })
    expect(room.door).toMatchObject({ isClosed: true })
    room.clock.advance(60_001)
    expect(room.door).toBeUndefined()
    await room.event("SessionEnd")
    await end
  })
})

function lostSession(room: RewakeRoom) {
  const record = room.session(session)
  if (record === undefined) throw new Error("no record")
  return { ...record, process: { ...describeProcess(process.pid), start_time: "1" } }
}
