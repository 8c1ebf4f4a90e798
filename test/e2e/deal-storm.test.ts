import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { until } from "../kit/condition.js"
import { dealsOf, inboxFaults, planDeals, receiptFaults, type StormParty } from "../kit/deal-storm.js"
import { RelayProcess, Workspace } from "../kit/program.js"

/** `DEAL_STORM=7 npx vitest run test/e2e/deal-storm.test.ts` is another storm. */
const seed = Number(process.env["DEAL_STORM"] ?? 1)
const dealCount = 40
const faultCount = 5
const relayArgs = ["--rate", "1000/s", "--burst", "1000", "--data"]

describe(`a storm of deals, seed ${seed}`, () => {
  it("leaves both parties, their receipts and the relay of one mind", { timeout: 240_000 }, async () => {
    const data = mkdtempSync(join(tmpdir(), "agentchat-deal-storm-"))
    const homes = [new Workspace(), new Workspace()] as const
    const relay = await RelayProcess.start(...relayArgs, data)
    const random = mulberry(seed)
    const parties: StormParty[] = ["ann", "ben", "cid", "dot"].map((name, i) => ({
      name,
      place: homes[i < 2 ? 0 : 1],
    }))
    const settle = (place: Workspace) => {
      for (const party of parties) {
        if (party.place === place) place.must("daemon", relay.url, "--background", "--name", party.name)
      }
    }
    try {
      homes.forEach(settle)
      const deals = planDeals(dealCount, parties, random)
      let open = deals
      let faults = 0
      await until(
        "every word is said and settled",
        async () => {
          const begun = deals.length - open.length + 8
          open = open.filter((deal) => !deals.slice(0, begun).includes(deal) || !deal.step())
          if (faults < faultCount && deals.length - open.length >= (faults * dealCount) / (faultCount + 1)) {
            await strike(faults++)
          }
          return open.length === 0
        },
        120_000,
      )
      const look = () => [
        ...deals.flatMap((deal) => deal.faults()),
        ...parties.flatMap(inboxFaults),
        ...receiptFaults(homes[0], ["ann", "ben"]),
        ...receiptFaults(homes[1], ["cid", "dot"]),
      ]
      await until("all is written", () => look().length === 0, 30_000).catch(() => {})
      expect(look()).toEqual([])
      for (const { name, place } of parties) {
        await until("the daemon has no problem", () => String(place.status(name)?.["problems"]) === "")
        const identity = place.file(name, "identity.json")
        const out = place.must("proposals", relay.url, "--identity", identity, "--json")
        const { list } = JSON.parse(out) as { list: { id: string; state: string }[] }
        const told = new Map(list.map(({ id, state }) => [id, state]))
        expect(told).toEqual(new Map(dealsOf({ name, place }).map(({ deal }) => [deal.id, deal.state])))
      }
    } finally {
      for (const home of homes) home.dispose()
      await relay.kill()
      rmSync(data, { recursive: true, force: true })
    }

    /** Kills the relay, or a daemon with all of its process, and starts it again. */
    async function strike(index: number): Promise<void> {
      if (index % 2 === 0) {
        await relay.kill()
        await relay.restart()
        return
      }
      const { name, place } = parties[Math.floor(random() * parties.length)] ?? { name: "", place: homes[0] }
      const pidFile = place.file(name, "daemon.pid")
      if (!existsSync(pidFile)) return
      const { pid } = JSON.parse(readFileSync(pidFile, "utf8")) as { pid: number }
      process.kill(pid, "SIGKILL")
      settle(place)
    }
  })
})

function mulberry(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
