import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { placesOf } from "../../src/harness/install/spec.js"
import { harnessSpecs } from "../../src/harness/install/specs.js"
import { agentchat } from "../kit/command-server.js"
import { until } from "../kit/condition.js"
import { programPath, type Workspace } from "../kit/program.js"
import { patienceMs, Scene } from "../kit/scene.js"

type Defer = (cleanup: () => Promise<void> | void) => void

const token = "a-secret-of-the-session"

/** A session of a harness that behaves as documented: it runs the real hook, and shows a model what that answers. */
class HookedSession {
  /** The texts that its model has seen. */
  readonly context: string[] = []
  readonly #workspace: Workspace
  readonly #harness: string
  readonly #env: Readonly<Record<string, string>>
  #turns = 0

  constructor(workspace: Workspace, harness: string, env: Readonly<Record<string, string>> = {}) {
    this.#workspace = workspace
    this.#harness = harness
    this.#env = env
  }

  async hook(event: string, payload: object): Promise<void> {
    const child = spawn(process.execPath, [programPath, "hook", event, "--harness", this.#harness], {
      cwd: this.#workspace.dir,
      env: { ...this.#workspace.env, ...this.#env },
      stdio: ["pipe", "pipe", "inherit"],
    })
    let stdout = ""
    child.stdout.setEncoding("utf8").on("data", (text: string) => (stdout += text))
    child.stdin.end(
      JSON.stringify({ session_id: "s1", cwd: this.#workspace.dir, hook_event_name: event, ...payload }),
    )
    await once(child, "close")
    this.context.push(stdout)
  }

  /**
   * Runs the hook that waits in the background once the session is idle. Its end with status 2 starts a turn, which runs
   * no hook of a prompt.
   */
  async rewake(event: string): Promise<void> {
    const child = this.background(event)
    let stderr = ""
    child.stderr.setEncoding("utf8").on("data", (text: string) => (stderr += text))
    await once(child, "close")
    if (child.exitCode !== 2) return
    this.context.push(stderr)
    await this.hook("PostToolBatch", { prompt_id: `r${++this.#turns}`, tool_calls: [] })
    await this.hook("Stop", { stop_hook_active: false, prompt_id: `r${this.#turns}` })
  }

  /** Starts the command line that `agentchat install` registers for the background. */
  background(event: string) {
    const [program] = harnessSpecs.claude
      .files({
        ...{ places: placesOf({}, this.#workspace.dir, this.#workspace.dir), scope: "user", skill: "" },
        ...{ program: { node: process.execPath, script: programPath, version: "1" }, claims: undefined },
      })
      .flatMap((file) => (file.kind === "config" ? file.additions : []))
      .filter(({ path }) => path[1] === event)
      .flatMap(({ value }) => (value as { hooks: { command: string; asyncRewake?: boolean }[] }).hooks)
      .filter(({ asyncRewake }) => asyncRewake === true)
    const child = spawn("sh", ["-c", program?.command ?? ""], {
      cwd: this.#workspace.dir,
      env: { ...this.#workspace.env, ...this.#env },
      stdio: ["pipe", "inherit", "pipe"],
    })
    child.stdin.end(JSON.stringify({ session_id: "s1", cwd: this.#workspace.dir, hook_event_name: event }))
    return child
  }

  prompt(event: string, prompt: string): Promise<void> {
    return this.hook(event, { prompt, prompt_id: `p${++this.#turns}` })
  }
}

/** Listens as the inbox of a Claude Code session does: no answer, and nothing happens without the token. */
async function inboxSocket(path: string, defer: Defer, onPrompt: (text: string) => void): Promise<void> {
  const server = createServer((socket) => {
    let text = ""
    socket.setEncoding("utf8").on("data", (chunk: string) => (text += chunk))
    socket.on("end", () => {
      const lines = text
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as Record<string, unknown>)
      const [auth, ...messages] = lines
      if (auth?.["type"] !== "auth" || auth["token"] !== token) return
      for (const { type, message } of messages) {
        const { content } = (message ?? {}) as { content?: unknown }
        if (type === "user" && typeof content === "string") onPrompt(content)
      }
    })
  })
  server.listen(path)
  await once(server, "listening")
  defer(() => void server.close())
}

interface Sent {
  readonly state: string
  readonly rungs: readonly { readonly state: string; readonly method?: string }[]
}

async function sendTo(from: Workspace, name: string, text: string): Promise<Sent> {
  const options = ["--wait", "in_context", "--timeout", "60", "--name", "alice", "--json"]
  return JSON.parse((await agentchat(from, "send", `@${name}`, text, ...options)).stdout) as Sent
}

/** The daemon of a session, named by its hook. */
async function sessionName({ context }: HookedSession): Promise<string> {
  return until(
    "the name of the agent",
    () => /this session is agent ([\w.-]+);/.exec(context.join("\n"))?.[1],
  )
}

describe.concurrent("a message to an idle session", { timeout: 120_000 }, () => {
  it("reaches the context of a Claude Code session at once, and the sender sees that it was rung", async ({
    onTestFinished,
  }) => {
    const scene = new Scene(onTestFinished)
    const url = await scene.sharedRelay()
    const alice = await scene.sharedAgent(url, "alice")
    const bob = await scene.agent(url, "other")
    const socket = join(scene.directory(), "inbox.sock")
    const session = new HookedSession(bob, "claude", {
      CLAUDE_CODE_MESSAGING_SOCKET: socket,
      CLAUDE_CODE_MESSAGING_TOKEN: token,
    })
    await inboxSocket(socket, onTestFinished, (text) => void session.prompt("UserPromptSubmit", text))
    await session.hook("SessionStart", { source: "startup" })
    const name = await sessionName(session)
    await until("the daemon", () => bob.status(name)?.["connected"] === true, patienceMs)
    await session.hook("Stop", { stop_hook_active: false })
    const sent = await sendTo(alice, name, "the build is red")
    expect(session.context.at(-1)).toContain("the build is red")
    expect(sent.rungs).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ state: "rung", method: "claude-socket" }),
        expect.objectContaining({ state: "in_context", method: "hook" }),
      ]),
    )
    const { stdout } = await agentchat(alice, "agents", "--name", "alice", "--json")
    const { roster } = JSON.parse(stdout) as { roster: { name: string; wakeable?: { method: string } }[] }
    expect(roster.find((entry) => entry.name === name)?.wakeable?.method).toBe("claude-socket")
    expect(JSON.stringify(bob.status(name))).not.toContain(token)
  })

  it("reaches the context of a Claude Code session without an inbox socket by its background hook", async ({
    onTestFinished,
  }) => {
    const scene = new Scene(onTestFinished)
    const url = await scene.sharedRelay()
    const alice = await scene.sharedAgent(url, "alice")
    const bob = await scene.agent(url, "other")
    const session = new HookedSession(bob, "claude")
    await session.hook("SessionStart", { source: "startup" })
    const name = await sessionName(session)
    await until("the daemon", () => bob.status(name)?.["connected"] === true, patienceMs)
    const woken = session.rewake("Stop")
    await session.hook("Stop", { stop_hook_active: false })
    const doors = () => (bob.status(name)?.["wake"] as { doors?: unknown } | undefined)?.doors
    await until("the door", () => JSON.stringify(doors()) === '["async-rewake"]', patienceMs)
    const sent = await sendTo(alice, name, "the build is red")
    await woken
    expect(session.context.filter((text) => text.includes("the build is red"))).toEqual([
      expect.stringMatching(/^agentchat-ring [0-9a-f]{32}: 1 unread message/),
    ])
    expect(sent.rungs).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ state: "rung", method: "async-rewake" }),
        expect.objectContaining({ state: "in_context", method: "hook" }),
      ]),
    )
    const wake = bob.status(name)?.["wake"] as { proven: { method: string } | null }
    expect(wake.proven?.method).toBe("async-rewake")
  })

  it("reaches the context of a Copilot session at the end of its background wait, and not while none runs", async ({
    onTestFinished,
  }) => {
    const scene = new Scene(onTestFinished)
    const url = await scene.sharedRelay()
    const alice = await scene.sharedAgent(url, "alice")
    const bob = await scene.agent(url, "other")
    const session = new HookedSession(bob, "copilot")
    await session.hook("sessionStart", { source: "new" })
    const name = await sessionName(session)
    await until("the daemon", () => bob.status(name)?.["connected"] === true, patienceMs)
    await session.hook("agentStop", { stop_hook_active: false })
    const early = await agentchat(
      alice,
      "send",
      `@${name}`,
      "early",
      "--wait",
      "mirrored",
      "--json",
      "--name",
      "alice",
    )
    expect(early.stdout).not.toContain('"rung"')
    await session.hook("notification", { notification_type: "agent_idle" })
    expect(session.context.join("\n")).not.toContain("early")
    await session.hook("userPromptSubmitted", { prompt: "go on" })
    await session.hook("postToolUse", { toolName: "bash", tool_use_id: "t1" })
    expect(session.context.at(-1)).toContain("early")
    await session.hook("agentStop", { stop_hook_active: false, prompt_id: "p9" })
    const waiting = spawn(process.execPath, [programPath, "wait", "--name", name], {
      ...{ cwd: bob.dir, env: bob.env, stdio: "ignore" },
    })
    const over = once(waiting, "close").then(() =>
      session.hook("notification", { notification_type: "shell_completed" }),
    )
    const waits = () => (bob.status(name)?.["wake"] as { waits?: boolean } | undefined)?.waits === true
    await until("the wait", waits, patienceMs)
    const sent = await sendTo(alice, name, "the build is red")
    await over
    expect(session.context.at(-1)).toContain("the build is red")
    expect(sent.rungs).toContainEqual(expect.objectContaining({ state: "in_context", method: "hook" }))
    // The ring is withdrawn if the wait has read the message before the daemon rings.
    const stages = sent.rungs.filter(({ state, method }) => state === "retrieved" || method === "wait")
    expect(stages.length).toBeGreaterThan(0)
  })

  it("reaches the context of a session that nothing can wake at its next turn, and the sender sees no ring", async ({
    onTestFinished,
  }) => {
    const scene = new Scene(onTestFinished)
    const url = await scene.sharedRelay()
    const alice = await scene.sharedAgent(url, "alice")
    const bob = await scene.agent(url, "other")
    const session = new HookedSession(bob, "gemini")
    await session.hook("SessionStart", { source: "startup" })
    const name = await sessionName(session)
    await until("the daemon", () => bob.status(name)?.["connected"] === true, patienceMs)
    await session.hook("AfterAgent", { prompt_response: "done", stop_hook_active: false })
    const sending = sendTo(alice, name, "the build is red")
    await until("the line", () => bob.inbox(name).some((line) => line["content"] === "the build is red"))
    expect(session.context.join("\n")).not.toContain("the build is red")
    await session.prompt("BeforeAgent", "go on")
    expect(session.context.at(-1)).toContain("the build is red")
    const { rungs } = await sending
    expect(rungs.map(({ state }) => state)).toEqual(["accepted", "mirrored", "retrieved", "in_context"])
  })
})
