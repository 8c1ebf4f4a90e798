import { spawnSync } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdirSync, mkdtempSync, statSync, symlinkSync, writeFileSync } from "node:fs"
import { connect, type Server } from "node:net"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import {
  askControl,
  type ControlRequest,
  controlSocketPath,
  removeDeadSockets,
  serveControl,
} from "../../../src/daemon/process/control-socket.js"
import { ChatError } from "../../../src/protocol/errors.js"

describe("the control socket", () => {
  const uid = process.getuid?.() ?? 0
  let runtimeDir: string
  let server: Server | undefined
  beforeEach(() => {
    runtimeDir = mkdtempSync(join(tmpdir(), "agentchat-run-"))
  })
  afterEach(() => server?.close())

  it("carries a request and its reply", async () => {
    const seen: ControlRequest[] = []
    const path = controlSocketPath({ runtimeDirs: [runtimeDir], uid, root: "/some/root", pid: process.pid })
    server = await serveControl(path, (request) => {
      seen.push(request)
      return Promise.resolve()
    })
    await askControl(path, { op: "stop", name: "a" }, 1_000)
    expect(seen).toEqual([{ op: "stop", name: "a" }])
  })

  it("carries an error with its code and hint", async () => {
    const path = controlSocketPath({ runtimeDirs: [runtimeDir], uid, root: "/some/root", pid: process.pid })
    server = await serveControl(path, () =>
      Promise.reject(new ChatError("NOT_FOUND", "no a", { hint: "look" })),
    )
    await expect(askControl(path, { op: "stop", name: "a" }, 1_000)).rejects.toMatchObject({
      code: "NOT_FOUND",
      message: "no a",
      hint: "look",
    })
  })

  it("survives invalid requests", async () => {
    const path = controlSocketPath({ runtimeDirs: [runtimeDir], uid, root: "/some/root", pid: process.pid })
    server = await serveControl(path, () => Promise.resolve())
    const socket = connect(path)
    socket.end("nonsense\n")
    const [reply] = (await once(socket, "data")) as [Buffer]
    expect(JSON.parse(reply.toString())).toMatchObject({ ok: false })
    await askControl(path, { op: "stop", name: "a" }, 1_000)
  })

  it("refuses requests of other forms, and names what is wrong with them", async () => {
    const path = controlSocketPath({ runtimeDirs: [runtimeDir], uid, root: "/some/root", pid: process.pid })
    const seen: ControlRequest[] = []
    server = await serveControl(path, (request) => {
      seen.push(request)
      return Promise.resolve()
    })
    const start = { name: "a", server: "ws://h", nick: "a", ephemeral: false, compat: false, echo: false }
    const requests: [value: unknown, message: string][] = [
      [{ op: "format-disk", name: "a" }, "op: must be one of start, stop, restart, reset-guard"],
      [{ op: "toString", name: "a" }, "op: must be one of"],
      [{ op: ["stop"], name: "a" }, "op: must be one of"],
      [{ name: "a" }, "op: must be one of"],
      [null, "op: must be one of"],
      [[], "op: must be one of"],
      [{ op: "stop" }, "control request: name: is missing"],
      [{ op: "stop", name: 7 }, "control request: name: must be a string"],
      [{ op: "start" }, "control request: start: is missing"],
      [
        { op: "start", start: { ...start, channels: "all" } },
        "control request: start.channels: must be a list",
      ],
      [{ op: "start", start: { ...start, ephemeral: "no" } }, "control request: start.ephemeral"],
    ]
    for (const [request, message] of requests) {
      await expect(askControl(path, request as ControlRequest, 1_000)).rejects.toMatchObject({
        message: expect.stringContaining(message) as string,
      })
    }
    expect(seen).toEqual([])
    await askControl(path, { op: "start", start }, 1_000)
    expect(seen).toEqual([{ op: "start", start }])
  })

  it("is in the home if its names in the directories for all users are taken", async () => {
    const root = mkdtempSync(join(tmpdir(), "agentchat-home-"))
    writeFileSync(join(runtimeDir, `agentchat-${uid}`), "")
    const said: string[] = []
    const path = controlSocketPath({ runtimeDirs: [runtimeDir], uid, root, pid: 1 }, (line) =>
      said.push(line),
    )
    expect(dirname(path)).toBe(root)
    expect(said).toEqual([
      expect.stringContaining(`agentchat-${uid} is not a directory; another directory is used`),
    ])
    server = await serveControl(path, () => Promise.resolve())
    await askControl(path, { op: "stop", name: "a" }, 1_000)
  })

  it("is UNREACHABLE if nobody replies", async () => {
    const path = controlSocketPath({ runtimeDirs: [runtimeDir], uid, root: "/nobody", pid: 1 })
    await expect(askControl(path, { op: "stop", name: "a" }, 200)).rejects.toMatchObject({
      code: "UNREACHABLE",
    })
  })

  it("is in a private directory, and its path fits into 104 bytes", () => {
    const path = controlSocketPath({
      runtimeDirs: [runtimeDir],
      uid,
      root: `/very/${"long/".repeat(200)}root`,
      pid: 4_194_304,
    })
    expect(statSync(dirname(path)).mode & 0o777).toBe(0o700)
    expect(path.length - runtimeDir.length).toBeLessThan(60)
  })

  it("is in the next directory if one cannot be used, and says so", () => {
    const file = join(runtimeDir, "file")
    writeFileSync(file, "")
    const deep = join(runtimeDir, "d".repeat(80))
    const said: string[] = []
    const places = {
      runtimeDirs: ["", undefined, "relative", file, deep, runtimeDir],
      uid,
      root: "/r",
      pid: 1,
    }
    expect(dirname(dirname(controlSocketPath(places, (line) => said.push(line))))).toBe(runtimeDir)
    expect(said).toEqual([
      expect.stringContaining(`${file}: cannot be used (ENOTDIR)`),
      expect.stringContaining(`${deep}: too long for a socket path`),
    ])
    expect(() => controlSocketPath({ ...places, runtimeDirs: [file] })).toThrow(
      expect.objectContaining({ code: "FILE_FAILED", hint: expect.stringContaining("XDG_RUNTIME_DIR") }),
    )
  })

  it("is removed if nobody listens on it, and kept otherwise", async () => {
    const path = controlSocketPath({ runtimeDirs: [runtimeDir], uid, root: "/r", pid: 1 })
    server = await serveControl(path, () => Promise.resolve())
    const dead = join(dirname(path), "dead-2.sock")
    const script = `require("net").createServer().listen(${JSON.stringify(dead)}, () => process.kill(process.pid, "SIGKILL"))`
    spawnSync(process.execPath, ["-e", script])
    expect(existsSync(dead)).toBe(true)
    await removeDeadSockets(path)
    expect(existsSync(dead)).toBe(false)
    expect(existsSync(path)).toBe(true)
  })

  it("is not created in a directory that is a link or owned by another user", () => {
    mkdirSync(join(runtimeDir, "target"))
    symlinkSync(join(runtimeDir, "target"), join(runtimeDir, "agentchat-77"))
    expect(() => controlSocketPath({ runtimeDirs: [runtimeDir], uid: 77, root: "/r", pid: 1 })).toThrow(
      "owned by another user",
    )
    expect(() => controlSocketPath({ runtimeDirs: [runtimeDir], uid: uid + 1, root: "/r", pid: 1 })).toThrow(
      "owned by another user",
    )
  })
})
