import { createHash } from "node:crypto"
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { pathToFileURL } from "node:url"
import { describe, expect, it, vi } from "vitest"
import type { FileRequest } from "../../../src/harness/install/spec.js"
import { placesOf } from "../../../src/harness/install/spec.js"
import { harnessSpecs } from "../../../src/harness/install/specs.js"
import { temporaryDirectory } from "../../kit/temporary.js"

type Plugin = Record<string, (...args: never[]) => unknown>

/** A command in place of agentchat: it records what it is given, and answers what the test says. */
async function loadPlugin(harness: "amp" | "opencode", claims?: "block") {
  const dir = temporaryDirectory()
  const script = join(dir, "agentchat.mjs")
  writeFileSync(
    script,
    `import { appendFileSync, readFileSync } from "node:fs"
    const [, , ...args] = process.argv
    const input = JSON.parse(readFileSync(0, "utf8"))
    appendFileSync(${JSON.stringify(join(dir, "calls"))}, JSON.stringify({ args, input }) + "\\n")
    process.stdout.write(readFileSync(${JSON.stringify(join(dir, "answer"))}, "utf8"))`,
  )
  const request: FileRequest = {
    ...{ places: placesOf({}, dir, dir), scope: "user", skill: "", claims },
    program: { node: process.execPath, script, version: "1.0.0" },
  }
  const file = harnessSpecs[harness].files(request)[0]
  if (file?.kind !== "text") throw new Error("the plugin comes first")
  const path = join(dir, "plugin.mjs")
  writeFileSync(path, file.text)
  const answer = (value: unknown) =>
    writeFileSync(join(dir, "answer"), typeof value === "string" ? value : JSON.stringify(value))
  answer({})
  const calls = () =>
    existsSync(join(dir, "calls"))
      ? readFileSync(join(dir, "calls"), "utf8")
          .trim()
          .split("\n")
          .map((line) => JSON.parse(line) as unknown)
      : []
  const module = (await import(pathToFileURL(path).href)) as Plugin
  return { dir, module, answer, calls }
}

async function loadOpenCode(claims?: "block") {
  const { module, ...rest } = await loadPlugin("opencode", claims)
  const promptAsync = vi.fn(() => Promise.resolve())
  const make = module["AgentchatPlugin"] as unknown as (input: object) => Promise<Plugin>
  const serverUrl = new URL("http://127.0.0.1:4096/")
  const hooks = await make({ client: { session: { promptAsync } }, directory: rest.dir, serverUrl })
  const call = (name: string, ...args: unknown[]) => (hooks[name] as (...all: unknown[]) => unknown)(...args)
  return { ...rest, hooks, promptAsync, call }
}

async function loadAmp(claims?: "block") {
  const { module, ...rest } = await loadPlugin("amp", claims)
  const handlers = new Map<string, (event: object) => Promise<unknown>>()
  let dispose = () => {}
  const start = module["default"] as unknown as (amp: object) => void
  start({
    on: (name: string, handler: (event: object) => Promise<unknown>) => handlers.set(name, handler),
    onDispose: (end: () => void) => (dispose = end),
    system: { workspaceRoot: rest.dir },
  })
  return {
    ...rest,
    handlers,
    dispose: () => dispose(),
    fire: (name: string, event: object) => handlers.get(name)?.(event),
  }
}

describe("the plugin for OpenCode", () => {
  it("passes its events on, with the session, the directory and the server", async () => {
    const { dir, call, calls } = await loadOpenCode()
    await call("event", { event: { type: "session.created", properties: { info: { id: "ses_1" } } } })
    expect(calls()).toEqual([
      {
        args: ["hook", "session.created", "--harness", "opencode"],
        input: { session_id: "ses_1", cwd: dir, server_url: "http://127.0.0.1:4096/" },
      },
    ])
  })

  it("adds unread messages to a prompt and to the output of a tool", async () => {
    const { call, answer, calls } = await loadOpenCode()
    answer({ context: "1 unread" })
    const parts: unknown[] = [{ id: "prt_1", type: "text", text: "hi" }]
    await call("chat.message", { sessionID: "ses_1", messageID: "msg_1" }, { parts })
    expect(parts).toEqual([
      { id: "prt_1", type: "text", text: "hi" },
      { id: "prt_10", type: "text", text: "1 unread", synthetic: true },
    ])
    const output = { output: "done" }
    await call("tool.execute.after", { tool: "bash", sessionID: "ses_1", callID: "c1" }, output)
    expect(output.output).toBe("done\n\n1 unread")
    expect(calls()[0]).toMatchObject({ input: { prompt: "hi", prompt_id: "msg_1" } })
  })

  it("goes on with a prompt at the end of a turn", async () => {
    const { call, answer, promptAsync } = await loadOpenCode()
    answer({ continue: "2 unread" })
    await call("event", { event: { type: "session.idle", properties: { sessionID: "ses_1" } } })
    expect(promptAsync).toHaveBeenCalledWith({
      path: { id: "ses_1" },
      body: { parts: [{ type: "text", text: "2 unread" }] },
    })
  })

  it("leaves subagents alone, and survives answers that are none", async () => {
    const { call, answer, calls } = await loadOpenCode()
    const info = { id: "ses_2", parentID: "ses_1" }
    await call("event", { event: { type: "session.created", properties: { info } } })
    await call("event", { event: { type: "session.idle", properties: { sessionID: "ses_2" } } })
    await call("event", { event: { type: "unknown" } })
    expect(calls()).toEqual([])
    answer("no JSON")
    const parts = [{ id: "prt_1", type: "text", text: "hi" }]
    await call("chat.message", { sessionID: "ses_1" }, { parts })
    expect(parts).toHaveLength(1)
  })

  it("has a hook before tools for claims only, which denies by an error", async () => {
    expect((await loadOpenCode()).hooks).not.toHaveProperty(["tool.execute.before"])
    const { call, answer, calls } = await loadOpenCode("block")
    answer({ deny: "claimed by @bob" })
    const denied = call(
      "tool.execute.before",
      { tool: "edit", sessionID: "s", callID: "c" },
      { args: { filePath: "a" } },
    )
    await expect(denied).rejects.toThrow("claimed by @bob")
    expect(calls()[0]).toMatchObject({
      args: ["hook", "tool.execute.before", "--harness", "opencode", "--claims", "block"],
      input: { tool_name: "edit", tool_input: { filePath: "a" } },
    })
  })
})

describe("the plugin for Amp", () => {
  it("adds unread messages to a prompt, and continues a turn by a message of the thread", async () => {
    const { fire, answer, calls } = await loadAmp()
    const append = vi.fn(() => Promise.resolve())
    const thread = { id: "T-1", append }
    answer({ context: "1 unread" })
    expect(await fire("agent.start", { thread, message: "hi" })).toEqual({
      message: { content: "1 unread", display: false },
    })
    answer({ continue: "2 unread" })
    await fire("agent.end", { thread, status: "done" })
    expect(append).toHaveBeenCalledWith([{ type: "user-message", content: "2 unread" }])
    expect(calls()).toMatchObject([
      { args: ["hook", "agent.start", "--harness", "amp"], input: { thread_id: "T-1", prompt: "hi" } },
      { args: ["hook", "agent.end", "--harness", "amp"], input: { thread_id: "T-1", status: "done" } },
    ])
  })

  it("takes a ring next to the record of its session, and appends it to the thread", async () => {
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] })
    try {
      const { dir, fire, dispose } = await loadAmp()
      const append = vi.fn(() => Promise.resolve())
      await fire("session.start", { thread: { id: "T-1", append } })
      const name = createHash("sha256").update("T-1").digest("hex").slice(0, 16)
      const sessions = join(dir, ".agentchat/sessions")
      mkdirSync(sessions, { recursive: true })
      writeFileSync(join(sessions, `${name}.json`), "{}")
      writeFileSync(join(sessions, `${name}.ring`), "agentchat-ring 00: 1 unread message")
      vi.advanceTimersByTime(1_000)
      expect(append).toHaveBeenCalledWith([
        { type: "user-message", content: "agentchat-ring 00: 1 unread message" },
      ])
      expect(existsSync(join(sessions, `${name}.ring`))).toBe(false)
      dispose()
      expect(vi.getTimerCount()).toBe(0)
    } finally {
      vi.useRealTimers()
    }
  })

  it("rejects a tool call only with claims, and allows every other one", async () => {
    expect((await loadAmp()).handlers.has("tool.call")).toBe(false)
    const { fire, answer } = await loadAmp("block")
    expect(await fire("tool.call", { tool: "edit_file", input: {} })).toEqual({ action: "allow" })
    answer({ deny: "claimed" })
    expect(await fire("tool.call", { tool: "edit_file", input: {} })).toEqual({
      ...{ action: "reject-and-continue", message: "claimed" },
    })
  })
})
