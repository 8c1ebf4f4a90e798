import { appendFileSync } from "node:fs"
import { describe, expect, it, onTestFinished } from "vitest"
import { until } from "../kit/condition.js"
import { type InboxRecord, RelayProcess, Workspace } from "../kit/program.js"

const waitMs = 30_000

/** Starts a relay with this lease, alice who asks, and two idle workers who can do her work. */
async function office(leaseSeconds: number) {
  const relay = await RelayProcess.start("--rate", "1000/s", "--burst", "1000", "--lease", `${leaseSeconds}`)
  onTestFinished(() => relay.kill())
  const alice = startAgent(relay, "alice")
  const workers = ["bob", "carol"].map((name) => ({
    name,
    work: startAgent(relay, name, "--role", "coder"),
  }))
  return { relay, alice, workers }
}

function startAgent(relay: RelayProcess, name: string, ...more: string[]): Workspace {
  const work = new Workspace()
  onTestFinished(() => work.dispose())
  work.must("daemon", relay.url, "--background", "--name", name, ...more)
  return work
}

interface Worker {
  readonly name: string
  readonly work: Workspace
}

const tasksOf = ({ work, name }: Worker) => work.inbox(name).filter(({ type }) => type === "TASK")

/** Appends a line to the outbox of a worker. */
function write({ work, name }: Worker, line: object): void {
  appendFileSync(work.file(name, "outbox.jsonl"), `${JSON.stringify(line)}\n`)
}

/** The worker who got the only task, the other one, and the task. */
async function assigned(workers: readonly Worker[]): Promise<[Worker, Worker, InboxRecord]> {
  const holder = await until(
    "somebody to have it",
    () => workers.find((one) => tasksOf(one).length > 0),
    waitMs,
  )
  const other = workers.find((one) => one !== holder)
  const [task] = tasksOf(holder)
  if (other === undefined || task === undefined) throw new Error("two workers are needed")
  return [holder, other, task]
}

const passed = (ms: number) => {
  const start = performance.now()
  return until(`${ms} ms`, () => performance.now() - start > ms, ms + waitMs)
}

describe("a task", { timeout: 120_000 }, () => {
  it("row 11: of a worker that is killed goes to the next one, and is gone once it is done", async () => {
    const { relay, alice, workers } = await office(2)
    alice.must("send", "+coder", "build it", "--name", "alice")
    const [killed, next, task] = await assigned(workers)
    expect(tasksOf(next)).toEqual([])
    process.kill(Number(killed.work.status(killed.name)?.["pid"]), "SIGKILL")
    const [again] = await until("the next worker", () => tasksOf(next).length > 0 && tasksOf(next), waitMs)
    expect(again).toMatchObject({ task: task["task"], content: "build it", attempt: 2 })
    expect(next.work.must("task", "done", String(task["task"]), "built", "--name", next.name)).toContain(
      "done",
    )
    await until("the answer", () => alice.contents("alice").includes("built"), waitMs)
    killed.work.must("daemon", relay.url, "--background", "--name", killed.name, "--role", "coder")
    write(killed, { type: "DONE", task: task["task"], content: "built by the dead", id: "late" })
    await until(
      "the refusal",
      () => killed.work.inbox(killed.name).some(({ type }) => type === "REJECTED"),
      waitMs,
    )
    await passed(5_000)
    expect(tasksOf(killed)).toHaveLength(1)
    expect(tasksOf(next)).toHaveLength(1)
    expect(alice.contents("alice")).toEqual(["built"])
    const list = JSON.parse(alice.must("task", "list", "+coder", "--name", "alice", "--json")) as object
    expect(list).toMatchObject({ waiting: 0, claimed: 0 })
    expect(killed.work.status(killed.name)?.["tasks"]).toEqual([])
  })

  it("row 12: stays with a worker that works on it for three leases", async () => {
    const { alice, workers } = await office(3)
    alice.must("send", "+coder", "build it", "--name", "alice")
    const [worker, other, task] = await assigned(workers)
    write(worker, { type: "SET_PRESENCE", status: "working", activity: "building" })
    await passed(9_500)
    expect(tasksOf(other)).toEqual([])
    expect(tasksOf(worker)).toHaveLength(1)
    expect(worker.work.inbox(worker.name).filter(({ type }) => type === "TASK_LOST")).toEqual([])
    write(worker, { type: "DONE", task: task["task"], content: "built", id: "done" })
    await until("the answer", () => alice.contents("alice").includes("built"), waitMs)
    expect(tasksOf(other)).toEqual([])
  })
})
