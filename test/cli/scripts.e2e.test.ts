import { readdirSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, describe, it } from "vitest"
import { CommandServer } from "../kit/command-server.js"
import { SharedProcess } from "../kit/shared-process.js"
import { ScriptSession } from "./script-session.js"
import { splitWords } from "./script-words.js"

/**
 * Each file of `test/scripts/*.txt` is a session with the built program and becomes one test, named by its first line.
 * Each line is a step. `agentchat …` runs the program and must succeed; `status`, `stdout`, `stderr`, `json`, `lines`
 * and `empty` check its last outcome. After `! ` a program must fail, and a check must not match. {@link ScriptSession}
 * implements the steps.
 */
const folder = join(import.meta.dirname, "../scripts")

describe("a command line session", { timeout: 120_000 }, () => {
  afterAll(() => Promise.all([CommandServer.endAll(), SharedProcess.end()]))
  for (const file of readdirSync(folder).filter((name) => name.endsWith(".txt"))) {
    const lines = readFileSync(join(folder, file), "utf8").split("\n")
    const title = (lines[0] ?? "").replace(/^# /, "")
    it.concurrent(`${title} (${file})`, async ({ onTestFinished }) => {
      const session = new ScriptSession()
      onTestFinished(() => session.end())
      for (const [index, line] of lines.entries()) await runLine(session, line, `${file}:${index + 1}`)
    })
  }
})

async function runLine(session: ScriptSession, line: string, place: string): Promise<void> {
  if (line.trim() === "" || line.startsWith("#")) return
  try {
    const isNegated = line.startsWith("! ")
    const [verb = "", ...words] = splitWords(isNegated ? line.slice(2) : line, session.variables)
    await session.run({ verb, words, isNegated })
  } catch (error) {
    throw new Error(`${place}: ${line}\n${String(error)}`, { cause: error })
  }
}
