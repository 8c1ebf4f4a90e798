import { spawn, spawnSync } from "node:child_process"
import { chmodSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { agentchat, must } from "../kit/command-server.js"
import { until } from "../kit/condition.js"
import { programPath, RelayProcess, Workspace } from "../kit/program.js"

const root = join(import.meta.dirname, "../..")

/** The lines of the shell blocks of a document, without comments. */
function shellLines(name: string): string[] {
  const text = readFileSync(join(root, name), "utf8")
  const blocks = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, body = ""]) => body.split("\n"))
  return blocks.map((line) => line.replace(/\s+# .*$/, "").trim()).filter((line) => line !== "")
}

describe("the commands of the documents", { timeout: 120_000 }, () => {
  let relay: RelayProcess
  let place: Workspace

  beforeEach(async () => {
    relay = await RelayProcess.start("--rate", "1000/s", "--burst", "1000")
    place = new Workspace()
    const program = join(place.dir, "agentchat")
    writeFileSync(program, `#!/bin/sh\nexec "${process.execPath}" "${programPath}" "$@"\n`)
    chmodSync(program, 0o755)
    place.env["PATH"] = `${place.dir}:${process.env["PATH"] ?? ""}`
  }, 60_000)
  afterEach(async () => {
    await agentchat(place, "daemon", "--stop-all")
    place.dispose()
    await relay.kill("SIGTERM")
  }, 60_000)

  const sh = (line: string, env: NodeJS.ProcessEnv = {}) =>
    spawnSync("sh", ["-c", line], { cwd: place.dir, env: { ...place.env, ...env }, encoding: "utf8" })

  it("the first message of the README arrives with the number that it shows", async () => {
    const text = readFileSync(join(root, "README.md"), "utf8")
    const shown = JSON.parse(/```json\n(\{"seq".*\})\n```/.exec(text)?.[1] ?? "{}") as Record<string, unknown>
    await must(place, "daemon", relay.url, "--background")
    for (const line of shellLines("README.md").filter((one) => /--name bob|bob\/outbox/.test(one))) {
      const { status, stderr } = sh(line, { AGENTCHAT_SERVER: relay.url })
      expect([line, status, stderr]).toEqual([line, 0, ""])
      // A person types the next line after bob has joined the three channels.
      await until("bob's joins", () => place.inbox("default").length >= 3)
    }
    const found = await until("the message", () => place.inbox("default").find(({ type }) => type === "MSG"))
    expect(Object.keys(found)).toEqual(Object.keys(shown))
    const { type, name, to, content, seq } = shown
    expect(found).toMatchObject({ type, name, to, content, seq })
  })

  it("every command of SKILL.md works as it is written", async () => {
    await must(place, "daemon", relay.url, "--background", "--nick", "ann")
    await must(place, "daemon", relay.url, "--background", "--name", "bob")
    place.env["AGENTCHAT_NAME"] = "default"
    let task = ""
    const proposal = { id: "" }
    /** Commands that wait for somebody, are for another agent or another machine, or need an id. */
    const special: Readonly<Record<string, (line: string) => unknown>> = {
      "agentchat wait": async (line) => {
        await must(place, "send", "@ann", "wake up", "--name", "bob")
        expect(sh(line).status).toBe(0)
      },
      "agentchat daemon ws://": (line) =>
        expect(sh(`${line.replace(/ws:\S+/, relay.url)} --name carl`).status).toBe(0),
      "tail -f": () => {},
      "agentchat inbox --show 12": (line) => expect(sh(line.replace("12", "1")).status).toBe(0),
      "agentchat reply": async (line) => {
        await must(place, "send", "@ann", "which port?", "--name", "bob")
        const direct = () => place.inbox("default").findLast(({ content }) => content === "which port?")
        const { seq } = await until("the question", direct)
        expect(sh(line.replace("12", String(seq))).status).toBe(0)
      },
      "agentchat ask +reviewer": (line) => expect(sh(line.replace("--wait 300", "--wait 1")).status).toBe(4),
      "agentchat ask +human": (line) => expect(sh(line.replace("--wait 1h", "--wait 1")).status).toBe(9),
      "agentchat ask @bob": async (line) => {
        const asking = spawn("sh", ["-c", line], { cwd: place.dir, env: place.env })
        let answer = ""
        asking.stdout.on("data", (data: Buffer) => (answer += data.toString()))
        await until("the question", () => place.contents("bob").includes("which port?"))
        await must(place, "reply", "8080", "--name", "bob")
        await until("the answer", () => answer === "8080\n")
      },
      "agentchat task done": (line) => expect(sh(line.replace("ID", task)).status).toBe(0),
      "agentchat task fail": (line) => expect(sh(line.replace("ID", task)).status).not.toBe(2),
      "agentchat propose": (line) => {
        const { stdout, status } = sh(line)
        expect(status).toBe(0)
        proposal.id = stdout.trim()
      },
      "agentchat accept": (line) =>
        expect(sh(`${line.replace("prop_…", proposal.id)} --name bob`).status).toBe(0),
      "agentchat reject": (line) =>
        expect(sh(`${line.replace("prop_…", proposal.id)} --name bob`).status).not.toBe(2),
      "agentchat complete": (line) => expect(sh(line.replace("prop_…", proposal.id)).status).toBe(0),
      "agentchat dispute": (line) =>
        expect(sh(`${line.replace("prop_…", proposal.id)} --name bob`).status).not.toBe(2),
    }
    for (const line of shellLines("SKILL.md")) {
      if (line.startsWith("agentchat presence working")) {
        await must(place, "send", "+reviewer", "please look", "--name", "bob")
        task = (await until("the task", () => place.inbox("default").find(({ type }) => type === "TASK")))[
          "task"
        ] as string
      }
      const key = Object.keys(special).find((start) => line.startsWith(start))
      if (key !== undefined) await special[key]?.(line)
      else {
        const { status, stderr } = sh(line)
        expect([line, status, stderr]).toEqual([line, 0, ""])
      }
    }
    await until("the outbox lines", () => place.contents("bob").includes("can you review src/a.ts?"))
  })
})
