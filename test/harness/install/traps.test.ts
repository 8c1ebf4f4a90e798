import { execFileSync } from "node:child_process"
import { describe, expect, it } from "vitest"
import type { ConfigFile } from "../../../src/harness/config/config-edit.js"
import { HARNESSES, type Harness } from "../../../src/harness/harness.js"
import { type FileRequest, placesOf } from "../../../src/harness/install/spec.js"
import { harnessSpecs } from "../../../src/harness/install/specs.js"
import { HarnessHome } from "../../kit/harness-home.js"

const request: FileRequest = {
  ...{ places: placesOf({}, "/home/u", "/work"), scope: "user", skill: "", claims: undefined },
  program: { node: "/usr/bin/node", script: "/opt/agentchat/agentchat.js", version: "1.0.0" },
}
const withClaims: FileRequest = { ...request, claims: "block" }

interface Handler {
  readonly event: string
  readonly command: string
  readonly timeout: number
  readonly isRewake: boolean
  readonly matcher: unknown
}

/** The hooks that a harness waits for, whatever the layout of its file. */
function handlers(name: Harness, of = request): Handler[] {
  return allHandlers(name, of).filter(({ isRewake }) => !isRewake)
}

function allHandlers(name: Harness, of = request): Handler[] {
  const configs = harnessSpecs[name].files(of).filter((file): file is ConfigFile => file.kind === "config")
  return configs
    .flatMap(({ additions }) => additions)
    .filter(({ kind }) => kind === "item")
    .flatMap(({ path, value }) => {
      const group = value as Record<string, unknown>
      const inner = (group["hooks"] ?? [group]) as Record<string, string>[]
      return inner.map((one) => ({
        event: one["event"] ?? path.at(-1) ?? "",
        command: one["command"] ?? one["bash"] ?? "",
        timeout: Number(one["timeout"] ?? one["timeoutSec"]),
        isRewake: String(one["asyncRewake"]) === "true",
        matcher: group["matcher"],
      }))
    })
}

const withHooks = HARNESSES.filter((name) => !["opencode", "amp"].includes(name))

describe("hooks that install registers", () => {
  it.each(withHooks)("run one constant, absolute command line in %s", (name) => {
    for (const { event, command } of handlers(name)) {
      expect(command).toBe(`/usr/bin/node /opt/agentchat/agentchat.js hook ${event} --harness ${name}`)
    }
    expect(handlers(name).length).toBe(harnessSpecs[name].events.length)
  })

  it.each(withHooks)("come before no tool call in %s unless claims are on", (name) => {
    const { claimEvent } = harnessSpecs[name]
    expect(handlers(name).map(({ event }) => event)).not.toContain(claimEvent)
    const [claim] = handlers(name, withClaims).filter(({ event }) => event === claimEvent)
    expect(claim?.command).toContain(`hook ${claimEvent} --harness ${name} --claims block`)
  })

  it("have timeouts of milliseconds in Gemini CLI and of seconds everywhere else", () => {
    for (const name of withHooks) {
      for (const { timeout } of handlers(name)) {
        if (name === "gemini") expect(timeout).toBe(10_000)
        else expect(timeout >= 1 && timeout <= 30).toBe(true)
      }
    }
  })

  it("of Claude Code end with its session in time, in a plugin, and never in settings.json", () => {
    expect(handlers("claude").find(({ event }) => event === "SessionEnd")?.timeout).toBeLessThan(1.5)
    const paths = harnessSpecs.claude.files(withClaims).map(({ path }) => path)
    expect(paths.filter((path) => !path.startsWith("/home/u/.claude/skills/agentchat/"))).toEqual([])
  })

  it("wait in the background of Claude Code only, where there is no inbox socket, and end with 2 on standard error", () => {
    const background = HARNESSES.flatMap((name) => allHandlers(name)).filter(({ isRewake }) => isRewake)
    expect(background.map(({ event, timeout }) => [event, timeout])).toEqual([
      ["SessionStart", 21_600],
      ["Stop", 21_600],
    ])
    const line = (event: string) => `/usr/bin/node /opt/agentchat/agentchat.js hook ${event} --harness claude`
    for (const { event, command } of background) {
      expect(command).toBe(`[ -n "$CLAUDE_CODE_MESSAGING_SOCKET" ] || exec ${line(event)} --rewake >&2`)
    }
    const [hooks] = harnessSpecs.claude.files(request).filter(({ path }) => path.endsWith("hooks.json"))
    // A version that knows no `asyncRewake` must not wait for it at the end of a turn.
    expect(JSON.stringify(hooks).match(/"async":true,"asyncRewake":true/g)).toHaveLength(2)
  })

  it("of Cursor are events that its terminal version knows, without a URL or quotes", () => {
    const known = [
      ...["beforeSubmitPrompt", "preToolUse", "postToolUse", "postToolUseFailure", "stop", "afterFileEdit"],
      ...["beforeShellExecution", "afterAgentResponse", "afterAgentThought", "beforeReadFile"],
    ]
    for (const { event, command } of handlers("cursor", withClaims)) {
      expect(known).toContain(event)
      expect(command).not.toMatch(/:\/\/|['"\\]/)
    }
  })

  it("of Cursor are refused for a path with a space, and no file is touched", async () => {
    const home = new HarnessHome()
    home.script = "/opt/my tools/agentchat.js"
    const { status, err } = await home.run("install", "--harness", "cursor")
    expect(status).toBe(1)
    expect(err).toContain("cursor: cannot hold a path with a space")
    expect(home.tree()).toEqual({})
  })

  it("quote a path with a space where a shell reads it", async () => {
    const home = new HarnessHome()
    home.script = "/opt/my tools/agentchat.js"
    await home.must("install", "--harness", "codex")
    expect(home.read(".codex/hooks.json")).toContain("/usr/bin/node '/opt/my tools/agentchat.js' hook Stop")
    await home.must("uninstall")
    expect(home.tree()).toEqual({})
  })

  it("of Antigravity are a flat list under a name of their own, and grouped for tools", () => {
    const [hooks] = harnessSpecs.antigravity.files(withClaims)
    const additions = hooks?.kind === "config" ? hooks.additions : []
    expect(additions.map(({ path }) => path[0])).toEqual(["agentchat", "agentchat", "agentchat", "agentchat"])
    expect(additions[0]?.value).toMatchObject({ type: "command", timeout: 10 })
    expect(additions[3]?.value).toMatchObject({ matcher: "*", hooks: [{ type: "command" }] })
  })

  it("of Kimi have no key that it does not know", () => {
    const [file] = harnessSpecs.kimi.files(withClaims)
    for (const { value } of file?.kind === "config" ? file.additions : []) {
      expect(Object.keys(value as object)).toEqual(["event", "command", "timeout"])
    }
  })

  it("of Goose have no matcher, which would be a regular expression", () => {
    expect(handlers("goose", withClaims).map(({ matcher }) => matcher)).toEqual(Array(5).fill(undefined))
  })

  it("of Copilot CLI are in its home directory only", () => {
    const home = { ...request, places: placesOf({ COPILOT_HOME: "/home/u/c" }, "/home/u", "/work") }
    expect(harnessSpecs.copilot.files(home)[0]?.path).toBe("/home/u/c/hooks/agentchat.json")
    expect(harnessSpecs.copilot.noProject).toBeDefined()
  })

  it.each(["copilot", "antigravity"] as const)("let tools run in %s when agentchat is gone", (name) => {
    const gone = { ...withClaims, program: { ...request.program, node: "/nowhere/node" } }
    const { claimEvent } = harnessSpecs[name]
    const [claim] = handlers(name, gone).filter(({ event }) => event === claimEvent)
    // Fails if the exit status is not 0.
    const out = execFileSync("sh", ["-c", `{ ${claim?.command ?? "exit 1"}; } 2>/dev/null`], {
      encoding: "utf8",
    })
    if (name === "antigravity") expect(JSON.parse(out)).toEqual({ decision: "allow" })
    else expect(out).toBe("")
  })

  it("of Codex come after those of others, which are trusted by their index", async () => {
    const home = new HarnessHome()
    const theirs = { hooks: [{ type: "command", command: "say done" }] }
    home.write(".codex/hooks.json", JSON.stringify({ hooks: { Stop: [theirs] } }, null, 2))
    await home.must("install", "--harness", "codex")
    const first = home.read(".codex/hooks.json")
    expect((JSON.parse(first) as { hooks: { Stop: unknown[] } }).hooks.Stop[0]).toEqual(theirs)
    home.env["AGENTCHAT_NAME"] = "alice"
    await home.must("install", "--harness", "codex", "--home", "/elsewhere")
    expect(home.read(".codex/hooks.json")).toBe(first)
  })
})
