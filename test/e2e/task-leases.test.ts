import { appendFileSync } from "node:fs"
import { describe, expect, it } from "vitest"
import { must } from "../kit/command-server.js"
import { until } from "../kit/condition.js"
import { type InboxRecord, killDaemon, type Workspace } from "../kit/program.js"
import { patienceMs, Scene, startDaemon } from "../kit/scene.js"

/** Starts a relay with this lease, alice who sends tasks, and two idle workers. */
async function office(scene: Scene, leaseSeconds: number) {
  const url = await scene.sharedRelay("--lease", `${leaseSeconds}`)
  const worker = async (name: string) => ({
    name,
    work: await scene.agent(url, name, "--role", "coder"),
  })
  const [alice, ...workers] = await Promise.all([
    scene.sharedAgent(url, "alice"),
    worker("bob"),
    worker("carol"),
  ])
  return { url, alice, workers }
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

/** Waits for the task. @returns the worker that got it, the other worker, and the task */
async function assigned(workers: readonly Worker[]): Promise<[Worker, Worker, InboxRecord]> {
  const holder = await until(
    "a worker to have it",
    () => workers.find((one) => tasksOf(one).length > 0),
    patienceMs,
  )
  const other = workers.find((one) => one !== holder)
  const [task] = tasksOf(holder)
  if (other === undefined || task === undefined) throw new Error("two workers are needed")
  return [holder, other, task]
}

const passed = (ms: number) => {
  const start = performance.now()
  return until(`${ms} ms`, () => performance.now() - start > ms, ms + patienceMs)
}

describe.concurrent("a task", { timeout: 120_000 }, () => {
  it("the task of a killed worker goes to the next one, and is removed once it is done", async ({
    onTestFinished,
  }) => {
    const { url, alice, workers } = await office(new Scene(onTestFinished), 2)
    await must(alice, "send", "+coder", "build it", "--name", "alice")
    const [killed, next, task] = await assigned(workers)
    expect(tasksOf(next)).toEqual([])
    await killDaemon(killed.work, killed.name)
    const [again] = await until(
      "the next worker",
      () => tasksOf(next).length > 0 && tasksOf(next),
      patienceMs,
    )
    expect(again).toMatchObject({ task: task["task"], content: "build it", attempt: 2 })
    expect(
      await must(next.work, "task", "done", String(task["task"]), "built", "--name", next.name),
    ).toContain("done")
    await until("the answer", () => alice.contents("alice").includes("built"), patienceMs)
    await startDaemon(killed.work, url, killed.name, "--role", "coder")
    write(killed, { type: "DONE", task: task["task"], content: "built by the dead", id: "late" })
    await until(
      "the refusal",
      () => killed.work.inbox(killed.name).some(({ type }) => type === "REJECTED"),
      patienceMs,
    )
    // More than two leases.
    await passed(5_000)
    expect(tasksOf(killed)).toHaveLength(1)
    expect(tasksOf(next)).toHaveLength(1)
    expect(alice.contents("alice")).toEqual(["built"])
    const list = JSON.parse(
      await must(alice, "task", "list", "+coder", "--name", "alice", "--json"),
    ) as object
    expect(list).toMatchObject({ waiting: 0, claimed: 0 })
    expect(killed.work.status(killed.name)?.["tasks"]).toEqual([])
  })

  it("a task stays with a worker that works on it for three leases", async ({ onTestFinished }) => {
    const { alice, workers } = await office(new Scene(onTestFinished), 3)
    await must(alice, "send", "+coder", "build it", "--name", "alice")
    const [worker, other, task] = await assigned(workers)
    write(worker, { type: "SET_PRESENCE", status: "working", activity: "building" })
    await passed(9_500)
    expect(tasksOf(other)).toEqual([])
    expect(tasksOf(worker)).toHaveLength(1)
    expect(worker.work.inbox(worker.name).filter(({ type }) => type === "TASK_LOST")).toEqual([])
    write(worker, { type: "DONE", task: task["task"], content: "built", id: "done" })
    await until("the answer", () => alice.contents("alice").includes("built"), patienceMs)
    expect(tasksOf(other)).toEqual([])
  })
})
