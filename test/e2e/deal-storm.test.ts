import { mkdtempSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { agentchat } from "../kit/command-server.js"
import { until } from "../kit/condition.js"
import { DealParty } from "../kit/deal-party.js"
import { planDeals } from "../kit/deal-storm.js"
import { dealFaults, relayFaults } from "../kit/deal-verdict.js"
import { killDaemon, RelayProcess, Workspace } from "../kit/program.js"
import { randomOf } from "../kit/storm-plan.js"

/** Another seed: `DEAL_STORM=7 npx vitest run test/e2e/deal-storm.test.ts`. */
const seed = Number(process.env["DEAL_STORM"] ?? 1)
const dealCount = 24
const faultCount = 7

describe(`a storm of deals, seed ${seed}`, () => {
  let data: string
  let relay: RelayProcess
  let apart: Workspace
  let shared: Workspace

  beforeEach(async () => {
    data = mkdtempSync(join(tmpdir(), "agentchat-deal-storm-"))
    apart = new Workspace()
    shared = new Workspace()
    relay = await RelayProcess.start("--rate", "1000/s", "--burst", "1000", "--data", data)
  })
  afterEach(async () => {
    apart.dispose()
    shared.dispose()
    await relay.kill()
    rmSync(data, { recursive: true, force: true })
  })

  /** Starts daemons: those of `apart` in a process each, those of `shared` in one process. */
  const start = async (parties: readonly DealParty[]) => {
    for (const { name, place } of parties) {
      const isolate = place === apart ? ["--isolate"] : []
      const { status } = await agentchat(
        place,
        "daemon",
        relay.url,
        "--background",
        ...isolate,
        "--name",
        name,
      )
      expect(status).toBe(0)
    }
  }

  /** Kills the process of these daemons, and starts them again. */
  const crash = async (parties: readonly DealParty[]) => {
    const [first] = parties
    if (first !== undefined) await killDaemon(first.place, first.name)
    await start(parties)
  }

  it("after a storm of deals, both parties, their receipts and the relay agree", {
    timeout: 240_000,
  }, async () => {
    const random = randomOf(seed)
    const [ann, ben] = [new DealParty("ann", apart), new DealParty("ben", apart)]
    const pair = [new DealParty("cid", shared), new DealParty("dot", shared)]
    const parties = [ann, ben, ...pair]
    const processes = [[ann], [ben], pair]
    await Promise.all(processes.map(start))
    const deals = planDeals(dealCount, parties, random)
    let open = deals
    // At any time, at most the relay and one process of daemons are down.
    let relayBack = Promise.resolve()
    let daemonBack = Promise.resolve()
    for (let fault = 0; fault < faultCount; fault++) {
      const share = (fault + 1) / (faultCount + 2)
      await until(
        `${Math.round(share * 100)} % of the statements are sent`,
        () => {
          open = open.filter((deal) => !deal.step())
          const progress = deals.map((deal) => deal.progress)
          const [sent, all] = [0, 1].map((i) => progress.reduce((sum, each) => sum + (each[i] ?? 0), 0))
          return (sent ?? 0) >= share * (all ?? 0)
        },
        90_000,
      )
      if (fault % 3 === 0) {
        await relayBack
        relayBack = relay.kill().then(() => relay.restart())
      } else {
        await daemonBack
        daemonBack = crash(processes[Math.floor(random() * processes.length)] ?? [])
      }
    }
    await Promise.all([relayBack, daemonBack])
    await until(
      "every statement is sent and settled",
      () => (open = open.filter((deal) => !deal.step())).length === 0,
    )
    const planned = () => deals.flatMap((deal) => deal.faults())
    const look = () => [...planned(), ...dealFaults([apart, shared], parties)]
    await until("all is written", () => look().length === 0, 30_000).catch(() => {})
    expect(look()).toEqual([])
    for (const { name, place } of parties) {
      await until(`${name} has no problem`, () => String(place.status(name)?.["problems"]) === "")
    }
    const faults = await Promise.all(parties.map((party) => relayFaults(relay.url, party)))
    expect(faults.flat()).toEqual([])
  })
})
