import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { type Relay, type RelayOptions, startRelay } from "../../../src/server/relay.js"
import { readCases, runCase } from "../../conformance/channels/runner.mjs"
import { LastingEngine } from "../../kit/engine.js"
import { FakeClock } from "../../kit/fake-clock.js"
import { liftedGuards } from "../../kit/guards.js"

const cases = readCases()

const engines: Readonly<Record<string, () => Promise<Partial<RelayOptions>>>> = {
  memory: () => Promise.resolve({}),
  store: async () => ({ backbone: (await LastingEngine.make()).lend() }),
}

describe.each(Object.entries(engines))(
  "coordination channels over HTTP with a relay in %s",
  (_, makeEngine) => {
    let relay: Relay
    const clock = new FakeClock()
    beforeAll(async () => {
      const limits = { channels: 10_000 }
      const options = { port: 0, host: "127.0.0.1", clock, log: () => {}, guards: liftedGuards, limits }
      relay = await startRelay({ ...options, ...(await makeEngine()) })
    })
    afterAll(async () => {
      const stopped = relay.stop()
      clock.advance(10_000)
      await stopped
    })

    it.each(cases.map((each) => [each.id, each.title, each] as const))(
      "%s: %s",
      async (_id, _title, each) => {
        await runCase(each, { base: `http://127.0.0.1:${relay.port}` })
        expect(each.steps.length).toBeGreaterThan(0)
      },
    )
  },
)
