import { once } from "node:events"
import { appendFileSync, closeSync, existsSync, openSync, readFileSync, writeSync } from "node:fs"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { until } from "../kit/condition.js"
import { RelayProcess, Workspace } from "../kit/program.js"

/** Kills the process that runs a daemon, without warning. */
function killDaemon(workspace: Workspace, name: string): void {
  const record = JSON.parse(readFileSync(workspace.file(name, "daemon.pid"), "utf8")) as { pid: number }
  process.kill(record.pid, "SIGKILL")
}

function numbered(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${prefix}-${index}`)
}

describe("lines survive", { timeout: 120_000 }, () => {
  let relay: RelayProcess
  let sender: Workspace
  let receiver: Workspace

  beforeEach(async () => {
    relay = await RelayProcess.start("--rate", "100000/s", "--burst", "100000")
    sender = new Workspace()
    receiver = new Workspace()
    sender.must("daemon", relay.url, "--background", "--name", "a")
    receiver.must("daemon", relay.url, "--background", "--name", "b")
  })
  afterEach(async () => {
    sender.dispose()
    receiver.dispose()
    await relay.kill()
  })

  const allArrived = async (expected: string[]) => {
    await until(
      `${expected.length} messages`,
      () => new Set(receiver.contents("b")).size >= expected.length,
      60_000,
    )
    const arrived = receiver.contents("b")
    expect([...arrived].sort()).toEqual([...expected].sort())
    expect(receiver.inbox("b").map(({ seq }) => seq)).toEqual(
      receiver.inbox("b").map((_, index) => index + 1),
    )
  }

  const orderKept = (prefix: string) => {
    const numbers = receiver
      .contents("b")
      .filter((text) => text.startsWith(`${prefix}-`))
      .map((text) => Number(text.slice(prefix.length + 1)))
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b))
  }

  it("four shells that append at once", async () => {
    const outbox = sender.file("a", "outbox.jsonl")
    const shells = ["p", "q", "r", "s"].map((prefix) =>
      sender.sh(
        `i=0; while [ $i -lt 250 ]; do echo '{"to":"#general","content":"${prefix}-'$i'"}' >> ${outbox}; i=$((i+1)); done`,
      ),
    )
    await Promise.all(shells.map((shell) => once(shell, "exit")))
    await allArrived(["p", "q", "r", "s"].flatMap((prefix) => numbered(prefix, 250)))
    for (const prefix of ["p", "q", "r", "s"]) orderKept(prefix)
  })

  it("a writer that keeps the outbox open over a clearing", async () => {
    const fd = openSync(sender.file("a", "outbox.jsonl"), "a")
    writeSync(fd, '{"to":"#general","content":"k-0"}\n')
    await until("the clearing", () => readFileSync(sender.file("a", "outbox.jsonl")).length === 0)
    writeSync(fd, '{"to":"#general","content":"k-1"}\n')
    appendFileSync(sender.file("a", "outbox.jsonl"), '{"to":"#general","content":"k-2"}\n')
    await until("the late line", () => receiver.contents("b").includes("k-1"))
    writeSync(fd, '{"to":"#general","content":"k-3"}\n')
    closeSync(fd)
    await allArrived(numbered("k", 4))
  })

  it("the death of the sender's daemon, again and again", async () => {
    const outbox = sender.file("a", "outbox.jsonl")
    for (let round = 0; round < 6; round++) {
      for (let i = 0; i < 200; i++) {
        appendFileSync(outbox, `{"to":"#general","content":"m-${round * 200 + i}"}\n`)
        if (i === 60 + round * 20) killDaemon(sender, "a")
      }
      sender.must("daemon", relay.url, "--background", "--name", "a")
    }
    await allArrived(numbered("m", 1200))
    orderKept("m")
  })

  it("the death of the receiver's daemon, and what was sent meanwhile", async () => {
    const outbox = sender.file("a", "outbox.jsonl")
    for (let round = 0; round < 4; round++) {
      for (let i = 0; i < 150; i++) {
        appendFileSync(outbox, `{"to":"#general","content":"m-${round * 150 + i}"}\n`)
        if (i === 30) killDaemon(receiver, "b")
      }
      receiver.must("daemon", relay.url, "--background", "--name", "b")
    }
    await allArrived(numbered("m", 600))
  })

  it("direct messages too, while their reader is dead", async () => {
    const to = String(receiver.status("b")?.["agent_id"])
    const outbox = sender.file("a", "outbox.jsonl")
    for (let i = 0; i < 300; i++) {
      appendFileSync(outbox, `${JSON.stringify({ to, content: `d-${i}` })}\n`)
      if (i === 100) killDaemon(receiver, "b")
    }
    receiver.must("daemon", relay.url, "--background", "--name", "b")
    await allArrived(numbered("d", 300))
    orderKept("d")
  })

  it("the death of the relay in the middle of a burst", async () => {
    const outbox = sender.file("a", "outbox.jsonl")
    for (let round = 0; round < 3; round++) {
      for (let i = 0; i < 400; i++) {
        appendFileSync(outbox, `{"to":"#general","content":"m-${round * 400 + i}"}\n`)
        if (i === 200) await relay.kill()
      }
      await relay.restart()
      // A relay in memory keeps nothing: what it accepted for a member who is away dies with it. So the next
      // death comes when everybody is back and has everything.
      await allArrived(numbered("m", (round + 1) * 400))
    }
  })

  it("a time without any relay", async () => {
    await relay.kill()
    await until("the wait", () => sender.status("a")?.["state"] === "waiting")
    for (const content of numbered("m", 50)) {
      appendFileSync(sender.file("a", "outbox.jsonl"), `${JSON.stringify({ to: "#general", content })}\n`)
    }
    sender.must("daemon", "--stop", "--name", "a")
    await relay.restart()
    sender.must("daemon", relay.url, "--background", "--name", "a")
    await allArrived(numbered("m", 50))
    orderKept("m")
  })

  it("more than one frame of them, while the bad ones are rejected alone", async () => {
    const outbox = sender.file("a", "outbox.jsonl")
    appendFileSync(outbox, '{"to":"#general","content":"m-0"}\n')
    appendFileSync(outbox, `{"to":"#general","content":"${"x".repeat(10 * 1024 * 1024)}"}\n`)
    appendFileSync(outbox, '{"to":"#general","content":"m-1"}\n')
    await allArrived(numbered("m", 2))
    await until("the rejection", () => sender.inbox("a").some(({ type }) => type === "REJECTED"))
    const [rejected] = readFileSync(sender.file("a", "rejected.jsonl"), "utf8").trim().split("\n")
    expect(JSON.parse(rejected ?? "")).toMatchObject({ code: "INVALID_MSG" })
    expect(existsSync(sender.file("a", "rejected.d"))).toBe(true)
  })
})
