import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it, onTestFinished } from "vitest"
import { must } from "../kit/command-server.js"
import { programPath, RelayProcess, Workspace } from "../kit/program.js"
import { hasProgram } from "../kit/requires.js"
import { Terminal } from "./terminal.js"

/** Runs a command in a directory at a terminal, which stays open after it. */
function open({ dir }: Workspace, ...args: readonly string[]): Terminal {
  const words = [process.execPath, programPath, ...args].map((word) => `'${word}'`)
  return new Terminal(
    `trap : INT; cd '${dir}' && ${words.join(" ")}; echo "exit $?"; read _`,
    { NO_COLOR: "1" },
    160,
  )
}

/** Answers the question on a terminal. @returns the screen when the command has ended */
async function answer(terminal: Terminal, text: string): Promise<string> {
  await terminal.shows(/Type yes:$/)
  terminal.type(text)
  terminal.press("Enter")
  return (await terminal.shows(/^exit \d+$/)).join("\n")
}

function workspace(): Workspace {
  const made = new Workspace()
  onTestFinished(() => made.dispose())
  return made
}

describe.runIf(hasProgram("tmux"))("a question at a terminal", { timeout: 60_000 }, () => {
  it.each(["rotate", "revoke"])("comes before identity --%s, and only yes goes on", async (action) => {
    const place = workspace()
    await must(place, "identity", "--generate")
    const path = join(place.dir, ".agentchat", "identity.json")
    const before = readFileSync(path, "utf8")
    const { agent_id } = JSON.parse(before) as { agent_id: string }
    const refused = await answer(open(place, "identity", `--${action}`), "no")
    expect(refused).toContain(`${action} ${agent_id} (`)
    expect(refused).toContain(`--${action}: not confirmed; nothing was changed`)
    expect(refused).toMatch(/^exit 1$/m)
    expect(readFileSync(path, "utf8")).toBe(before)
    expect(await answer(open(place, "identity", action), "yes")).toMatch(/^exit 0$/m)
    expect(readFileSync(path, "utf8")).not.toBe(before)
    expect(await must(place, "identity", "--show")).toContain(action === "rotate" ? "rotated" : "revoked")
  })

  it("is given up with Ctrl-C and Ctrl-D, which change nothing", async () => {
    const place = workspace()
    await must(place, "identity", "--generate")
    const before = await must(place, "identity", "--export")
    for (const [key, end] of [
      ["C-c", /exit 130$/],
      ["C-d", /^exit 1$/],
    ] as const) {
      const terminal = open(place, "identity", "--rotate")
      await terminal.shows(/Type yes:$/)
      terminal.press(key)
      await terminal.shows(end)
    }
    expect(await must(place, "identity", "--export")).toBe(before)
  })

  it("comes before down ends a relay that others use, and names them", async () => {
    const place = workspace()
    // A free port: that of a relay which has ended.
    const probe = await RelayProcess.start()
    const port = new URL(probe.url).port
    await probe.kill()
    await must(place, "up", "--port", port)
    await must(place, "daemon", "--background", "--name", "bob", `ws://127.0.0.1:${port}`)
    const refused = await answer(open(place, "down"), "no")
    expect(refused).toContain("disconnects 1 other agent (here: bob)")
    expect(refused).toMatch(/^exit 1$/m)
    expect(place.status("bob")).toMatchObject({ connected: true })
    expect(existsSync(join(place.dir, ".agentchat", "relay.json"))).toBe(true)
    expect(await answer(open(place, "down"), "yes")).toContain("stopped daemon default and relay")
  })
})
