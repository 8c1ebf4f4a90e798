import { spawnSync } from "node:child_process"
import { symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { shellWord } from "../../src/base/command-hint.js"
import type { System } from "../../src/cli/context.js"
import { ownInvocation } from "../../src/cli/shell-words.js"
import { temporaryDirectory } from "../kit/temporary.js"

describe("shellWord", () => {
  it("leaves a text without special characters as it is", () => {
    expect(shellWord(".agentchat/daemons/a-b_c/inbox.jsonl")).toBe(".agentchat/daemons/a-b_c/inbox.jsonl")
  })

  it("quotes a text so that a shell reads it back", () => {
    const text = fc.string({ unit: "grapheme-ascii", minLength: 1 })
    fc.assert(
      fc.property(fc.array(text, { minLength: 1, maxLength: 8 }), (words) => {
        const script = `printf '%s\\n' ${words.map(shellWord).join(" ")}`
        expect(spawnSync("sh", ["-c", script], { encoding: "utf8" }).stdout).toBe(`${words.join("\n")}\n`)
      }),
      { numRuns: 20 },
    )
  })
})

describe("ownInvocation", () => {
  const at = (scriptPath: string, cwd: string, searchPath: string) =>
    ownInvocation({ scriptPath, cwd, searchPath } as System)

  it("returns the name of the program if PATH leads to this file", () => {
    const dir = temporaryDirectory()
    const script = join(dir, "program.js")
    writeFileSync(script, "", { mode: 0o755 })
    symlinkSync(script, join(dir, "agentchat"))
    expect(at(script, "/", `/nowhere:${dir}`)).toBe("agentchat")
    expect(at(join(dir, "agentchat"), "/", dir)).toBe("agentchat")
  })

  it("returns node and the relative path of the file if PATH does not lead to it", () => {
    const dir = temporaryDirectory()
    writeFileSync(join(dir, "agentchat"), "", { mode: 0o755 })
    expect(at("/opt/clone/dist/bin/agentchat.js", "/opt/clone", dir)).toBe("node dist/bin/agentchat.js")
    expect(at("/opt/my clone/x.js", "/opt", "")).toBe("node 'my clone/x.js'")
  })
})
