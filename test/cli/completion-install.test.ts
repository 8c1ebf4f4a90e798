import { existsSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { CommandRoom } from "../kit/command-room.js"

it.each([
  ["bash", ".local/share/bash-completion/completions/agentchat"],
  ["zsh", ".zfunc/_agentchat"],
  ["fish", ".config/fish/completions/agentchat.fish"],
])(
  "completion install writes the script of %s, again too, and replaces no other file",
  async (shell, path) => {
    const room = new CommandRoom()
    const env = { HOME: room.dir, SHELL: `/usr/bin/${shell}` }
    const file = join(room.dir, path)
    const { out: script } = await room.run(["completion", shell], { env })
    for (const words of [["install"], ["install", shell]]) {
      expect(await room.run(["completion", ...words], { env })).toMatchObject({ status: 0 })
      expect(readFileSync(file, "utf8")).toBe(script)
    }
    writeFileSync(file, "mine\n")
    expect(await room.run(["completion", "install"], { env })).toMatchObject({ status: 1 })
    expect(readFileSync(file, "utf8")).toBe("mine\n")
  },
)

it("completion install refuses a shell without a script, and names those with one", async () => {
  const room = new CommandRoom()
  const env = { HOME: room.dir, SHELL: "/bin/tcsh" }
  const { status, err } = await room.run(["completion", "install"], { env })
  expect([status, err]).toEqual([2, expect.stringContaining("bash, zsh, fish: agentchat completion install")])
  expect((await room.run(["completion", "bash", "zsh"], { env })).status).toBe(2)
  expect(existsSync(join(room.dir, ".local"))).toBe(false)
})
