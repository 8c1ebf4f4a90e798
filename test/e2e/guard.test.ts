import type { ChildProcess } from "node:child_process"
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { must } from "../kit/command-server.js"
import { until } from "../kit/condition.js"
import { RelayProcess, Workspace } from "../kit/program.js"

/** Shell: answers every line of the inbox, even GUARD lines, as a thoughtless agent does. */
const answering = (name: string) => `
  d=.agentchat/daemons/${name}; seq=0; i=0
  while sleep 0.05; do
    now=$(wc -l < $d/inbox.jsonl); [ "$now" -gt "$seq" ] || continue
    while [ "$seq" -lt "$now" ]; do seq=$((seq+1)); i=$((i+1))
      printf '{"to":"#general","content":"answer %s of ${name}"}\\n' $i >> $d/outbox.jsonl
    done
  done
`
/** Shell: reports the progress of c, whatever the others send. */
const talking = `
  i=0
  while sleep 1; do i=$((i+1))
    printf '{"to":"#general","content":"c has reviewed file %s of the parser"}\\n' $i >> .agentchat/daemons/c/outbox.jsonl
  done
`
const loops = ["a", "b"] as const
const patienceMs = 120_000

interface Stop {
  readonly layer: string
  readonly scope: string
  readonly reason: string
  readonly until?: number
}

describe("two shells that answer every line", { timeout: 400_000 }, () => {
  const home = mkdtempSync(join(tmpdir(), "agentchat-guard-"))
  const operator = new Workspace(home)
  const places = new Map<string, Workspace>()
  const shells: ChildProcess[] = []
  let relay: RelayProcess

  const place = (name: string) => places.get(name) ?? new Workspace()
  const stops = (name: string) => (place(name).status(name)?.["guards"] ?? []) as Stop[]
  const isStopped = (name: string) => stops(name).length > 0
  const guardLines = (name: string) =>
    place(name)
      .inbox(name)
      .filter(({ type }) => type === "GUARD")
  const verdict = (name: string) => guardLines(name).findLast(({ state }) => state !== "warned")?.["state"]
  const linesOf = (name: string, file: string) => {
    const path = place(name).file(name, file)
    return existsSync(path) ? readFileSync(path, "utf8").split("\n").slice(0, -1) : []
  }
  /** Returns the number of messages of an agent that reached c. */
  const messageCount = (name: string) =>
    place("c")
      .contents("c")
      .filter((text) => text.endsWith(` of ${name}`)).length
  const talked = () => linesOf("c", "acks.jsonl").filter((line) => line.includes('"accepted"')).length

  /** Checks that the loops keep trying and are refused, while the messages of c are accepted. */
  async function expectQuiet(): Promise<void> {
    // c has received all that was accepted before its own message.
    const heard = talked()
    await until("c hears what was accepted", () => talked() > heard + 1, patienceMs)
    const refused = loops.map((name) => linesOf(name, "rejected.jsonl").length)
    const counts = loops.map(messageCount)
    const before = talked()
    await until("c goes on", () => talked() > before + 3, patienceMs)
    await until(
      "both try on",
      () => loops.every((name, index) => linesOf(name, "rejected.jsonl").length > (refused[index] ?? 0)),
      patienceMs,
    )
    expect(loops.map(messageCount)).toEqual(counts)
    expect(linesOf("c", "rejected.jsonl")).toEqual([])
    expect(stops("c")).toEqual([])
  }

  beforeEach(async () => {
    await must(operator, "identity", "--generate", "--identity", "op.json", "--nick", "op")
    const [did = ""] =
      /did:key:\w+/.exec(await must(operator, "identity", "--show", "--identity", "op.json")) ?? []
    writeFileSync(join(home, "operators"), `${did}\n`)
    const options = ["--operators", join(home, "operators"), "--data", join(home, "data")]
    relay = await RelayProcess.start("--guards", "/dev/null", "--rate", "10/s", ...options)
    for (const name of [...loops, "c"]) {
      const workspace = new Workspace()
      await must(workspace, "daemon", relay.url, "--background", "--name", name)
      places.set(name, workspace)
    }
  })

  afterEach(async () => {
    for (const shell of shells) shell.kill("SIGKILL")
    for (const workspace of places.values()) workspace.dispose()
    await relay.kill()
    rmSync(home, { recursive: true, force: true })
  })

  it("guards stop two agents that answer every line, give the reason, and spare others, until an operator resets them", async () => {
    for (const name of loops) shells.push(place(name).sh(answering(name)))
    shells.push(place("c").sh(talking))
    await until("both are stopped", () => loops.every(isStopped), patienceMs)
    for (const name of loops) {
      expect(stops(name)[0]?.reason).not.toBe("")
      expect(place(name).run("status", "--name", name).stdout).toMatch(
        /^guard +\w+: .* is stopped: .*; until /m,
      )
      const tripped = guardLines(name).filter(({ state }) => state === "tripped")
      const scopes = tripped.map(({ layer, scope }) => `${String(layer)} ${String(scope)}`)
      expect(tripped.length).toBe(new Set(scopes).size)
      for (const { evidence, retry_after_ms: wait, lifted_by: by, hint } of tripped) {
        expect((evidence as string[]).length).toBeGreaterThan(0)
        expect([Number(wait) > 0, by, String(hint)]).toEqual([
          true,
          "progress",
          expect.stringMatching(/finish/),
        ])
      }
    }
    expect(guardLines("c").filter(({ state }) => state === "tripped")).toEqual([])
    await expectQuiet()

    const refused = place("a").run("send", "#general", "me too, please", "--name", "a")
    expect(refused.status).toBe(7)
    expect(refused.stderr).toMatch(/stopped by the guard \w+: .*; finished work lifts it, or an operator/)
    const own = place("a").run("guard", "reset", "#general", "--by", "operator", "--name", "a", "--json")
    expect([own.status, own.stdout]).toEqual([5, expect.stringContaining("OPERATOR_REQUIRED")])
    await expectQuiet()

    await relay.kill()
    await relay.restart()
    const back = talked()
    await until("c is back", () => talked() > back, patienceMs)
    await expectQuiet()

    const before = loops.map(messageCount)
    await must(operator, "guard", "reset", "--server", relay.url, "--by", "operator", "--identity", "op.json")
    await until(
      "both go on",
      () => loops.every((name, index) => messageCount(name) >= (before[index] ?? 0) + 3),
      patienceMs,
    )
    for (const name of loops) expect(guardLines(name).map(({ state }) => state)).toContain("lifted")
    await until(
      "both are stopped again",
      () => loops.every((name) => verdict(name) === "tripped"),
      patienceMs,
    )
    await expectQuiet()
    expect(messageCount("a") + messageCount("b")).toBeLessThan(250)
  })
})
