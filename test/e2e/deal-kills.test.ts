import { type ChildProcess, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync, mkdtempSync, rmSync, utimesSync, watch } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { isVerb } from "../../src/protocol/verbs.js"
import { must } from "../kit/command-server.js"
import { until } from "../kit/condition.js"
import { DealParty } from "../kit/deal-party.js"
import { dealFaults, dealsOf, relayFaults } from "../kit/deal-verdict.js"
import { programPath, RelayProcess, Workspace } from "../kit/program.js"
import { randomOf } from "../kit/storm-plan.js"

/** Another seed: `DEAL_KILLS=7 npx vitest run test/e2e/deal-kills.test.ts`. */
const random = randomOf(Number(process.env["DEAL_KILLS"] ?? 1))
const rounds = 10
const dealsOfRound = 4
/** The process is killed within this many milliseconds of the first change of proposals.jsonl. */
const graceMs = 6

describe("a daemon that is killed while it writes statements of deals", () => {
  let data: string
  let relay: RelayProcess
  let ann: DealParty
  let ben: DealParty
  let victim: ChildProcess | undefined
  /** Number of kills between two writes: a statement was in proposals.jsonl, but not yet in the inbox. */
  let between = 0

  beforeEach(async () => {
    data = mkdtempSync(join(tmpdir(), "agentchat-deal-kills-"))
    relay = await RelayProcess.start("--rate", "1000/s", "--burst", "1000", "--data", data)
    ann = new DealParty("ann", new Workspace())
    ben = new DealParty("ben", new Workspace())
    await must(ann.place, "daemon", relay.url, "--background", "--name", "ann")
  })
  afterEach(async () => {
    victim?.kill("SIGKILL")
    ann.place.dispose()
    ben.place.dispose()
    await relay.kill()
    rmSync(data, { recursive: true, force: true })
  })

  /** Starts the daemon as a child process. Resolves when it is on the relay. */
  const start = async (): Promise<void> => {
    const child = spawn(process.execPath, [programPath, "daemon", relay.url, "--name", "ben"], {
      cwd: ben.place.dir,
      env: ben.place.env,
      stdio: ["ignore", "pipe", "ignore"],
    })
    victim = child
    let text = ""
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      text += chunk
    })
    await until("the daemon is on the relay", () => text.includes("daemon ben: on") || child.killed)
  }

  /** Kills the daemon soon after it begins to write. Must be called before there is anything to write. */
  const killSoon = async (): Promise<void> => {
    const delayMs = random() * graceMs
    await new Promise<void>((resolve) => {
      const watcher = watch(ben.place.file("ben", ""), (_event, file) => {
        if (file !== "proposals.jsonl") return
        watcher.close()
        resolve()
      })
    })
    // A timer is less exact than 1 ms, and the time between two writes is short.
    if (delayMs > 1) await sleep(delayMs)
    victim?.kill("SIGKILL")
    if (victim?.exitCode === null && victim.signalCode === null) await once(victim, "exit")
    // The lock of a killed process expires after a while: make it expire now.
    const lock = join(ben.place.dir, ".agentchat", "receipts.jsonl.lock")
    if (existsSync(lock)) utimesSync(lock, 0, 0)
    const statements = [...dealsOf(ben).values()].reduce((sum, { chain }) => sum + chain.length, 0)
    const lines = ben.place.inbox("ben").filter(({ type }) => isVerb(type)).length
    if (lines < statements) between++
  }

  it("a killed daemon neither loses nor doubles a statement", { timeout: 240_000 }, async () => {
    const tasks = Array.from({ length: rounds * dealsOfRound }, (_, index) => `k${index}`)
    await start()
    ann.say(...tasks.map((task) => ({ id: task, type: "PROPOSAL", to: "@ben", task })))
    const ids = await until("ben knows all proposals", () => {
      const known = tasks.flatMap((task) => ben.findDeal(task)?.id ?? [])
      return known.length === tasks.length && known
    })
    ben.say(...ids.map((id) => ({ id: `accept-${id}`, type: "ACCEPT", proposal_id: id })))
    const reach = (length: number) => () =>
      [ann, ben].every((party) => tasks.every((task) => party.findDeal(task)?.length === length))
    await until("all are accepted", reach(2))

    for (let round = 0; round < rounds; round++) {
      const some = ids.slice(round * dealsOfRound, (round + 1) * dealsOfRound)
      const say = (party: DealParty) =>
        party.say(...some.map((id) => ({ id: `${party.name}-${id}`, type: "COMPLETE", proposal_id: id })))
      const killed = killSoon()
      if (round % 2 === 0) {
        // The daemon receives these while it runs.
        say(ann)
        say(ben)
        await killed
      } else {
        // The daemon receives these when it starts again, and then sends its own.
        say(ann)
        await until("the relay has them", () => some.every((id) => ann.endOf(`ann-${id}`) !== undefined))
        say(ben)
        await Promise.all([start(), killed])
        await start()
      }
    }
    // Otherwise the test would prove nothing.
    expect(between).toBeGreaterThan(0)
    await until("all are completed by both", reach(4))
    const ends = () =>
      ids.flatMap((id) =>
        [ann, ben].flatMap((party) => {
          const { accepted, codes } = party.endOf(`${party.name}-${id}`) ?? { accepted: 0, codes: [] }
          const isRight = accepted === 1 && codes.length === 0
          return isRight ? [] : [`${party.name}-${id}: accepted ${accepted} times, ${String(codes)}`]
        }),
      )
    const look = () => [...ends(), ...dealFaults([ann.place, ben.place], [ann, ben])]
    await until("all is written", () => look().length === 0).catch(() => {})
    expect(look()).toEqual([])
    expect([...(await relayFaults(relay.url, ann)), ...(await relayFaults(relay.url, ben))]).toEqual([])
  })
})
