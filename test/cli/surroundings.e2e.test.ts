import { spawnSync } from "node:child_process"
import { mkdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { programPath } from "../kit/program.js"
import { temporaryDirectory } from "../kit/temporary.js"

const vectors = readFileSync(join(import.meta.dirname, "../vectors/receipts.json"), "utf8")
const [{ line: receiptLine }] = (JSON.parse(vectors) as { receipts: [{ line: string }] }).receipts

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

  it("rates receipts from pipes, with keys from pipes, as from files", () => {
    const dir = temporaryDirectory()
    writeFileSync(join(dir, "receipts"), `${receiptLine}\n`)
    writeFileSync(join(dir, "keys"), "[]")
    const { stdout: expected } = shell("agentchat ratings --export --receipts receipts", dir)
    expect(JSON.parse(expected)).toMatchObject({ ratings: [{ transactions: 1 }, { transactions: 1 }] })
    for (const command of [
      "cat receipts | agentchat ratings --export --receipts /dev/stdin",
      "agentchat ratings --export --receipts <(cat receipts)",
      "agentchat ratings --export --receipts receipts --keys <(cat keys)",
      "cat keys | agentchat ratings --export --receipts <(cat receipts) --keys /dev/stdin",
    ]) {
      expect({ command, ...shell(command, dir) }).toMatchObject({ command, status: 0, stdout: expected })
    }
  })

  it("names a native library that is missing, and how to install it", () => {
    const dir = temporaryDirectory()
    const hook = `const { Module } = require("module"), resolve = Module._resolveFilename
      Module._resolveFilename = function (name, ...rest) {
        if (!name.startsWith("@libsql/")) return resolve.call(this, name, ...rest)
        throw Object.assign(new Error("Cannot find module " + name), { code: "MODULE_NOT_FOUND" })
      }`
    writeFileSync(join(dir, "hook.cjs"), hook)
    const { status, stderr } = shell(
      'export NODE_OPTIONS="--require $PWD/hook.cjs"; agentchat serve --port 0 --data store',
      dir,
    )
    expect(stderr).toBe(
      "agentchat: the native library of libsql is missing for this platform\n" +
        "agentchat: hint: install it again on this machine, with optional dependencies: npm install --include=optional\n",
    )
    expect(status).toBe(1)
  })
})
