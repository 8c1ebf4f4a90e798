import { spawnSync } from "node:child_process"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { agentchat, must } from "../kit/command-server.js"
import { until } from "../kit/condition.js"
import { programPath, RelayProcess, Workspace } from "../kit/program.js"
import { hasProgram } from "../kit/requires.js"

/** Python: runs a program at a new terminal, and types the number that it shows, or another one. */
const atTerminal = `
import os, pty, re, sys
pid, fd = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
out, typed = b"", False
while True:
    try:
        chunk = os.read(fd, 4096)
    except OSError:
        break
    if not chunk:
        break
    out += chunk
    shown = re.search(rb"type (\\d+): ", out)
    if shown and not typed:
        typed = True
        os.write(fd, (shown.group(1) if sys.argv[1] == "right" else b"1") + b"\\n")
sys.stdout.buffer.write(out)
sys.exit(os.waitpid(pid, 0)[1] >> 8)
`

describe.runIf(hasProgram("python3"))("a daemon that stopped its own agent", { timeout: 120_000 }, () => {
  const a = new Workspace()
  const b = new Workspace()
  let relay: RelayProcess

  const startA = async () => {
    const strict = join(a.dir, "strict.yaml")
    writeFileSync(strict, "breakerWarn: 1\nbreakerPause: 3\nbreakerStop: 3\n")
    await must(a, "daemon", relay.url, "--background", "--name", "a", "--guards", strict)
  }
  const guardsOfA = () => JSON.stringify(a.status("a")?.["guards"] ?? [])
  /** Runs `agentchat guard --reset` at a terminal and types the right or a wrong number. */
  const resetAt = (number: "right" | "wrong") => {
    const args = ["-c", atTerminal, number, process.execPath, programPath, "guard", "--reset", "--name", "a"]
    const { status, stdout } = spawnSync("python3", args, { cwd: a.dir, env: a.env, encoding: "utf8" })
    return { status, stdout }
  }

  beforeAll(async () => {
    relay = await RelayProcess.start("--rate", "100/s", "--burst", "100")
    await startA()
    await must(b, "daemon", relay.url, "--background", "--name", "b")
    for (const turn of ["one", "two", "three", "four"]) {
      await must(b, "send", "@a", `question ${turn}?`, "--name", "b")
      await until("the question arrived", () => a.contents("a").includes(`question ${turn}?`))
      await must(a, "send", "@b", `answer ${turn}`, "--name", "a")
    }
    await until("the agent is stopped", () => guardsOfA().includes("breaker"))
  }, 120_000)

  afterAll(async () => {
    a.dispose()
    b.dispose()
    await relay.kill()
  })

  it("the breaker reports its stop to the agent once, with a hint and in the error of `send`", async () => {
    const lines = a.inbox("a").filter(({ type }) => type === "GUARD")
    expect(lines.map(({ state, layer }) => [state, layer])).toEqual([
      ["warned", "breaker"],
      ["tripped", "breaker"],
    ])
    expect(lines[1]?.["hint"]).toContain("agentchat guard --reset")
    const refused = await agentchat(a, "send", "@b", "one more", "--name", "a")
    expect([refused.status, refused.stderr]).toEqual([7, expect.stringContaining("guard breaker")])
    expect((await agentchat(a, "guard", "--name", "a")).stdout).toMatch(/^breaker +@\w+ +3 +0 +stopped$/m)
    expect(a.inbox("a").filter(({ type }) => type === "GUARD")).toHaveLength(2)
  })

  it("the breaker is not lifted without a terminal, by a wrong number, by an operator, or by a restart", async () => {
    // A new session (setsid) has no terminal, even if these tests run at one.
    const alone = "import os, sys; os.setsid(); os.execv(sys.argv[1], sys.argv[1:])"
    const args = ["-c", alone, process.execPath, programPath, "guard", "--reset", "--name", "a"]
    const blind = spawnSync("python3", args, { cwd: a.dir, env: a.env, encoding: "utf8" })
    expect([blind.status, blind.stderr]).toEqual([5, expect.stringContaining("a person at a terminal")])
    expect(resetAt("wrong")).toEqual({ status: 1, stdout: expect.stringContaining("nothing was changed") })
    expect((await agentchat(a, "guard", "reset", "--by", "operator", "--name", "a")).status).toBe(5)
    await must(a, "daemon", "--stop", "--name", "a")
    expect(resetAt("right").status).toBe(3)
    await startA()
    expect(guardsOfA()).toContain("breaker")
    expect((await agentchat(a, "send", "@b", "once more", "--name", "a")).status).toBe(7)
  })

  it("the breaker is lifted when a person at the terminal types the number it shows", async () => {
    const { status, stdout } = resetAt("right")
    expect(stdout).toMatch(
      /Daemon a has stopped its agent.* 3 times \(limit 3\)\.\r?\nTo reset its circuit breaker/,
    )
    expect(status).toBe(0)
    await until("the lift is reported", () => a.inbox("a").some(({ state }) => state === "lifted"))
    await must(a, "guard", "release", "--all", "--name", "a")
    await until("the held lines arrived", () => b.contents("b").includes("once more"))
    expect(b.contents("b").slice(-2)).toEqual(["one more", "once more"])
    expect((await agentchat(a, "guard", "--name", "a")).stdout).toMatch(/^breaker +@\w+ +0 +3 *$/m)
  })
})
