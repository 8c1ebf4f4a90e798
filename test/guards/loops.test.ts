import { describe, expect, it } from "vitest"
import { honestWork } from "../../bench/load/loop-honest.mjs"
import { incidents, type Trace } from "../../bench/load/loop-incidents.mjs"
import { guardRule, noRule, seedRule } from "../../bench/load/loop-rules.mjs"
import { type Manner, type Rule, World } from "../../bench/load/loop-world.mjs"
import { Guard } from "../../src/guards/guard.js"
import { defaultGuardLimits } from "../../src/guards/limits.js"

const hour = 3_600_000
/** A loop that says more is not stopped. */
const most = 60
/** Of honest work: hours of the fastest feed. */
const all = 20_000
const seeds = [1, 2]

/** What is said until nothing happens any more, or the trace ends. */
function play(
  trace: Trace,
  options: { rule?: Rule; manner?: Manner; seed?: number; restartsMs?: number; atMost?: number },
): World {
  const { rule = guardRule(Guard, defaultGuardLimits), restartsMs, atMost = 1_000, ...rest } = options
  const world = new World({ rule, ...rest })
  trace.begin(world)
  for (let ms = restartsMs ?? Number.POSITIVE_INFINITY; ms < trace.hours * hour; ms += restartsMs ?? 0)
    world.after(ms, () => {
      world.restart()
    })
  world.run(trace.hours * hour, atMost)
  return world
}

const told = (world: World) => world.refusals.map(({ from, layer, text }) => `${layer}: ${from} ${text}`)

describe.each(incidents.map((trace) => [trace.name, trace] as const))("%s", (_, trace) => {
  it("goes on where nothing stops it", () => {
    const world = play(trace, { rule: noRule() })
    expect(world.messages).toBeGreaterThan(most)
    expect(play(trace, { rule: seedRule() }).messages).toBeGreaterThan(0.9 * world.messages)
  })

  it.each(["polite", "stubborn"] as const)(
    "is stopped, whatever the dice, when its agents are %s",
    (manner) => {
      for (const seed of seeds) {
        const world = play(trace, { manner, seed })
        expect(world.messages).toBeLessThanOrEqual(most)
        expect(world.refusals.filter(({ isBystander }) => isBystander)).toEqual([])
      }
    },
  )

  it("is stopped by a layer that was made for it", () => {
    const world = play(trace, {})
    const layers = world.refusals.map(({ layer }) => layer)
    expect(layers.filter((layer) => trace.expected?.includes(layer))).not.toEqual([])
  })

  it("ends alike when the relay is restarted every minute", () => {
    const world = play(trace, { restartsMs: 60_000 })
    expect(world.messages).toBe(play(trace, {}).messages)
  })
})

describe.each(honestWork.map((trace) => [trace.name, trace] as const))("%s", (_, trace) => {
  it("is never refused, whatever the dice", () => {
    for (const seed of seeds) expect(told(play(trace, { seed, atMost: all }))).toEqual([])
  })

  it("is not refused by a relay that is restarted every minute", () => {
    expect(told(play(trace, { restartsMs: 60_000, atMost: all }))).toEqual([])
  })
})

it("plays the same night twice", () => {
  const nights = incidents.map((trace) => [1, 2].map(() => play(trace, {}).tokens))
  for (const [first, second] of nights) expect(second).toBe(first)
})
