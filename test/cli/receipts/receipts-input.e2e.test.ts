import { spawn } from "node:child_process"
import { once } from "node:events"
import { readdirSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { until } from "../../kit/condition.js"
import { programPath } from "../../kit/program.js"
import { temporaryDirectory } from "../../kit/temporary.js"

describe("receipts verify -", { timeout: 60_000 }, () => {
  it.each(["SIGINT", "SIGKILL"] as const)("leaves no file behind if %s ends the program", async (signal) => {
    const dir = temporaryDirectory()
    const child = spawn(process.execPath, [programPath, "receipts", "verify", "-"], {
      env: { ...process.env, TMPDIR: dir },
      stdio: ["pipe", "ignore", "ignore"],
    })
    let isTaken = false
    // Far more than a pipe holds: once it is written, the program has read it.
    child.stdin.write("x".repeat(4 * 1024 * 1024), () => (isTaken = true))
    await until("the input is taken", () => isTaken)
    child.kill(signal)
    await once(child, "close")
    expect(readdirSync(dir).filter((name) => name.startsWith("agentchat-"))).toEqual([])
  })
})
