import { describe, expect, it } from "vitest"
import { honestWork } from "../../bench/load/loop-honest.mjs"
import { incidents, type Trace } from "../../bench/load/loop-incidents.mjs"
import { guardRule, noRule, seedRule } from "../../bench/load/loop-rules.mjs"
import { type Manner, type Rule, World } from "../../bench/load/loop-world.mjs"
import { Guard } from "../../src/guards/guard.js"
import { defaultGuardLimits } from "../../src/guards/limits.js"
import { isLong } from "../kit/long.js"

const hour = 3_600_000
/** A loop with more messages counts as not stopped. */
const most = 60
/** Messages after which honest work is long enough. */
const honestMost = 6_000
const seeds = isLong ? [1, 2, 3, 4, 5] : [1]

interface PlayOptions {
  readonly rule?: Rule
  readonly manner?: Manner
  readonly seed?: number
  /** Restarts the relay this often. */
  readonly restartsMs?: number
  readonly atMost?: number
}

/** Plays a trace until nothing happens any more, or its time is over. */
function play(trace: Trace, options: PlayOptions): World {
  const { rule = guardRule(Guard, defaultGuardLimits), restartsMs, atMost = most + 1, ...rest } = options
  const world = new World({ rule, ...rest })
  trace.begin(world)
  for (let ms = restartsMs ?? Number.POSITIVE_INFINITY; ms < trace.hours * hour; ms += restartsMs ?? 0)
    world.after(ms, () => {
      world.restart()
    })
  world.run(trace.hours * hour, atMost)
  return world
}

const refusalsIn = (world: World) =>
  world.refusals.map(({ from, layer, text }) => `${layer}: ${from} ${text}`)

describe.each(incidents.map((trace) => [trace.name, trace] as const))("%s", (_, trace) => {
  it("goes on without guards, also at one message a second", () => {
    const world = play(trace, { rule: noRule() })
    expect(world.messages).toBeGreaterThan(most)
    expect(play(trace, { rule: seedRule() }).messages).toBeGreaterThan(0.9 * world.messages)
  })

  it("is stopped, for every seed, when its agents are polite, by a rule made for it", () => {
    for (const seed of seeds) {
      const world = play(trace, { seed })
      expect(world.messages).toBeLessThanOrEqual(most)
      expect(world.refusals.filter(({ isBystander }) => isBystander)).toEqual([])
      const layers = world.refusals.map(({ layer }) => layer)
      expect(layers.filter((layer) => trace.expected?.includes(layer))).not.toEqual([])
      // The same seed plays the same night, also when the relay is restarted.
      const restarted = play(trace, { seed, restartsMs: 600_000 })
      expect([restarted.messages, restarted.tokens]).toEqual([world.messages, world.tokens])
    }
  })

  it("is stopped, for every seed, when its agents are stubborn", () => {
    for (const seed of seeds) {
      const world = play(trace, { manner: "stubborn", seed })
      expect(world.messages).toBeLessThanOrEqual(most)
      expect(world.refusals.filter(({ isBystander }) => isBystander)).toEqual([])
    }
  })
})

describe.each(honestWork.map((trace) => [trace.name, trace] as const))("%s", (_, trace) => {
  it("is never refused, for any seed", () => {
    for (const seed of seeds) expect(refusalsIn(play(trace, { seed, atMost: honestMost }))).toEqual([])
  })

  it("is not refused by a relay that is restarted every ten minutes", () => {
    expect(refusalsIn(play(trace, { restartsMs: 600_000, atMost: honestMost }))).toEqual([])
  })
})
