import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
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
