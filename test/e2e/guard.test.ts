import type { ChildProcess } from "node:child_process"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { until } from "../kit/condition.js"
import { RelayProcess, Workspace } from "../kit/program.js"

/** Answers every line of its inbox, as a thoughtless agent does. */
const answering = (name: string) => `
  d=.agentchat/daemons/${name}; seq=0; i=0
  while sleep 0.1; do
    now=$(wc -l < $d/inbox.jsonl); [ "$now" -gt "$seq" ] || continue
    while [ "$seq" -lt "$now" ]; do seq=$((seq+1)); i=$((i+1))
      printf '{"to":"#general","content":"answer %s of ${name}"}\\n' $i >> $d/outbox.jsonl
    done
  done
`

interface Stop {
  readonly layer: string
  readonly scope: string
  readonly reason: string
}

describe("two shells that answer every line", { timeout: 240_000 }, () => {
  const home = mkdtempSync(join(tmpdir(), "agentchat-guard-"))
  const places = new Map<string, Workspace>()
  const shells: ChildProcess[] = []
  let relay: RelayProcess

  const place = (name: string) => places.get(name) ?? new Workspace()
  const stops = (name: string) => (place(name).status(name)?.["guards"] ?? []) as Stop[]
  const said = (name: string) =>
    place(name)
      .contents("c")
      .filter((text) => text.endsWith(` of ${name}`)).length

  beforeEach(async () => {
    const operator = new Workspace(home)
    operator.must("identity", "--generate", "--identity", "op.json", "--nick", "op")
    const [did = ""] = /did:key:\w+/.exec(operator.must("identity", "--show", "--identity", "op.json")) ?? []
    writeFileSync(join(home, "operators"), `${did}\n`)
    const operators = ["--operators", join(home, "operators")]
    relay = await RelayProcess.start("--guards", "/dev/null", "--rate", "10/s", ...operators)
    for (const name of ["a", "b", "c"]) {
      const workspace = new Workspace()
      workspace.must("daemon", relay.url, "--background", "--name", name)
      places.set(name, workspace)
    }
  })

  afterEach(async () => {
    for (const shell of shells) shell.kill("SIGKILL")
    for (const workspace of places.values()) workspace.dispose()
    await relay.kill()
    rmSync(home, { recursive: true, force: true })
  })

  it("are stopped by nobody, know why, and go on when an operator says so", async () => {
    for (const name of ["a", "b"]) shells.push(place(name).sh(answering(name)))
    place("c").must("send", "#general", "is anybody here?", "--name", "c")
    await until("both are stopped", () => stops("a").length > 0 && stops("b").length > 0, 120_000)
    for (const name of ["a", "b"]) {
      expect(stops(name)[0]?.reason).not.toBe("")
      expect(
        place(name)
          .inbox(name)
          .filter((line) => line.type === "GUARD" && line["state"] === "tripped"),
      ).not.toEqual([])
      expect(place(name).run("status", "--name", name).stdout).toContain("is stopped")
    }
    const before = said("a") + said("b")
    place("c").must("send", "#general", "i go on", "--name", "c")
    expect(said("a") + said("b")).toBeLessThan(before + 3)
    const refused = place("a").run("send", "#general", "me too, please", "--name", "a")
    expect(refused.status).toBe(7)
    for (const shell of shells.splice(0)) shell.kill("SIGKILL")
    const url = relay.url
    new Workspace(home).must("guard", "reset", "--server", url, "--by", "operator", "--identity", "op.json")
    expect(place("a").run("send", "#general", "thank you all for the review", "--name", "a").status).toBe(0)
  })
})
