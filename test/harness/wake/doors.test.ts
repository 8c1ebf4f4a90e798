import { spawn } from "node:child_process"
import { once } from "node:events"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs"
import { createServer as createHttpServer } from "node:http"
import type { AddressInfo } from "node:net"
import { createServer, type Server } from "node:net"
import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { systemClock } from "../../../src/base/clock.js"
import { rootPaths } from "../../../src/daemon/files/paths.js"
import { type SessionRecord, writeSession } from "../../../src/harness/sessions.js"
import { claudeSocketDoor } from "../../../src/harness/wake/claude-socket.js"
import { codexQueueDoor } from "../../../src/harness/wake/codex-queue.js"
import { sessionFinder } from "../../../src/harness/wake/find-session.js"
import { opencodePromptDoor } from "../../../src/harness/wake/opencode-prompt.js"
import { ringFile, ringFileDoor } from "../../../src/harness/wake/ring-file.js"
import type { InstanceName } from "../../../src/protocol/names.js"
import { until } from "../../kit/condition.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { temporaryDirectory } from "../../kit/temporary.js"

const uid = process.getuid?.() ?? 0
const thread = "0199a213-81c0-7800-8aa1-bbab2a035a53"

/** An inbox socket that takes whatever it gets. */
async function inbox(): Promise<{ path: string; lines: unknown[]; server: Server }> {
  const path = join(temporaryDirectory(), "inbox.sock")
  const lines: unknown[] = []
  const server = createServer((socket) => {
    let text = ""
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk))
    socket.on("end", () =>
      lines.push(
        ...text
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line) as unknown),
      ),
    )
  })
  server.listen(path)
  await once(server, "listening")
  onTestFinished(() => void server.close())
  return { path, lines, server }
}

describe("the inbox socket of Claude Code", () => {
  it("gets the token first, then the ring as a message of the user's", async () => {
    const { path, lines } = await inbox()
    await claudeSocketDoor({ socket: path, token: "t" }, uid)?.ring("a ring")
    await until("two lines", () => lines.length === 2)
    expect(lines).toEqual([
      { type: "auth", token: "t" },
      { type: "user", message: { role: "user", content: "a ring" } },
    ])
  })

  it("gets no token if it is not of this user", async () => {
    const { path, lines } = await inbox()
    const door = claudeSocketDoor({ socket: path, token: "t" }, uid + 1)
    await expect(door?.ring("a ring")).rejects.toThrow("not a socket of this user")
    expect(lines).toEqual([])
  })

  it("is not followed if it is a symbolic link, and not used if it is a plain file", async () => {
    const { path, lines } = await inbox()
    const [link, file] = [join(temporaryDirectory(), "link"), join(temporaryDirectory(), "file")]
    symlinkSync(path, link)
    writeFileSync(file, "")
    for (const socket of [link, file]) {
      await expect(claudeSocketDoor({ socket, token: "t" }, uid)?.ring("x")).rejects.toThrow("not a socket")
    }
    expect(lines).toEqual([])
    expect(readFileSync(file, "utf8")).toBe("")
  })

  it("that is dead or gone is an error", async () => {
    const path = join(temporaryDirectory(), "dead.sock")
    const door = claudeSocketDoor({ socket: path }, uid)
    await expect(door?.ring("x")).rejects.toThrow("is gone")
    // A listener that was killed leaves its socket behind.
    const script = `require("net").createServer().listen(${JSON.stringify(path)}, () => process.kill(process.pid, 9))`
    await once(spawn(process.execPath, ["-e", script]), "close")
    expect(existsSync(path)).toBe(true)
    await expect(door?.ring("x")).rejects.toThrow("ECONNREFUSED")
  })

  it("is no door without a path", () => {
    expect(claudeSocketDoor({ token: "t" }, uid)).toBeUndefined()
  })
})

/** A stub of `codex queue`, and a thread. */
function codex(script = 'echo "Queued message 1 for thread x."') {
  const [home, bin] = [temporaryDirectory(), temporaryDirectory()]
  const calls = join(home, "calls")
  const program = join(bin, "codex")
  writeFileSync(program, `#!/bin/sh\nprintf '%s\\n' "$@" >> ${calls}\n${script}\n`)
  chmodSync(program, 0o755)
  mkdirSync(join(home, "thread-writer-locks"))
  const lock = join(home, "thread-writer-locks", `${thread}.lock`)
  writeFileSync(lock, "")
  const env = { ...process.env, PATH: `${bin}:${process.env["PATH"] ?? ""}` }
  const place = { home, cwd: home, env }
  /** Holds the lock of the thread, as its writer does. */
  const hold = async () => {
    const child = spawn("flock", ["-n", lock, "sh", "-c", "echo held; exec sleep 60"])
    onTestFinished(() => void child.kill())
    await once(child.stdout, "data")
    return child
  }
  return {
    hold,
    program,
    place,
    calls: () => (existsSync(calls) ? readFileSync(calls, "utf8").split("\n") : []),
  }
}

describe("codex queue", () => {
  it("gets the ring once a living process holds the lock of the thread", async () => {
    const { hold, place, calls } = codex()
    await hold()
    await codexQueueDoor(thread, place)?.ring("a ring")
    expect(calls().slice(0, 5)).toEqual(["queue", "--thread", thread, "--message", "a ring"])
  })

  it("is not run if nobody is on the thread: it would succeed", async () => {
    const { place, calls } = codex()
    const ring = codexQueueDoor(thread, place)?.ring("a ring")
    await expect(ring).rejects.toThrow("no living process is on the thread")
    expect(calls()).toEqual([])
  })

  it.each([
    ["fails", "exit 3", "exit status 3"],
    ["does not say that it queued the message", "echo ok", "did not say that the message is queued"],
  ])("that %s is an error", async (_name, script, message) => {
    const { hold, place } = codex(script)
    await hold()
    await expect(codexQueueDoor(thread, place)?.ring("x")).rejects.toThrow(message)
  })

  it("that may not be run is an error", async () => {
    const { hold, place, program } = codex()
    await hold()
    chmodSync(program, 0o644)
    const env = { ...place.env, PATH: join(program, "..") }
    await expect(codexQueueDoor(thread, { ...place, env })?.ring("x")).rejects.toThrow("EACCES")
  })

  it.each([undefined, "--help", "../../x", "a/b", ""])("is no door for the thread %j", (id) => {
    expect(codexQueueDoor(id, codex().place)).toBeUndefined()
  })
})

/** A server on a free port, and what it was asked. */
async function server(answers: Readonly<Record<string, readonly [status: number, body: string]>>) {
  const asked: string[] = []
  const http = createHttpServer((request, response) => {
    let body = ""
    request.setEncoding("utf8").on("data", (chunk: string) => (body += chunk))
    request.on("end", () => {
      const what = `${request.method ?? ""} ${request.url ?? ""}`
      asked.push(`${what} ${body}`.trim())
      const [status, text] = answers[what] ?? [404, ""]
      response.writeHead(status, { location: "http://127.0.0.1:1/" }).end(text)
    })
  })
  http.listen(0, "127.0.0.1")
  await once(http, "listening")
  onTestFinished(() => void http.close())
  return { url: `http://127.0.0.1:${(http.address() as AddressInfo).port}`, asked }
}

describe("prompt_async of OpenCode", () => {
  const known = { "GET /session/s1": [200, '{"id":"s1"}'] } as const

  it("gets the ring if the server knows the session", async () => {
    const { url, asked } = await server({ ...known, "POST /session/s1/prompt_async": [204, ""] })
    await opencodePromptDoor(url, "s1")?.ring("a ring")
    expect(asked.at(-1)).toBe('POST /session/s1/prompt_async {"parts":[{"type":"text","text":"a ring"}]}')
  })

  it.each([
    ["another program", { "GET /session/s1": [200, "<html>"] }],
    ["a server without the session", {}],
    ["a server of another session", { "GET /session/s1": [200, '{"id":"s2"}'] }],
  ] as const)("is not sent to %s on the port", async (_name, answers) => {
    const { url, asked } = await server(answers)
    await expect(opencodePromptDoor(url, "s1")?.ring("x")).rejects.toThrow("another program answers")
    expect(asked).toEqual(["GET /session/s1"])
  })

  it.each([
    [500, "HTTP status 500"],
    [307, "TypeError"],
  ])("that answers %i is an error", async (status, message) => {
    const { url } = await server({ ...known, "POST /session/s1/prompt_async": [status, ""] })
    await expect(opencodePromptDoor(url, "s1")?.ring("x")).rejects.toThrow(message)
  })

  it("of a server that is gone is an error", async () => {
    await expect(opencodePromptDoor("http://127.0.0.1:1", "s1")?.ring("x")).rejects.toThrow("opencode: ")
  })

  it.each(["http://192.0.2.1:4096", "http://example.org", "file:///etc/passwd", "nonsense", undefined])(
    "is no door for %j",
    (url) => {
      expect(opencodePromptDoor(url, "s1")).toBeUndefined()
    },
  )
})

describe("a ring through a file", () => {
  const options = { method: "amp-append", taker: "amp: the plugin" }
  const place = () => {
    const root = rootPaths(temporaryDirectory())
    mkdirSync(root.sessions)
    const clock = new FakeClock()
    return { root, clock, path: ringFile(root, "s1"), door: ringFileDoor(root, "s1", { clock, ...options }) }
  }

  it("is accepted once the session has taken it, and is only for its user", async () => {
    const { clock, path, door } = place()
    const ringing = door.ring("a ring")
    expect([readFileSync(path, "utf8"), statSync(path).mode & 0o777]).toEqual(["a ring", 0o600])
    rmSync(path)
    clock.advance(100)
    await ringing
  })

  it("fails if nobody takes it within 4 s, and leaves nothing behind that starts a turn later", async () => {
    const { clock, path, door } = place()
    const ringing = expect(door.ring("a ring")).rejects.toThrow("amp: the plugin does not take the ring")
    for (let i = 0; i <= 40; i++) {
      clock.advance(100)
      await new Promise(setImmediate)
    }
    await ringing
    expect(existsSync(path)).toBe(false)
  })

  it("fails where it cannot be written, and names why", async () => {
    const { root, door } = place()
    rmSync(root.sessions, { recursive: true })
    writeFileSync(root.sessions, "")
    await expect(door.ring("a ring")).rejects.toThrow("amp: the plugin: ENOTDIR")
  })
})

describe("the session of an agent", () => {
  const record: SessionRecord = {
    ...{
      harness: "claude",
      session: "s1",
      agent: "bob" as InstanceName,
      cwd: "/",
      started: 1,
      event: "Stop",
    },
    ...{ event_at: 1, state: "idle", door: { socket: "/x.sock" }, announced: 0 },
    ...{ owns_daemon: false, continued: false, background: 0, greeted: false },
  }

  it("is the newest that has not ended, with the doors of its harness, and is busy while it works", async () => {
    const root = rootPaths(temporaryDirectory())
    const find = sessionFinder(root, { clock: systemClock, env: {}, uid })
    expect(await find("bob" as InstanceName)).toBeUndefined()
    writeSession(root, record)
    writeSession(root, { ...record, session: "s2", event_at: 2, harness: "gemini", state: "working" })
    writeSession(root, { ...record, session: "s3", event_at: 3, state: "ended" })
    writeSession(root, { ...record, session: "s4", event_at: 4, agent: "eve" as InstanceName })
    expect(await find("bob" as InstanceName)).toEqual({ state: "s2 2", isBusy: true, doors: [] })
    writeSession(root, { ...record, event_at: 5 })
    expect(await find("bob" as InstanceName)).toMatchObject({
      isBusy: false,
      doors: [{ method: "claude-socket", queues: true }],
    })
  })
})
