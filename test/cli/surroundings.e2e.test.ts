import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { programPath } from "../kit/program.js"
import { temporaryDirectory } from "../kit/temporary.js"

/** Runs a shell script in which `agentchat` is the built program. */
function shell(script: string, cwd = temporaryDirectory()) {
  const call = `agentchat() { '${process.execPath}' '${programPath}' "$@"; }`
  return spawnSync("bash", ["-c", `${call}\n${script}`], { cwd, encoding: "utf8" })
}

describe("the program", () => {
  it("names a working directory that was removed, without a stack trace", () => {
    const { status, stderr } = shell('mkdir gone && cd gone && rmdir "$PWD" && agentchat status')
    expect(status).toBe(1)
    expect(stderr).toMatch(
      /^agentchat: the working directory does not exist any more\nagentchat: hint: .*\n$/,
    )
  })

  it("names the version of Node.js that it needs before it loads anything", () => {
    const dir = temporaryDirectory()
    mkdirSync(join(dir, "bin"))
    const program = join(dir, "bin", "agentchat.mjs")
    writeFileSync(program, readFileSync(programPath))
    const older = 'Object.defineProperty(process.versions, "node", { value: "18.20.8" })'
    const script = `data:text/javascript,${encodeURIComponent(older)}`
    const { status, stderr } = spawnSync(process.execPath, ["--import", script, program], {
      encoding: "utf8",
    })
    expect(status).toBe(1)
    expect(stderr).toBe("agentchat: Node.js 18.20.8 is too old; install 20.19 or newer\n")
  })

  it("reads receipts from /dev/stdin and from a pipe as from a file", () => {
    for (const command of [
      "echo '{}' | agentchat receipts verify /dev/stdin --json",
      "agentchat receipts verify <(echo '{}') --json",
    ]) {
      const { stdout, stderr } = shell(command)
      expect(JSON.parse(stdout)).toMatchObject({ verdict: expect.any(String), receipts: [{ line: 1 }] })
      expect(stderr).not.toContain("ESPIPE")
    }
  })
})
