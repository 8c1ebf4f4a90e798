import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { chmodSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { until } from "../kit/condition.js"
import { programPath, RelayProcess, Workspace } from "../kit/program.js"
import { hasProgram } from "../kit/requires.js"

const root = join(import.meta.dirname, "../..")
const examples = join(root, "examples")

describe("the examples", { timeout: 60_000 }, () => {
  let relay: RelayProcess
  const place = new Workspace()

  beforeAll(async () => {
    relay = await RelayProcess.start("--rate", "1000/s", "--burst", "1000")
    const program = join(place.dir, "agentchat")
    writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" "${programPath}" "$@"\n`)
    chmodSync(program, 0o755)
    place.env["PATH"] = `${place.dir}:${process.env["PATH"] ?? ""}`
    place.must("daemon", relay.url, "--background", "--name", "bob")
  }, 60_000)
  afterAll(async () => {
    place.dispose()
    await relay.kill("SIGTERM")
  }, 60_000)

  /** Starts an example and collects what it prints. */
  const start = (file: string, ...args: string[]): { child: ChildProcess; out: () => string } => {
    const path = join(examples, file)
    const [command, first] = file.endsWith(".mjs") ? [process.execPath, [path]] : [path, []]
    const child = spawn(command, [...first, ...args], { cwd: place.dir, env: place.env, detached: true })
    let text = ""
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (data: Buffer) => (text += data.toString()))
    return { child, out: () => text }
  }
  const end = async (child: ChildProcess) => {
    if (child.exitCode === null) await once(child, "close")
    return child.exitCode
  }
  const toBob = (text: string) =>
    until(text, () => place.contents("bob").some((content) => content.includes(text)))

  it("are all listed, and each is short", () => {
    const files = readdirSync(examples).filter((name) => name !== "README.md")
    const listed = readFileSync(join(examples, "README.md"), "utf8")
    for (const name of files) {
      expect(listed).toContain(`(${name})`)
      expect(readFileSync(join(examples, name), "utf8").split("\n").length, name).toBeLessThan(30)
    }
    expect(files.sort()).toEqual(["asker.sh", "ci-bot.sh", "echo-agent.mjs", "pipe.sh", "worker.sh"])
  })

  it.runIf(hasProgram("jq"))("two shell agents do a task together", async () => {
    writeFileSync(join(place.dir, "poem.txt"), "one\ntwo\nthree\n")
    const worker = start("worker.sh", relay.url)
    const asker = start("asker.sh", relay.url, "poem.txt")
    expect([await end(asker.child), asker.out()]).toEqual([0, "3 lines\n"])
    expect([await end(worker.child), worker.out()]).toEqual([0, expect.stringContaining("done")])
  })

  it("an agent in Node answers, and gives no answer to an automatic message", async () => {
    // As `npm install` does for a user of the package.
    mkdirSync(join(place.dir, "node_modules"))
    symlinkSync(root, join(place.dir, "node_modules/agentchat"))
    const copy = join(place.dir, "echo-agent.mjs")
    writeFileSync(copy, readFileSync(join(examples, "echo-agent.mjs")))
    const child = spawn(process.execPath, [copy, relay.url], { cwd: place.dir, env: place.env })
    let out = ""
    child.stdout.on("data", (data: Buffer) => (out += data.toString()))
    await until("the agent", () => out.includes("echo is @"))
    expect(place.must("ask", "@echo", "who is there?", "--wait", "30", "--name", "bob")).toContain(
      "who is there?",
    )
    place.must("send", "@echo", "do not answer", "--kind", "auto", "--name", "bob")
    place.must("ask", "@echo", "stop", "--wait", "30", "--name", "bob")
    expect(await end(child)).toBe(0)
    expect(place.contents("bob")).not.toContain("do not answer")
  })

  it("a CI job reports to the channel, and wakes somebody only if it failed", async () => {
    const good = start("ci-bot.sh", relay.url, "#general", "@bob", "true")
    expect([await end(good.child), good.out()]).toEqual([0, ""])
    const bad = start("ci-bot.sh", relay.url, "#general", "@bob", "sh", "-c", "echo 'no such test'; exit 3")
    expect([await end(bad.child), bad.out()]).toEqual([3, ""])
    await toBob("no such test")
    const reports = place.inbox("bob").filter(({ name }) => name === "ci")
    expect(reports.map(({ to, kind }) => [String(to).slice(0, 1), kind])).toEqual([
      ["#", "status"],
      ["#", "status"],
      ["@", "request"],
    ])
  })

  it.runIf(hasProgram("jq"))("a pipe sends on what matters, as text and not as a command", async () => {
    const pipe = start("pipe.sh", relay.url, "#general", "@bob")
    await until("the filter", () =>
      place.run("agents", "#general", "--name", "bob").stdout.includes(" filter "),
    )
    place.must("send", "#general", "lunch?", "--name", "bob")
    place.must("send", "#general", "URGENT: $(touch fell) `touch fell` 'quoted'", "--name", "bob")
    await toBob("bob: URGENT: $(touch fell) `touch fell` 'quoted'")
    expect(readdirSync(place.dir)).not.toContain("fell")
    expect(place.contents("bob").join()).not.toContain("lunch")
    expect([pipe.child.exitCode, pipe.out()]).toEqual([null, ""])
    // As Ctrl-C does, to all programs of the pipe.
    process.kill(-(pipe.child.pid ?? 0), "SIGINT")
    await once(pipe.child, "close")
  })
})
